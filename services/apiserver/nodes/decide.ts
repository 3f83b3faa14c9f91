/**
 * What the API server tells agents and makes of what they tell it: pods to bindings, reports and pulses to intents.
 * Plain functions of the state and the message.
 */
import { CONFIGMAPS, LEASES, NODES, PODS, SECRETS, SERVICES } from '#events/collections.ts'
import { parseCIDR } from '#events/meta/cidr.ts'
import { statusWrite } from '#events/meta/halves.ts'
import type { Binding, Fate, NoticeReport, PodReport, Pulse, Stray } from '#events/node/messages.ts'
import type { Cause, Intent } from '#events/Intent.ts'
import type { NodeCondition, Pod, PodStatus } from '#events/schema/generated/core.v1.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { noticeDraft } from '#events/core/notice.ts'
import type { Entry, ObjectsView } from '#projections/Objects.ts'
import { rangeFault } from '#services/apiserver/claims/ranges.ts'
import { causeOf } from '#services/apiserver/door/check.ts'

export type Draft = Omit<Intent, 'id' | 'source'>

export const LEASE_NAMESPACE = 'kube-node-lease'
const LEASE_SECONDS = 40

export interface References {
  readonly configMaps: ReadonlySet<string>
  readonly secrets: ReadonlySet<string>
  readonly token: boolean
}

/** The ConfigMaps and Secrets a pod's volumes, environment and pull secrets name. */
export const referencesOf = (pod: Pod): References => {
  const configMaps = new Set<string>()
  const secrets = new Set<string>()
  let token = false
  const add = (set: Set<string>, name: string | undefined): void => void (name !== undefined && name !== '' && set.add(name))
  const { spec } = pod
  for (const container of [...(spec.initContainers ?? []), ...(spec.containers ?? [])]) {
    for (const { valueFrom } of container.env ?? []) {
      add(configMaps, valueFrom?.configMapKeyRef?.name)
      add(secrets, valueFrom?.secretKeyRef?.name)
    }
    for (const source of container.envFrom ?? []) {
      add(configMaps, source.configMapRef?.name)
      add(secrets, source.secretRef?.name)
    }
  }
  for (const volume of spec.volumes ?? []) {
    add(configMaps, volume.configMap?.name)
    add(secrets, volume.secret?.secretName)
    for (const source of volume.projected?.sources ?? []) {
      add(configMaps, source.configMap?.name)
      add(secrets, source.secret?.name)
      if (source.serviceAccountToken !== undefined) token = true
    }
  }
  for (const { name } of spec.imagePullSecrets ?? []) add(secrets, name)
  return { configMaps, secrets, token }
}

export interface BindingExtras {
  readonly clusterCA: string
  readonly serviceAccountToken?: Binding['serviceAccountToken']
  /** The environment the pod was first bound with: it does not change while the pod lives. */
  readonly serviceEnv?: Binding['serviceEnv']
}

/** The binding of a pod that has a node; its status is left out, being the agent's own word. */
export const bindingOf = (view: ObjectsView, entry: Entry<Pod>, extras: BindingExtras): Binding => {
  const { status: _, ...pod } = entry.object
  const { managedFields: __, resourceVersion: ___, ...metadata } = pod.metadata
  const namespace = entry.key.namespace
  const references = referencesOf(entry.object)
  const configMaps: Record<string, Binding['configMaps'][string]> = {}
  const secrets: Record<string, Binding['secrets'][string]> = {}
  for (const name of references.configMaps) {
    const found = view.get({ ...CONFIGMAPS, namespace, name })?.object
    if (found !== undefined)
      configMaps[name] = JSON.parse(JSON.stringify({ data: found.data, binaryData: found.binaryData })) as Binding['configMaps'][string]
  }
  for (const name of references.secrets) {
    const found = view.get({ ...SECRETS, namespace, name })?.object
    if (found !== undefined)
      secrets[name] = {
        type: found.type ?? 'Opaque',
        data: found.data ?? {}
      }
  }
  return {
    pod: { ...pod, metadata } as unknown as Binding['pod'],
    configMaps,
    secrets,
    ...(references.token && extras.serviceAccountToken !== undefined ? { serviceAccountToken: extras.serviceAccountToken } : {}),
    clusterCA: extras.clusterCA,
    serviceEnv: extras.serviceEnv ?? serviceEnv(view, namespace, entry.object.spec.enableServiceLinks !== false),
    cause: { eventId: entry.facts.id, ref: `${entry.facts.stream}:${entry.sequence}`, correlationId: entry.facts.correlationId }
  }
}

