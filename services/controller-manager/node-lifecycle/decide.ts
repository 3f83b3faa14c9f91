/**
 * The node lifecycle controller's decision: a node whose Lease is no longer renewed becomes Unknown and tainted; pods that
 * do not tolerate the taint go after their time (KEP-589, taint-based eviction).
 */
import { NODES, PODS } from '#events/collections.ts'
import { timestamp } from '#events/meta/time.ts'
import { Node } from '#events/core/Node.ts'
import { Pod } from '#events/core/pod/Pod.ts'
import type { Node as NodeType, NodeCondition, Taint, Toleration } from '#events/schema/generated/core.v1.ts'
import { conditionOf } from '#events/meta/Conditions.ts'
import { same } from '#events/meta/faults.ts'
import type { ObjectsView } from '#projections/Objects.ts'
import { NOTHING, type Ask, type DecideContext, type Decision } from '#services/platform/decision.ts'
import { merge, remove, updateStatus } from '#services/controller-manager/asks.ts'
import { isTerminating } from '#services/controller-manager/pods.ts'
import { record } from '#services/controller-manager/recorder.ts'
import { LEASE_NAMESPACE, silenceOf } from './silence.ts'

export const NAME = 'node-lifecycle-controller'
const GRACE_MS = 40_000
/** How often API servers are heard, and so how often more can be known of a silence. */
const AGAIN_MS = 1_500
const NOT_READY = 'node.kubernetes.io/not-ready'
const UNREACHABLE = 'node.kubernetes.io/unreachable'
const CONDITIONS = ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure']
/** Pods told to go in one decision: a lost node must not empty itself in one burst. */
const BATCH = 50

export const decide = (view: ObjectsView, key: string, { now }: DecideContext): Decision => {
  const name = key.slice(key.indexOf('/') + 1)
  const entry = view.get({ ...NODES, namespace: '', name })
  const node = entry?.object
  if (entry === undefined || node === undefined || isTerminating(node)) return NOTHING
  const silentFor = silenceOf(view, entry)
  const asks: Ask[] = []
  if (silentFor > GRACE_MS) asks.push(...unknown(node, now))
  const ready = silentFor > GRACE_MS ? 'Unknown' : (conditionOf(node, 'Ready')?.status ?? 'Unknown')
  // Both are locked to the version seen: the taints follow once the status is folded.
  if (asks.length === 0) asks.push(...taintAsks(view, node, ready, now))
  const [evictions, next] = evictionsOf(view, node, now)
  asks.push(...evictions)
  // What was heard is a moment old when it is looked at: sooner than that nothing new is known.
  const again = silentFor > GRACE_MS ? [] : [Math.max(AGAIN_MS, GRACE_MS - silentFor + 100)]
  if (next !== undefined) again.push(Math.max(100, next - now))
  return { asks, ...(again.length === 0 ? {} : { requeueAfterMs: Math.min(...again) }) }
}

const unknown = (node: NodeType, now: number): Ask[] => {
  const old = node.status?.conditions ?? []
  const conditions = [
    ...CONDITIONS.map((type): NodeCondition => {
      const before = old.find((condition) => condition.type === type)
      if (before?.status === 'Unknown') return before
      return {
        ...before,
        type,
        status: 'Unknown',
        reason: 'NodeStatusUnknown',
        message: 'Kubelet stopped posting node status.',
        lastTransitionTime: timestamp(now)
      }
    }),
    ...old.filter(({ type }) => !CONDITIONS.includes(type))
  ]
  return same(old, conditions) ? [] : [updateStatus(Node, node, { ...node.status, conditions })]
}

/** What a node's conditions and its cordon mean for new pods, as taints (KEP-589's TaintNodesByCondition). */
const CONDITION_TAINTS: Readonly<Record<string, string>> = {
  MemoryPressure: 'node.kubernetes.io/memory-pressure',
  DiskPressure: 'node.kubernetes.io/disk-pressure',
  PIDPressure: 'node.kubernetes.io/pid-pressure',
  NetworkUnavailable: 'node.kubernetes.io/network-unavailable'
}
const CORDONED = 'node.kubernetes.io/unschedulable'
const OURS: ReadonlySet<string> = new Set([NOT_READY, UNREACHABLE, CORDONED, ...Object.values(CONDITION_TAINTS)])

