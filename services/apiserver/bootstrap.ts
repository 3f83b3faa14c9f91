/**
 * What every cluster has from its first moment: the system namespaces, the RBAC defaults, the `kubernetes` and
 * `kube-dns` Services. Asked for as intents on every start; what is there already is left as it is, except the
 * addresses, which are this machine's to know.
 */
import { timestamp } from '#events/meta/time.ts'
import { SERVICE_CIDRS } from '#events/collections.ts'
import { AUTOUPDATE, bootstrapRbac } from '#events/rbac/bootstrap.ts'
import { covered, type Rule } from '#projections/Rbac.ts'
import type { Intent, UserInfo } from '#events/Intent.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import type { Clock } from '#services/platform/Clock.ts'
import type { Views } from '#services/platform/Views.ts'
import type { Decider } from './Decider.ts'
import { same } from '#events/meta/faults.ts'
import { DEFAULT_SERVICE_CIDR, isReady, READY, SERVICE_CIDR_FINALIZER, ServiceCIDR } from '#events/networking/ServiceCIDR.ts'
import { Refusal } from '#events/Refusal.ts'

export interface BootstrapOptions {
  readonly views: Views
  readonly decider: Decider
  readonly clock: Clock
  /** Where pods reach this API server: an address of the node, and the port it listens on. */
  readonly apiAddress: string
  readonly apiPort: number
  /** Where cluster IPs come from, unless somebody has said otherwise since. */
  readonly serviceCIDR: string
  readonly kubernetesIP: string
  readonly dnsIP: string
  readonly dnsAddress: string
  readonly dnsPort: number
  /** Another API server is the home's own. */
  readonly beside?: boolean
}

const APISERVER: UserInfo = { username: 'system:apiserver', groups: ['system:masters', 'system:authenticated'] }
const NAMESPACES = ['default', 'kube-system', 'kube-public', 'kube-node-lease']

export const bootstrap = async (options: BootstrapOptions): Promise<void> => {
  for (const name of NAMESPACES) await ensure(options, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
  for (const object of bootstrapRbac()) await ensureRbac(options, object)
  await ensureServiceCIDR(options)
  // The addresses behind `kubernetes` are all API servers': see kubernetesEndpoints.ts. What is said of its Service, the first one says.
  for (const object of services(options))
    await ensure(options, object, object.metadata.name !== 'kubernetes' || (object.kind === 'Service' && options.beside !== true))
}

/** Ready from the first moment, as upstream's API server makes it: the Services below have their addresses from it. */
const ensureServiceCIDR = async (options: BootstrapOptions): Promise<void> => {
  const { views, clock, serviceCIDR } = options
  const { group, version, kind } = ServiceCIDR
  const object = {
    apiVersion: `${group}/${version}`,
    kind,
    metadata: { name: DEFAULT_SERVICE_CIDR, finalizers: [SERVICE_CIDR_FINALIZER] },
    spec: { cidrs: [serviceCIDR] }
  }
  await ensure(options, object)
  const present = views.get({ ...SERVICE_CIDRS, namespace: '', name: DEFAULT_SERVICE_CIDR })?.object
  if (present === undefined || present.metadata.deletionTimestamp !== undefined || isReady(present)) return
  const condition = {
    type: READY,
    status: 'True',
    reason: '',
    message: 'Kubernetes default Service CIDR is ready',
    lastTransitionTime: timestamp(clock.now())
  }
  await ask(options, {
    ...intentAbout(options, object),
    subresource: 'status',
    verb: 'patch',
    patch: { type: 'application/merge-patch+json', body: { status: { conditions: [condition] } } }
  })
}

/** As upstream's reconciliation of its default roles: what a newer version grants is added; what somebody added stays. */
const ensureRbac = async (options: BootstrapOptions, object: KubeObject): Promise<void> => {
  const { name = '', namespace = '' } = object.metadata
  const present = options.views.get({
    group: 'rbac.authorization.k8s.io',
    resource: `${object.kind.toLowerCase()}s`,
    namespace,
    name
  })?.object
  if (present === undefined) return ensure(options, object)
  if (present.metadata.annotations?.[AUTOUPDATE] === 'false') return
  const field = object.kind.endsWith('Role') ? 'rules' : 'subjects'
  const [had, wanted] = [(present[field] ?? []) as unknown[], (object[field] ?? []) as unknown[]]
  const missing = wanted.filter((one) =>
    field === 'rules' ? !covered(had as Rule[], one as Rule) : !had.some((other) => covers(other, one))
  )
  if (missing.length > 0) await ensure(options, { ...object, [field]: [...had, ...missing] }, true)
}

const services = (options: BootstrapOptions): KubeObject[] => {
  const { apiAddress, apiPort, kubernetesIP, dnsIP, dnsAddress, dnsPort } = options
  const api = { name: 'https', port: apiPort, protocol: 'TCP' }
  const dns = [
    { name: 'dns', port: dnsPort, protocol: 'UDP' },
    { name: 'dns-tcp', port: dnsPort, protocol: 'TCP' }
  ]
  // No selector: nobody but this start knows the addresses, so no controller makes these slices.
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'kubernetes', namespace: 'default', labels: { component: 'apiserver', provider: 'kubernetes' } },
      spec: { clusterIP: kubernetesIP, ports: [{ name: 'https', port: 443, protocol: 'TCP', targetPort: apiPort }] }
    },
    endpoints('kubernetes', 'default', apiAddress, [api]),
    slice('kubernetes', 'default', apiAddress, [api]),
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: {
        name: 'kube-dns',
        namespace: 'kube-system',
        labels: { 'k8s-app': 'kube-dns', 'kubernetes.io/cluster-service': 'true', 'kubernetes.io/name': 'CoreDNS' }
      },
      spec: {
        clusterIP: dnsIP,
        ports: [
          { name: 'dns', port: 53, protocol: 'UDP', targetPort: dnsPort },
          { name: 'dns-tcp', port: 53, protocol: 'TCP', targetPort: dnsPort }
        ]
      }
    },
    endpoints('kube-dns', 'kube-system', dnsAddress, dns),
    slice('kube-dns', 'kube-system', dnsAddress, dns)
  ]
}

