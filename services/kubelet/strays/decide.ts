/**
 * What to do with pods that run here and that nobody bound to this node. Nothing is stopped because it is missing from
 * somewhere: only the log's word ends a pod, and only the word of the cluster that began it.
 */
import type { Fate, FateAnswer, Origin } from '#events/node/messages.ts'

export type Standing =
  /** The cluster this node belongs to, or, for a node that belongs to none yet, the one it belongs to from now on. */
  | 'own'
  /** The same node in a cluster that began anew after a person accepted a loss of its log. */
  | 'renewed'
  | 'foreign'

/** Whether what is said counts. `known`: whom this node listened to so far. What names no cluster was written before they were named. */
export const standingOf = (known: Origin | undefined, said: Origin | undefined): Standing => {
  if (said === undefined || known === undefined || known.cluster === said.cluster) return 'own'
  return said.epoch > known.epoch ? 'renewed' : 'foreign'
}

export interface StraysDecision {
  /** Uids: the log tells of their end. */
  readonly end: readonly string[]
  /** Uids: to be stopped with their time to end. */
  readonly stop: readonly string[]
  /** Uids the log never heard of. They are let run. */
  readonly unknown: readonly string[]
  /** Nobody who counts has answered. */
  readonly foreign: boolean
}

/** `asked`: uids in the order they were asked for. An answer that is too short says nothing about the rest. */
export const decideStrays = (asked: readonly string[], { origin, fates }: FateAnswer, known: Origin | undefined): StraysDecision => {
  if (standingOf(known, origin) === 'foreign') return { end: [], stop: [], unknown: [], foreign: true }
  const those = (fate: Fate): string[] => asked.filter((_, at) => fates[at] === fate)
  return { end: those('gone'), stop: those('lost'), unknown: those('unknown'), foreign: false }
}

export interface Condition {
  readonly type: 'UnknownPods'
  readonly status: 'True' | 'False'
  readonly reason: string
  readonly message: string
}

/** As many names as a condition shows. */
const SHOWN = 5

/** The node's condition. `unknown`: `ns/name` of pods that run here and that the log knows nothing of. */
export const conditionOf = (unknown: readonly string[], foreign: string): Condition => {
  if (foreign !== '') return { type: 'UnknownPods', status: 'True', reason: 'OtherCluster', message: foreign }
  if (unknown.length === 0)
    return { type: 'UnknownPods', status: 'False', reason: 'AllPodsKnown', message: 'the cluster knows every pod that runs here' }
  const names = [...unknown].sort().slice(0, SHOWN)
  const more = unknown.length > names.length ? ` and ${unknown.length - names.length} more` : ''
  const [run, are] = unknown.length === 1 ? ['a pod runs', 'is'] : [`${unknown.length} pods run`, 'are']
  const message = `${run} here that the cluster's log knows nothing of, and ${are} let run: ${names.join(', ')}${more}`
  return { type: 'UnknownPods', status: 'True', reason: 'PodsUnknownToCluster', message }
}
