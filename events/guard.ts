/**
 * A guard: an entry that is stored with a decision's events if and only if an object the decision stands on, and does not write,
 * is still at the version it was decided on. The log checks one expectation per entry, and an event's own is on its own object.
 * It tells of no change: all guards are of one key, whose object is never there. Plain.
 */
import type { ObjectKey } from './Key.ts'

export const GUARDS: ObjectKey = { group: 'reckon.io', resource: 'guards', namespace: '', name: 'guard' }

export const isGuard = ({ group, resource }: ObjectKey): boolean => group === GUARDS.group && resource === GUARDS.resource

export interface Guard {
  /** The object that must not have changed. */
  readonly key: ObjectKey
  /** The sequence of its last event, 0 when it never had one. */
  readonly expected: number
}
