/** The discovery documents, aggregated and legacy, as functions of the list of served kinds. */

export interface DiscoverySubresource {
  readonly name: string
  /** Group and version of the body when it is another kind than the parent's: Eviction, Scale, TokenRequest. */
  readonly group?: string
  readonly version?: string
  readonly kind?: string
  readonly verbs: readonly string[]
}

/** What discovery tells of a kind; `Kind` of the registry is one. */
export interface DiscoveryKind {
  readonly group: string
  readonly version: string
  readonly kind: string
  readonly resource: string
  readonly singular: string
  readonly namespaced: boolean
  readonly verbs: readonly string[]
  readonly shortNames?: readonly string[]
  readonly categories?: readonly string[]
  readonly subresources?: readonly DiscoverySubresource[]
}

export interface GroupVersionForDiscovery {
  readonly groupVersion: string
  readonly version: string
}

export interface ApiGroup {
  readonly kind?: 'APIGroup'
  readonly apiVersion?: 'v1'
  readonly name: string
  readonly versions: readonly GroupVersionForDiscovery[]
  readonly preferredVersion: GroupVersionForDiscovery
}

export interface ApiResource {
  readonly name: string
  readonly singularName: string
  readonly namespaced: boolean
  readonly group?: string
  readonly version?: string
  readonly kind: string
  readonly verbs: readonly string[]
  readonly shortNames?: readonly string[]
  readonly categories?: readonly string[]
}

/**
 * Groups from the most to the least important, as upstream ranks its own: the first group with a resource of a
 * given name wins when a client does not say which. Others follow in alphabetical order, metrics last.
 */
const GROUP_ORDER = [
  'apiregistration.k8s.io',
  'apps',
  'events.k8s.io',
  'authentication.k8s.io',
  'authorization.k8s.io',
  'autoscaling',
  'batch',
  'certificates.k8s.io',
  'networking.k8s.io',
  'policy',
  'rbac.authorization.k8s.io',
  'storage.k8s.io',
  'admissionregistration.k8s.io',
  'apiextensions.k8s.io',
  'scheduling.k8s.io',
  'coordination.k8s.io',
  'node.k8s.io',
  'discovery.k8s.io',
  'flowcontrol.apiserver.k8s.io'
]

const groupRank = (group: string): number => {
  if (group === 'metrics.k8s.io') return GROUP_ORDER.length + 1
  const rank = GROUP_ORDER.indexOf(group)
  return rank === -1 ? GROUP_ORDER.length : rank
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Best first: stable before beta before alpha, then the higher number; names of another form last, by name. */
export const compareVersions = (a: string, b: string): number => {
  const form = /^v(\d+)(?:(alpha|beta)(\d+))?$/
  const [left, right] = [form.exec(a), form.exec(b)]
  if (left === null || right === null) return left === right ? compareText(a, b) : left === null ? 1 : -1
  const stage = (match: RegExpExecArray): number => (match[2] === undefined ? 0 : match[2] === 'beta' ? 1 : 2)
  return stage(left) - stage(right) || Number(right[1]) - Number(left[1]) || Number(right[3] ?? 0) - Number(left[3] ?? 0)
}

const groupVersion = (group: string, version: string): string => (group === '' ? version : `${group}/${version}`)
const sorted = (words: readonly string[]): string[] => [...words].sort(compareText)

/** Group names in order of importance, without the core group. */
export const groupsOf = (kinds: readonly DiscoveryKind[]): string[] => {
  const names = new Set(kinds.map((kind) => kind.group))
  names.delete('')
  return [...names].sort((a, b) => groupRank(a) - groupRank(b) || compareText(a, b))
}

/** Versions of a group, best first. */
export const versionsOf = (kinds: readonly DiscoveryKind[], group: string): string[] => {
  return [...new Set(kinds.filter((kind) => kind.group === group).map((kind) => kind.version))].sort(compareVersions)
}

const kindsOf = (kinds: readonly DiscoveryKind[], group: string, version: string): DiscoveryKind[] => {
  return kinds.filter((kind) => kind.group === group && kind.version === version).sort((a, b) => compareText(a.resource, b.resource))
}

const subresourcesOf = (kind: DiscoveryKind): DiscoverySubresource[] =>
  [...(kind.subresources ?? [])].sort((a, b) => compareText(a.name, b.name))

const list = (key: string, words: readonly string[] | undefined): Record<string, readonly string[]> =>
  words === undefined || words.length === 0 ? {} : { [key]: words }

const aggregatedResource = (kind: DiscoveryKind): Record<string, unknown> => {
  const subresources = subresourcesOf(kind).map((sub) => ({
    subresource: sub.name,
    responseKind: { group: sub.group ?? kind.group, version: sub.version ?? kind.version, kind: sub.kind ?? kind.kind },
    verbs: sorted(sub.verbs)
  }))
  return {
    resource: kind.resource,
    responseKind: { group: kind.group, version: kind.version, kind: kind.kind },
    scope: kind.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: kind.singular,
    verbs: sorted(kind.verbs),
    ...list('shortNames', kind.shortNames),
    ...list('categories', kind.categories),
    ...(subresources.length === 0 ? {} : { subresources })
  }
}

/** `APIGroupDiscoveryList` of `/api` (`core`) or `/apis` (KEP-3352); both versions have the same fields. */
export const aggregated = (kinds: readonly DiscoveryKind[], version: 'v2' | 'v2beta1', part: 'core' | 'apis'): Record<string, unknown> => {
  const groups = part === 'core' ? (kinds.some((kind) => kind.group === '') ? [''] : []) : groupsOf(kinds)
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion: `apidiscovery.k8s.io/${version}`,
    metadata: {},
    items: groups.map((group) => ({
      metadata: { ...(group === '' ? {} : { name: group }), creationTimestamp: null },
      versions: versionsOf(kinds, group).map((each) => ({
        version: each,
        resources: kindsOf(kinds, group, each).map(aggregatedResource),
        freshness: 'Current'
      }))
    }))
  }
}

