/** History that was compacted is told by an event like any other: who did it, when, and from where on history is whole. Plain. */
import type { ObjectKey } from './Key.ts'
import type { KubeObject } from './KubeObject.ts'

export interface Compaction extends KubeObject {
  /** `time`: of the floor, RFC 3339; `kept`: versions of before. */
  readonly spec: { readonly floor: number; readonly time: string; readonly kept: number }
}

/** One object for all of history: its newest version tells the newest floor. No kind of the API. */
export const COMPACTION: ObjectKey<Compaction> = { group: 'reckon.io', resource: 'compactions', namespace: '', name: 'events' }

export const isCompaction = ({ group, resource }: ObjectKey): boolean => group === COMPACTION.group && resource === COMPACTION.resource

/** What readers are told who want to look behind it. */
export const compactedText = (floor: number, time: number): string =>
  `history up to resourceVersion ${floor} (${new Date(time).toISOString()}) was compacted: the cluster can be read as of then, and as of any later moment`
