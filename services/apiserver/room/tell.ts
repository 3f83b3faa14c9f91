/** What the cluster is told of its log's disk: a condition of the node that has it, and a notice when it changes. Plain. */
import { NAMESPACES, NODES } from '#events/collections.ts'
import { noticeDraft } from '#events/core/notice.ts'
import type { Intent } from '#events/Intent.ts'
import { conditionOf } from '#events/meta/Conditions.ts'
import type { ObjectsView } from '#projections/Objects.ts'
import { atLeast, type Room } from '#services/platform/disk/decide.ts'
import type { Shortage } from './decide.ts'

type Draft = Omit<Intent, 'id' | 'source' | 'cause'>

export const CONDITION = 'LogDiskPressure'

const REASONS: Readonly<Record<Room, string>> = {
  plenty: 'LogHasSufficientDisk',
  low: 'LogDiskIsLow',
  'no-creates': 'LogDiskRefusesCreates',
  'deletes-only': 'LogDiskTakesDeletesOnly',
  none: 'LogDiskIsFull'
}

/**
 * Empty when the cluster has been told already. A node that never was short has no such condition.
 * @param now RFC 3339, seconds.
 */
export const tell = (view: ObjectsView, node: string, { room, words }: Shortage, now: string): readonly Draft[] => {
  const entry = view.get({ ...NODES, namespace: '', name: node })
  const pressed = atLeast(room, 'low')
  const reason = REASONS[room]
  const before = entry === undefined ? undefined : conditionOf(entry.object, CONDITION)
  if ((before?.reason ?? REASONS.plenty) === reason && (before?.message ?? words) === words) return []
  const status = pressed ? 'True' : 'False'
  // Without an agent there is no node to tell it of; kube-system is what every cluster has.
  const about = entry?.object ?? view.get({ ...NAMESPACES, namespace: '', name: 'kube-system' })?.object
  const notice =
    about === undefined
      ? []
      : [
          noticeDraft(view, {
            about,
            type: pressed ? 'Warning' : 'Normal',
            reason,
            message: words,
            component: 'apiserver',
            host: node,
            time: now
          })
        ]
  if (entry === undefined) return notice
  const condition = {
    type: CONDITION,
    status,
    reason,
    message: words,
    lastHeartbeatTime: now,
    lastTransitionTime: before?.status === status ? (before.lastTransitionTime ?? now) : now
  }
  // Beside the agent's own, behind them: without their order a patch puts what is new first.
  const known = (entry.object.status?.conditions ?? []).map(({ type }) => ({ type }))
  const order = known.some(({ type }) => type === CONDITION) ? known : [...known, { type: CONDITION }]
  const body = { status: { conditions: [condition], '$setElementOrder/conditions': order } }
  return [
    {
      verb: 'patch',
      ref: NODES,
      version: 'v1',
      namespace: '',
      name: node,
      subresource: 'status',
      patch: { type: 'application/strategic-merge-patch+json', body },
      options: { fieldManager: 'apiserver' }
    },
    ...notice
  ]
}
