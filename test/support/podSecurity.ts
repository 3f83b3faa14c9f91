/** What tests of Pod Security admission share: a namespace with labels, pods good and bad, and the words for them. */
import { readPodSecurity, type PodSecurityConfiguration } from '#events/core/pod/security/configuration.ts'
import type { Intent, UserInfo } from '#events/Intent.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { Refusal } from '#events/Refusal.ts'
import { decide } from '#services/apiserver/decide.ts'
import type { Decided, Settings } from '#services/apiserver/decision.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { accepted, ADMIN, kindFor, startTestApi, type TestApi } from './api.ts'

export const PREFIX = 'pod-security.kubernetes.io/'
export const labelled = (labels: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(labels).map(([label, value]) => [`${PREFIX}${label}`, value]))

export const GOOD = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  runAsNonRoot: true,
  seccompProfile: { type: 'RuntimeDefault' }
}
export const bare = (name: string, spec: object = {}, container: object = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'shop' },
  spec: { containers: [{ name: 'a', image: 'i:1', ...container }], ...spec }
})
export const good = (name: string, spec: object = {}): KubeObject => bare(name, spec, { securityContext: GOOD })
export const deployment = (name: string, spec: object = {}): KubeObject => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name, namespace: 'shop' },
  spec: {
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'a', image: 'i:1' }], ...spec } }
  }
})

const ESCALATION = 'allowPrivilegeEscalation != false (container "a" must set securityContext.allowPrivilegeEscalation=false)'
const ROOT = 'runAsNonRoot != true (pod or container "a" must set securityContext.runAsNonRoot=true)'
/** What restricted has against a pod that says nothing. */
export const RESTRICTED =
  `${ESCALATION}, unrestricted capabilities (container "a" must set securityContext.capabilities.drop=["ALL"]), ${ROOT}, ` +
  'seccompProfile (pod or container "a" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'
/** The same as 1.8 had it, as a warning. */
export const WOULD_8 = `would violate PodSecurity "restricted:v1.8": ${ESCALATION}, ${ROOT}`

export const given = async (labels: Record<string, string>, configuration?: PodSecurityConfiguration): Promise<TestApi> => {
  const read = configuration === undefined ? undefined : readPodSecurity(configuration)
  if (read !== undefined && 'faults' in read) throw new Error(JSON.stringify(read.faults))
  const settings: Partial<Settings> = read === undefined ? {} : { podSecurity: read.configuration }
  const api = await startTestApi(systemClock, settings)
  accepted(await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels: labelled(labels) } }))
  accepted(await api.create({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace: 'shop' } }))
  return api
}

export const warnings = (result: Awaited<ReturnType<TestApi['create']>>): readonly string[] => {
  accepted(result)
  return result.ok ? (result.warnings ?? []) : []
}

export const patch = (api: TestApi, object: KubeObject, body: unknown, more: Partial<Intent> = {}) => {
  const kind = kindFor(object.apiVersion, object.kind)
  return api.submit({
    verb: 'patch',
    ref: kind,
    version: kind.version,
    namespace: kind.namespaced ? 'shop' : '',
    name: object.metadata.name ?? '',
    patch: { type: 'application/merge-patch+json', body },
    ...more
  })
}

export const NAMESPACE: KubeObject = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } }
export const relabel = (api: TestApi, labels: Record<string, string | null>, more: Partial<Intent> = {}) =>
  patch(api, NAMESPACE, { metadata: { labels: labelled(labels as Record<string, string>) } }, more)

/** What the decision says besides, which no answer shows. */
export const decided = (api: TestApi, object: KubeObject, settings: Partial<Settings> = {}, user: UserInfo = ADMIN): Decided | Refusal => {
  const kind = kindFor(object.apiVersion, object.kind)
  const intent: Intent = {
    id: 'i',
    verb: 'create',
    ref: kind,
    version: kind.version,
    namespace: kind.namespaced ? (object.metadata.namespace ?? '') : '',
    name: '',
    object,
    source: 'test'
  }
  try {
    return decide(intent, {
      api: api.views.api,
      view: api.views,
      head: () => 0,
      user,
      now: 0,
      random: () => 0.5,
      uuid: () => 'u',
      busy: () => false,
      settings: { serviceCIDR: '10.96.0.0/16', nodePorts: [30000, 32767], ...settings }
    }) as Decided
  } catch (error) {
    if (error instanceof Refusal) return error
    throw error
  }
}