/** The variables of docker links, as upstream's `envvars` makes them; `kubernetes` is always among them. */
export const serviceEnv = (view: ObjectsView, namespace: string, links: boolean): Record<string, string> => {
  const env: Record<string, string> = {}
  const services = view.collection(SERVICES)
  const entries = links && namespace !== 'default' ? [...services.list(namespace)] : links ? [...services.list('default')] : []
  const kubernetes = services.get('default', 'kubernetes')
  if (kubernetes !== undefined && !entries.some(({ id }) => id === kubernetes.id)) entries.unshift(kubernetes)
  for (const { key, object } of entries) {
    const { clusterIP, ports = [] } = object.spec
    const first = ports[0]
    if (clusterIP === undefined || clusterIP === '' || clusterIP === 'None' || first === undefined) continue
    const name = key.name.toUpperCase().replaceAll('-', '_')
    env[`${name}_SERVICE_HOST`] = clusterIP
    env[`${name}_SERVICE_PORT`] = String(first.port)
    for (const port of ports)
      if (port.name !== undefined && port.name !== '')
        env[`${name}_SERVICE_PORT_${port.name.toUpperCase().replaceAll('-', '_')}`] = String(port.port)
    const url = (port: { port: number; protocol?: string }): string =>
      `${(port.protocol ?? 'TCP').toLowerCase()}://${clusterIP}:${port.port}`
    env[`${name}_PORT`] = url(first)
    for (const port of ports) {
      const prefix = `${name}_PORT_${port.port}_${(port.protocol ?? 'TCP').toUpperCase()}`
      env[prefix] = url(port)
      env[`${prefix}_PROTO`] = (port.protocol ?? 'TCP').toLowerCase()
      env[`${prefix}_PORT`] = String(port.port)
      env[`${prefix}_ADDR`] = clusterIP
    }
  }
  return env
}

/** What the log tells of a pod's name. */
export interface NameHistory {
  /** The pod that has the name now. */
  readonly present: Pod | undefined
  /** Uids of pods that had it before and were deleted, as far as they were looked for. */
  readonly deleted: ReadonlySet<string>
  /** When the last pod of that name was made, milliseconds; 0 when there never was one. */
  readonly made: number
  /** The log was looked through to the name's first event. */
  readonly whole: boolean
  /** A person has accepted that events are lost. */
  readonly lossAccepted: boolean
}

/** What has become of a pod that runs on a node without a binding. */
export const fateOf = ({ uid, since }: Stray, node: string, { present, deleted, made, whole, lossAccepted }: NameHistory): Fate => {
  if (present?.metadata.uid === uid) {
    const bound = present.spec?.nodeName ?? ''
    return bound === '' || bound === node ? 'alive' : 'gone'
  }
  if (deleted.has(uid)) return 'gone'
  // Its own events were compacted away; but two pods never have one name at a time.
  if (!whole && made > since) return 'gone'
  return lossAccepted ? 'lost' : 'unknown'
}

/** The cause an agent names goes into headers; what can't be one is left out, so that the report itself still counts. */
const because = (said: unknown): { cause?: Cause } => {
  const cause = causeOf(said)
  return cause === undefined ? {} : { cause }
}

/** A pod report as an intent, or undefined when it is about a pod that is not this node's, or no longer there. */
export const intentOfPodReport = (
  view: ObjectsView,
  node: string,
  namespace: string,
  name: string,
  report: PodReport
): Draft | undefined => {
  const entry = view.get({ ...PODS, namespace, name })
  if (entry === undefined || entry.object.metadata.uid !== report.uid || entry.object.spec?.nodeName !== node) return undefined
  const base = { ref: PODS, version: 'v1', namespace, name, ...because(report.cause), options: { fieldManager: 'kubelet' } } as const
  if (report.terminated === true && entry.object.metadata.deletionTimestamp !== undefined)
    return { ...base, verb: 'delete', deleteOptions: { gracePeriodSeconds: 0, preconditions: { uid: report.uid } } }
  const old: PodStatus = entry.object.status ?? {}
  const { status } = report
  const reported = new Set((status.conditions ?? []).map(({ type }) => type))
  const kept = (old.conditions ?? []).filter(({ type }) => !reported.has(type))
  const object = statusWrite(entry.object, {
    ...status,
    ...(old.qosClass === undefined ? {} : { qosClass: old.qosClass }),
    ...(old.nominatedNodeName === undefined ? {} : { nominatedNodeName: old.nominatedNodeName }),
    conditions: [...(status.conditions ?? []), ...kept]
  })
  return { ...base, verb: 'update', subresource: 'status', object }
}

