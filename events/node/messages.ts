/**
 * What travels between the API server and a node's agent: bindings down, reports and pulses up.
 * An agent sees only its own node's subjects and never the EVENTS stream.
 */
import type { Pod, PodStatus } from '#events/schema/generated/core.v1.ts'
import type { Cause } from '#events/Intent.ts'
import { encodeToken } from '#events/Subject.ts'

/** `bind.<node>.<ns>.<pod>`: what the agent must run. The last message per subject is the truth; an empty body: forget the pod. */
export interface Binding {
  readonly pod: Pod
  /** ConfigMaps and Secrets the pod's volumes, env and envFrom name, those that exist; `data` values as in the API (Secret data base64). */
  readonly configMaps: Readonly<
    Record<string, { readonly data?: Readonly<Record<string, string>>; readonly binaryData?: Readonly<Record<string, string>> }>
  >
  readonly secrets: Readonly<Record<string, { readonly type: string; readonly data: Readonly<Record<string, string>> }>>
  /** Bound service account token and the cluster CA for projected volumes; the agent asks again through `token` before it expires. */
  readonly serviceAccountToken?: { readonly token: string; readonly expiresAt: string }
  readonly clusterCA?: string
  /** Environment for enableServiceLinks: KUBERNETES_SERVICE_HOST and one set per Service of the namespace. */
  readonly serviceEnv: Readonly<Record<string, string>>
  /** The event this binding follows from; echoed in the reports it leads to. */
  readonly cause: Cause
}

/** Which cluster says something: an agent does nothing on the word of another one. */
export interface Origin {
  /** The uid of its kube-system namespace. */
  readonly cluster: string
  /** How often a person accepted that events of its log are lost. */
  readonly epoch: number
}

/** A pod whose containers run on a node that has no binding of it. */
export interface Stray {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  /** Milliseconds: when the node first saw the pod. */
  readonly since: number
}

/** What an agent asks on `gone.<user>`: what the log says of these pods. At most `STRAYS_ASKED` of them. */
export interface FateRequest {
  readonly pods: readonly Stray[]
}

export type Fate =
  /** It is this node's, and its binding is on the way. */
  | 'alive'
  /** The log tells of its deletion, or of another pod of that name after it, or that it runs elsewhere. */
  | 'gone'
  /** The log does not know it, and a person has accepted that events are lost. */
  | 'lost'
  /** The log never heard of it. */
  | 'unknown'

export interface FateAnswer {
  readonly origin: Origin
  /** In the order of the request. */
  readonly fates: readonly Fate[]
}

/** What an agent is answered on `self.<user>`: what the cluster has given its node. */
export interface SelfAnswer {
  /** Its parts of the pod network, one of each family; none as long as it has none. */
  readonly podCIDRs: readonly string[]
}

export const STRAYS_ASKED = 500

/** `report.<node>.pod.<ns>.<name>`: the pod's status as the agent sees it. */
export interface PodReport {
  readonly uid: string
  readonly status: PodStatus
  /** The pod was asked to go and everything of it is gone: the API server may delete it. */
  readonly terminated?: true
  readonly cause: Cause
}

/** `report.<node>.event.<ns>.<name>`: a core/v1 Event of the agent about a pod. */
export interface NoticeReport {
  /** The agent's own name for it, 8 to 64 letters, digits and dashes: reported twice, it is counted once. */
  readonly id?: string
  /** It may have been reported before: the stream's acknowledgement was lost. */
  readonly again?: true
  readonly involvedObject: {
    readonly kind: string
    readonly apiVersion: string
    readonly namespace: string
    readonly name: string
    readonly uid: string
    readonly fieldPath?: string
  }
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly message: string
  /** RFC 3339 with milliseconds. */
  readonly time: string
  readonly cause?: Cause
}

/** `pulse.node.<node>`: sent every 10 s and whenever something in it changes. */
export interface Pulse {
  readonly node: string
  /** RFC 3339 with microseconds, as Lease.spec.renewTime. */
  readonly time: string
  readonly podCIDR: string
  readonly labels: Readonly<Record<string, string>>
  readonly addresses: readonly { readonly type: 'InternalIP' | 'Hostname'; readonly address: string }[]
  readonly capacity: Readonly<Record<string, string>>
  readonly allocatable: Readonly<Record<string, string>>
  readonly nodeInfo: Readonly<Record<string, string>>
  /** Ready, MemoryPressure, DiskPressure, PIDPressure without times: the API server stamps transitions. */
  readonly conditions: readonly {
    readonly type: string
    readonly status: 'True' | 'False' | 'Unknown'
    readonly reason: string
    readonly message: string
  }[]
  readonly images?: readonly { readonly names: readonly string[]; readonly sizeBytes: number }[]
}

export const bindingSubject = (node: string, namespace: string, pod: string): string =>
  `bind.${encodeToken(node)}.${encodeToken(namespace)}.${encodeToken(pod)}`
export const podReportSubject = (node: string, namespace: string, pod: string): string =>
  `report.${encodeToken(node)}.pod.${encodeToken(namespace)}.${encodeToken(pod)}`
export const noticeReportSubject = (node: string, namespace: string, name: string): string =>
  `report.${encodeToken(node)}.event.${encodeToken(namespace)}.${encodeToken(name)}`
export const pulseSubject = (node: string): string => `pulse.node.${encodeToken(node)}`
