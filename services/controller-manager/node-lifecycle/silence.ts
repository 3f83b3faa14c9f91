/**
 * For how long nothing was heard of a node, by the log's clock alone: every entry has the time the log stored it, so a silence is what
 * lies between two entries. What clients, API servers and this controller take for the time is compared with nobody's. Upstream's
 * controller measures from when it saw the Lease change last, which a new leader does not know; the log knows it. Plain.
 */
import { LEASES } from '#events/collections.ts'
import type { Node } from '#events/schema/generated/core.v1.ts'
import { conditionOf } from '#events/meta/Conditions.ts'
import type { Entry, ObjectsView } from '#projections/Objects.ts'

export const LEASE_NAMESPACE = 'kube-node-lease'
const APISERVER = 'apiserver.kubernetes.io/identity'
const APISERVER_NAMESPACE = 'kube-system'
/** An API server whose Lease is older than another's by so much is not there any more. */
const APISERVER_MS = 10_000

/** Milliseconds, by the log's clock. Events that come from no log have their writer's time only. */
const storedAt = ({ facts }: Entry): number => facts.stored ?? (Date.parse(facts.time) || 0)

const timeOf = (value: unknown): number => Date.parse(typeof value === 'string' ? value : '') || 0

export interface Listening {
  /** From when on nodes could be heard without a break: their silence before that counts for nothing. */
  readonly since: number
  /** Up to when: a silence behind that may be the API servers' own. */
  readonly until: number
}

/**
 * What hears nodes is the API servers, and each says in its Lease since when it holds it, anew after each time it could not renew it. How
 * long that was is the difference of two times of its own; when, is the log's. No controller has to remember when it began, so a new
 * leader counts on from where the old one was. Undefined: nobody listens.
 */
export const listening = (view: ObjectsView): Listening | undefined => {
  const held: Listening[] = []
  for (const entry of view.collection(LEASES).list(APISERVER_NAMESPACE)) {
    if (entry.object.metadata.labels?.[APISERVER] === undefined) continue
    const { renewTime, acquireTime } = entry.object.spec ?? {}
    const until = storedAt(entry)
    held.push({ until, since: until - Math.max(0, timeOf(renewTime) - timeOf(acquireTime)) })
  }
  const until = Math.max(...held.map((one) => one.until))
  const live = held.filter((one) => until - one.until <= APISERVER_MS)
  return live.length === 0 ? undefined : { until, since: Math.min(...live.map(({ since }) => since)) }
}

/** Milliseconds, of a node. */
export const silenceOf = (view: ObjectsView, node: Entry<Node>): number => {
  const heard = listening(view)
  if (heard === undefined) return 0
  const lease = view.get({ ...LEASES, namespace: LEASE_NAMESPACE, name: node.key.name })
  // One that never had a Lease, or whose Lease has left its stream, was heard of when it was made or changed.
  const renewed = storedAt(lease ?? node)
  return Math.max(0, heard.until - Math.max(renewed, saidAt(node), heard.since))
}

/**
 * When a node said in its status that it is there: one that comes back may say so before its Lease is renewed. Its time is an API
 * server's; how long before the last change of the Node that was, is taken from the times of both.
 */
const saidAt = (node: Entry<Node>): number => {
  const ready = conditionOf(node.object, 'Ready')
  if (ready === undefined || ready.status === 'Unknown') return 0
  const said = timeOf(ready.lastHeartbeatTime ?? ready.lastTransitionTime)
  const changed = Date.parse(node.facts.time) || storedAt(node)
  return said === 0 ? 0 : storedAt(node) - Math.max(0, changed - said)
}