/**
 * What a node brings along, unless another has some of it; without any the node IPAM controller gives it a part of the pod network. What
 * two bring at the same moment is decided where it is stored (`claims/ranges.ts`).
 */
const ownRange = (view: ObjectsView, { node, podCIDR }: Pulse): Record<string, unknown> =>
  parseCIDR(podCIDR) === undefined || rangeFault(view, node, podCIDR, undefined) !== undefined ? {} : { podCIDR, podCIDRs: [podCIDR] }

/**
 * A pulse as intents: the Node made or brought up to date, its Lease renewed. What a Node that is made now says of itself is drafted once
 * it is there, on what it became: a status write without the Node's own metadata would take its labels away. `now`: RFC 3339, seconds.
 */
export const intentsOfPulse = (view: ObjectsView, pulse: Pulse, now: string): readonly Draft[] => {
  const drafts: Draft[] = []
  const entry = view.get({ ...NODES, namespace: '', name: pulse.node })
  const status = (old: readonly NodeCondition[]) => ({
    capacity: pulse.capacity,
    allocatable: pulse.allocatable,
    addresses: pulse.addresses,
    nodeInfo: pulse.nodeInfo,
    daemonEndpoints: { kubeletEndpoint: { Port: 0 } },
    ...(pulse.images === undefined ? {} : { images: pulse.images }),
    conditions: pulse.conditions.map((condition) => {
      const before = old.find(({ type }) => type === condition.type)
      const same = before?.status === condition.status
      // The heartbeat itself is the Lease's: a time that moved on every pulse would make every pulse an event (KEP-589).
      return {
        type: condition.type,
        status: condition.status,
        lastHeartbeatTime: same ? before?.lastHeartbeatTime : now,
        lastTransitionTime: same ? before?.lastTransitionTime : now,
        reason: condition.reason,
        message: condition.message
      }
    })
  })
  const node = { ref: NODES, version: 'v1', namespace: '', name: pulse.node, options: { fieldManager: 'kubelet' } } as const
  if (entry === undefined) {
    drafts.push({
      ...node,
      verb: 'create',
      object: {
        apiVersion: 'v1',
        kind: 'Node',
        metadata: { name: pulse.node, labels: { ...pulse.labels } },
        spec: ownRange(view, pulse)
      }
    })
  }
  if (entry !== undefined) {
    const old = entry.object.status?.conditions ?? []
    const next = status(old)
    const kept = old.filter(({ type }) => !pulse.conditions.some((condition) => condition.type === type))
    const object = statusWrite(entry.object, { ...next, conditions: [...next.conditions, ...kept] })
    drafts.push({ ...node, verb: 'update', subresource: 'status', object })
  }
  const lease = { ref: LEASES, version: 'v1', namespace: LEASE_NAMESPACE, name: pulse.node, options: { fieldManager: 'kubelet' } } as const
  const spec = { holderIdentity: pulse.node, leaseDurationSeconds: LEASE_SECONDS, renewTime: pulse.time }
  const held = view.get({ ...LEASES, namespace: LEASE_NAMESPACE, name: pulse.node })
  const owner = entry === undefined ? [] : [{ apiVersion: 'v1', kind: 'Node', name: pulse.node, uid: entry.object.metadata.uid as string }]
  drafts.push({
    ...lease,
    verb: held === undefined ? 'create' : 'update',
    object: {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name: pulse.node, namespace: LEASE_NAMESPACE, ...(owner.length === 0 ? {} : { ownerReferences: owner }) },
      spec
    }
  })
  return drafts
}

/** A notice as a core/v1 Event: made once, then counted, on the count that was seen: who counts at the same time drafts again. */
export const intentOfNotice = (
  view: ObjectsView,
  node: string,
  { involvedObject, type, reason, message, time, cause }: NoticeReport
): Draft => {
  const { kind, apiVersion, name, namespace, uid, fieldPath } = involvedObject
  const about = { kind, apiVersion, metadata: { name, namespace, uid }, ...(fieldPath === undefined ? {} : { fieldPath }) }
  const draft = noticeDraft(view, { about, type, reason, message, component: 'kubelet', host: node, time: `${time.slice(0, 19)}Z` })
  const seen = view.get({ ...draft.ref, namespace: draft.namespace, name: draft.name })
  const { patch } = draft
  const counted =
    patch === undefined || seen === undefined
      ? draft
      : { ...draft, patch: { ...patch, body: { ...(patch.body as object), metadata: { resourceVersion: String(seen.sequence) } } } }
  return { ...counted, ...because(cause) }
}