/** Legacy `GET /api`. `serverAddress` is `host:port` as clients reach it. */
export const apiVersions = (serverAddress: string): Record<string, unknown> => {
  return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress }] }
}

const groupEntry = (kinds: readonly DiscoveryKind[], group: string): ApiGroup | undefined => {
  const versions = versionsOf(kinds, group).map((version) => ({ groupVersion: groupVersion(group, version), version }))
  const preferredVersion = versions[0]
  return preferredVersion === undefined ? undefined : { name: group, versions, preferredVersion }
}

/** Legacy `GET /apis`. */
export const apiGroupList = (kinds: readonly DiscoveryKind[]): Record<string, unknown> => {
  return { kind: 'APIGroupList', apiVersion: 'v1', groups: groupsOf(kinds).map((group) => groupEntry(kinds, group)) }
}

/** `GET /apis/<group>`; undefined when no kind is in the group. */
export const apiGroup = (kinds: readonly DiscoveryKind[], group: string): ApiGroup | undefined => {
  const entry = group === '' ? undefined : groupEntry(kinds, group)
  return entry === undefined ? undefined : { kind: 'APIGroup', apiVersion: 'v1', ...entry }
}

/** `GET /api/v1` and `GET /apis/<group>/<version>`; undefined when no kind is in the group version. */
export const apiResourceList = (kinds: readonly DiscoveryKind[], group: string, version: string): Record<string, unknown> | undefined => {
  const served = kindsOf(kinds, group, version)
  if (served.length === 0) return undefined
  const resources = served.flatMap((kind): ApiResource[] => [
    {
      name: kind.resource,
      singularName: kind.singular,
      namespaced: kind.namespaced,
      kind: kind.kind,
      verbs: sorted(kind.verbs),
      ...list('shortNames', kind.shortNames),
      ...list('categories', kind.categories)
    },
    ...subresourcesOf(kind).map((sub) => ({
      name: `${kind.resource}/${sub.name}`,
      singularName: '',
      namespaced: kind.namespaced,
      // Clients read these two to learn the body's type: drain looks for policy/v1 on pods/eviction.
      ...(sub.kind === undefined || (sub.group ?? group) === '' ? {} : { group: sub.group ?? group, version: sub.version ?? version }),
      kind: sub.kind ?? kind.kind,
      verbs: sorted(sub.verbs)
    }))
  ])
  return { kind: 'APIResourceList', ...(group === '' ? {} : { apiVersion: 'v1' }), groupVersion: groupVersion(group, version), resources }
}
