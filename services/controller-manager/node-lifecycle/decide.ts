/**
 * The node lifecycle controller's decision: a node whose Lease is no longer renewed becomes Unknown and tainted; pods that
 * do not tolerate the taint go after their time (KEP-589, taint-based eviction).
 */
import { LEASES, NODES, PODS } from '#events/collections.ts'
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

export const NAME = 'node-lifecycle-controller'
export const LEASE_NAMESPACE = 'kube-node-lease'
const GRACE_MS = 40_000
const NOT_READY = 'node.kubernetes.io/not-ready'
const UNREACHABLE = 'node.kubernetes.io/unreachable'
const CONDITIONS = ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure']
/** Pods told to go in one decision: a lost node must not empty itself in one burst. */
const BATCH = 50

const APISERVER = 'apiserver.kubernetes.io/identity'
const APISERVER_NAMESPACE = 'kube-system'
/** An API server whose Lease is older than another's by so much is not there any more. */
const APISERVER_MS = 10_000

/**
 * Since when nodes could be heard without a break, milliseconds: their silence before that counts for nothing. What hears them is the
 * API servers, and each says in its Lease since when it holds it, anew after each time it could not renew it. No controller has to
 * remember when it began, so a new leader counts on from where the old one was. 0: nobody says.
 */
export const heardSince = (view: ObjectsView): number => {
  const held: { readonly renewed: number; readonly acquired: number }[] = []
  for (const { object } of view.collection(LEASES).list(APISERVER_NAMESPACE)) {
    if (object.metadata.labels?.[APISERVER] === undefined) continue
    const { renewTime, acquireTime } = object.spec ?? {}
    held.push({ renewed: Date.parse(renewTime ?? '') || 0, acquired: Date.parse(acquireTime ?? '') || 0 })
  }
  const newest = held.reduce((latest, { renewed }) => Math.max(latest, renewed), 0)
  const live = held.filter(({ renewed }) => newest - renewed <= APISERVER_MS)
  return live.length === 0 ? 0 : Math.min(...live.map(({ acquired }) => acquired))
}

export const decide = (view: ObjectsView, key: string, { now }: DecideContext): Decision => {
  const name = key.slice(key.indexOf('/') + 1)
  const node = view.get({ ...NODES, namespace: '', name })?.object
  if (node === undefined || isTerminating(node)) return NOTHING
  const lease = view.get({ ...LEASES, namespace: LEASE_NAMESPACE, name })
  // When the renewal was recorded: the node's own clock may be wrong.
  const renewed = Date.parse(lease?.facts.time ?? '') || Date.parse(lease?.object.spec?.renewTime ?? node.metadata.creationTimestamp ?? '')
  // A node that comes back says so in its status a moment before its Lease is renewed.
  const said = conditionOf(node, 'Ready')
  const heard =
    said === undefined || said.status === 'Unknown' ? 0 : Date.parse(said.lastHeartbeatTime ?? said.lastTransitionTime ?? '') || 0
  const silentFor = now - Math.max(renewed, heard, heardSince(view))
  const asks: Ask[] = []
  if (silentFor > GRACE_MS) asks.push(...unknown(node, now))
  const ready = silentFor > GRACE_MS ? 'Unknown' : (conditionOf(node, 'Ready')?.status ?? 'Unknown')
  // Both are locked to the version seen: the taints follow once the status is folded.
  if (asks.length === 0) asks.push(...taintAsks(view, node, ready, now))
  const [evictions, next] = evictionsOf(view, node, now)
  asks.push(...evictions)
  const again = silentFor > GRACE_MS ? [] : [GRACE_MS - silentFor + 100]
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
