/** History that was compacted is told by an event like any other: who did it, when, and from where on history is whole. Plain. */
import type { ObjectKey } from './Key.ts'

/** One object for all of history: its newest version tells the newest floor. No kind of the API. */
export const COMPACTION: ObjectKey = { group: 'reckon.io', resource: 'compactions', namespace: '', name: 'events' }

export const isCompaction = ({ group, resource }: ObjectKey): boolean => group === COMPACTION.group && resource === COMPACTION.resource

/** What readers are told who want to look behind it. */
export const compactedText = (floor: number, time: number): string =>
  `history up to resourceVersion ${floor} (${new Date(time).toISOString()}) was compacted: the cluster can be read as of then, and as of any later moment`