const taintAsks = (view: ObjectsView, node: NodeType, ready: string, now: number): Ask[] => {
  const present = node.spec?.taints ?? []
  const key = ready === 'True' ? undefined : ready === 'False' ? NOT_READY : UNREACHABLE
  const keys = Object.entries(CONDITION_TAINTS).flatMap(([type, taint]) => (conditionOf(node, type)?.status === 'True' ? [taint] : []))
  if (node.spec?.unschedulable === true) keys.push(CORDONED)
  const noSchedule = [...(key === undefined ? [] : [key]), ...keys].map(
    (taint): Taint => present.find((known) => known.key === taint && known.effect === 'NoSchedule') ?? { key: taint, effect: 'NoSchedule' }
  )
  const noExecute = (key === undefined ? [] : [key]).map(
    (taint): Taint =>
      present.find((known) => known.key === taint && known.effect === 'NoExecute') ?? {
        key: taint,
        effect: 'NoExecute',
        timeAdded: timestamp(now)
      }
  )
  const wanted = [...noSchedule, ...noExecute]
  const taints = [
    ...present.filter((taint) => !OURS.has(taint.key) || wanted.includes(taint)),
    ...wanted.filter((taint) => !present.includes(taint))
  ]
  if (same(present, taints)) return []
  const asks = [
    merge(Node, node, {
      metadata: { uid: node.metadata.uid, resourceVersion: node.metadata.resourceVersion },
      spec: { taints: taints.length === 0 ? null : taints }
    })
  ]
  const was = present.some((taint) => taint.key === NOT_READY || taint.key === UNREACHABLE)
  if (ready !== 'True' && !was)
    asks.push(
      record(view, node, 'node-controller', 'Normal', 'NodeNotReady', `Node ${node.metadata.name} status is now: NodeNotReady`, now)
    )
  return asks
}

/** Pods whose toleration of a NoExecute taint has run out, and when the next one's will. */
const evictionsOf = (view: ObjectsView, node: NodeType, now: number): [Ask[], number | undefined] => {
  const taints = (node.spec?.taints ?? []).filter(({ effect }) => effect === 'NoExecute')
  if (taints.length === 0) return [[], undefined]
  const asks: Ask[] = []
  let next: number | undefined
  for (const { object: pod } of view.collection(PODS).indexed('node', node.metadata.name as string)) {
    if (isTerminating(pod)) continue
    const due = dueAt(taints, pod.spec.tolerations ?? [])
    if (due === undefined) continue
    if (due > now) next = next === undefined ? due : Math.min(next, due)
    else if (asks.length < BATCH) {
      asks.push(remove(Pod, pod))
      asks.push(
        record(
          view,
          pod,
          'taint-eviction-controller',
          'Normal',
          'TaintManagerEviction',
          `Marking for deletion Pod ${pod.metadata.namespace}/${pod.metadata.name}`,
          now
        )
      )
    } else next = now + 1_000
  }
  return [asks, next]
}

/** When the first of the taints is no longer tolerated; undefined: never. */
const dueAt = (taints: readonly Taint[], tolerations: readonly Toleration[]): number | undefined => {
  let due: number | undefined
  for (const taint of taints) {
    const matching = tolerations.filter(
      ({ key, effect, operator }) =>
        ((effect ?? '') === '' || effect === 'NoExecute') && ((key ?? '') === '' ? operator === 'Exists' : key === taint.key)
    )
    const added = Date.parse(taint.timeAdded ?? '') || 0
    const seconds =
      matching.length === 0 ? 0 : Math.min(...matching.map(({ tolerationSeconds }) => tolerationSeconds ?? Number.POSITIVE_INFINITY))
    if (!Number.isFinite(seconds)) continue
    due = Math.min(due ?? Number.POSITIVE_INFINITY, added + seconds * 1000)
  }
  return due
}