interface Port {
  readonly name: string
  readonly port: number
  readonly protocol: string
}

const endpoints = (name: string, namespace: string, ip: string, ports: readonly Port[]): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Endpoints',
  metadata: { name, namespace, labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' } },
  subsets: [{ addresses: [{ ip }], ports }]
})

const slice = (name: string, namespace: string, ip: string, ports: readonly Port[]): KubeObject => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name, namespace, labels: { 'kubernetes.io/service-name': name } },
  addressType: 'IPv4',
  endpoints: [{ addresses: [ip], conditions: { ready: true, serving: true, terminating: false } }],
  ports
})

const intentAbout = ({ views, clock }: BootstrapOptions, object: KubeObject): Omit<Intent, 'verb'> => {
  const kind = views.api.kindOfObject(object)
  if (kind === undefined) throw new Error(`the bootstrap names an unknown kind: ${object.apiVersion} ${object.kind}`)
  return {
    id: `bootstrap-${clock.uuid()}`,
    ref: { group: kind.group, resource: kind.resource },
    version: kind.version,
    namespace: object.metadata.namespace ?? '',
    name: object.metadata.name as string,
    source: 'apiserver',
    options: { fieldManager: 'apiserver' }
  }
}

const ask = async ({ decider }: BootstrapOptions, intent: Intent): Promise<void> => {
  const result = await decider.submit(intent, APISERVER)
  if (!result.ok && result.status.reason !== 'AlreadyExists')
    throw new Error(`the bootstrap could not ${intent.verb} ${intent.ref.resource} ${intent.name}: ${result.status.message}`, {
      cause: Refusal.of(result.status)
    })
}

/** Creates what is missing; with `renew`, brings what differs in the named fields up to date. */
const ensure = async (options: BootstrapOptions, object: KubeObject, renew = false): Promise<void> => {
  const about = intentAbout(options, object)
  const present = options.views.get({ ...about.ref, namespace: about.namespace, name: about.name })
  if (present === undefined) return ask(options, { ...about, verb: 'create', object })
  const { apiVersion: _, kind: __, metadata: ___, ...fields } = object
  if (renew && !covers(present.object, fields))
    await ask(options, { ...about, verb: 'patch', patch: { type: 'application/merge-patch+json', body: fields } })
}

/** True when every field given has that value already (defaults in the stored object do not count). */
const covers = (stored: unknown, wanted: unknown): boolean => {
  if (Array.isArray(wanted))
    return Array.isArray(stored) && stored.length === wanted.length && wanted.every((item, at) => covers(stored[at], item))
  if (typeof wanted === 'object' && wanted !== null)
    return (
      typeof stored === 'object' &&
      stored !== null &&
      Object.entries(wanted).every(([field, value]) => covers((stored as Record<string, unknown>)[field], value))
    )
  return same(stored, wanted)
}
