/**
 * The node lifecycle controller's decision: a node whose Lease is no longer renewed becomes Unknown and tainted; pods that
 * do not tolerate the taint go after their time (KEP-589, taint-based eviction).
 */
import type { KubeObject } from '#events/KubeObject.ts'
import { conditionOf, type Condition } from '#events/meta/Conditions.ts'
import { same } from '#events/meta/faults.ts'
import type { ObjectsView } from '#projections/Objects.ts'
import { NOTHING, type Ask, type DecideContext, type Decision } from '../../platform/Controller.ts'
import { merge, remove, updateStatus } from '../asks.ts'
import { isTerminating, rfc3339 } from '../pods.ts'
import { record } from '../recorder.ts'

export const NAME = 'node-lifecycle-controller'
export const NODES = { group: '', resource: 'nodes' }
export const LEASES = { group: 'coordination.k8s.io', resource: 'leases' }
const PODS = { group: '', resource: 'pods' }
export const LEASE_NAMESPACE = 'kube-node-lease'
const GRACE_MS = 40_000
const NOT_READY = 'node.kubernetes.io/not-ready'
const UNREACHABLE = 'node.kubernetes.io/unreachable'
const CONDITIONS = ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure']
/** Pods told to go in one decision: a lost node must not empty itself in one burst. */
const BATCH = 50

interface Taint {
  readonly key: string
  readonly value?: string
  readonly effect: string
  readonly timeAdded?: string
}
interface Toleration {
  readonly key?: string
  readonly operator?: string
  readonly effect?: string
  readonly tolerationSeconds?: number
}

export const decide = (view: ObjectsView, key: string, { now }: DecideContext): Decision => {
  const name = key.slice(key.indexOf('/') + 1)
  const node = view.get({ ...NODES, namespace: '', name })?.object
  if (node === undefined || isTerminating(node)) return NOTHING
  const lease = view.get({ ...LEASES, namespace: LEASE_NAMESPACE, name })?.object
  const renewed = Date.parse((lease?.['spec']?.renewTime as string | undefined) ?? node.metadata.creationTimestamp ?? '')
  const silentFor = now - renewed
  const asks: Ask[] = []
  if (silentFor > GRACE_MS) asks.push(...unknown(node, now))
  const ready = silentFor > GRACE_MS ? 'Unknown' : (conditionOf(node, 'Ready')?.status ?? 'Unknown')
  asks.push(...taintAsks(view, node, ready, now))
  const [evictions, next] = evictionsOf(view, node, now)
  asks.push(...evictions)
  const again = silentFor > GRACE_MS ? [] : [GRACE_MS - silentFor + 100]
  if (next !== undefined) again.push(Math.max(100, next - now))
  return { asks, ...(again.length === 0 ? {} : { requeueAfterMs: Math.min(...again) }) }
}

const unknown = (node: KubeObject, now: number): Ask[] => {
  const old = (node['status']?.conditions ?? []) as Condition[]
  const conditions = [
    ...CONDITIONS.map((type): Condition => {
      const before = old.find((condition) => condition.type === type)
      if (before?.status === 'Unknown') return before
      return { ...before, type, status: 'Unknown', reason: 'NodeStatusUnknown', message: 'Kubelet stopped posting node status.', lastTransitionTime: rfc3339(now) }
    }),
    ...old.filter(({ type }) => !CONDITIONS.includes(type))
  ]
  return same(old, conditions) ? [] : [updateStatus(node, { ...node['status'], conditions })]
}

const taintAsks = (view: ObjectsView, node: KubeObject, ready: string, now: number): Ask[] => {
  const present = (node['spec']?.taints ?? []) as Taint[]
  const key = ready === 'True' ? undefined : ready === 'False' ? NOT_READY : UNREACHABLE
  const others = present.filter((taint) => taint.key !== NOT_READY && taint.key !== UNREACHABLE)
  const wanted: Taint[] =
    key === undefined
      ? []
      : ['NoSchedule', 'NoExecute'].map((effect) => {
          const known = present.find((taint) => taint.key === key && taint.effect === effect)
          return known ?? { key, effect, ...(effect === 'NoExecute' ? { timeAdded: rfc3339(now) } : {}) }
        })
  const taints = [...others, ...wanted]
  if (same(present, taints)) return []
  const asks = [merge(node, { metadata: { uid: node.metadata.uid, resourceVersion: node.metadata.resourceVersion }, spec: { taints: taints.length === 0 ? null : taints } })]
  if (ready !== 'True') asks.push(record(view, node, 'node-controller', 'Normal', 'NodeNotReady', `Node ${node.metadata.name} status is now: NodeNotReady`, now))
  return asks
}

/** Pods whose toleration of a NoExecute taint has run out, and when the next one's will. */
const evictionsOf = (view: ObjectsView, node: KubeObject, now: number): [Ask[], number | undefined] => {
  const taints = ((node['spec']?.taints ?? []) as Taint[]).filter(({ effect }) => effect === 'NoExecute')
  if (taints.length === 0) return [[], undefined]
  const asks: Ask[] = []
  let next: number | undefined
  for (const { object: pod } of view.collection(PODS).indexed('node', node.metadata.name as string)) {
    if (isTerminating(pod)) continue
    const due = dueAt(taints, (pod['spec'].tolerations ?? []) as Toleration[])
    if (due === undefined) continue
    if (due > now) next = next === undefined ? due : Math.min(next, due)
    else if (asks.length < BATCH) {
      asks.push(remove(pod))
      asks.push(record(view, pod, 'taint-eviction-controller', 'Normal', 'TaintManagerEviction', `Marking for deletion Pod ${pod.metadata.namespace}/${pod.metadata.name}`, now))
    } else next = now + 1_000
  }
  return [asks, next]
}

/** When the first of the taints is no longer tolerated; undefined: never. */
const dueAt = (taints: readonly Taint[], tolerations: readonly Toleration[]): number | undefined => {
  let due: number | undefined
  for (const taint of taints) {
    const matching = tolerations.filter(({ key, effect, operator }) => ((effect ?? '') === '' || effect === 'NoExecute') && ((key ?? '') === '' ? operator === 'Exists' : key === taint.key))
    const added = Date.parse(taint.timeAdded ?? '') || 0
    const seconds = matching.length === 0 ? 0 : Math.min(...matching.map(({ tolerationSeconds }) => tolerationSeconds ?? Number.POSITIVE_INFINITY))
    if (!Number.isFinite(seconds)) continue
    due = Math.min(due ?? Number.POSITIVE_INFINITY, added + seconds * 1000)
  }
  return due
}
