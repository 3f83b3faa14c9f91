/** Answers from outside as an event's reasons keep them, and back: what was decided with them can be decided again from the log alone. */
import { isConfidential } from '#events/confidential.ts'
import type { Reasons } from '#events/Event.ts'
import type { ResourceRef } from '#events/Key.ts'
import type { Answered } from '#services/apiserver/decision.ts'

interface Recorded {
  readonly id: string
  readonly kind: string
  readonly name: string
  readonly value?: unknown
  readonly error?: string
  /** True when the answer is about something confidential: reasons are headers, and lie open in the log. */
  readonly withheld?: true
}

/** In the order they were needed. */
export const recorded = (ref: ResourceRef, answers: ReadonlyMap<string, Answered>): readonly Recorded[] =>
  [...answers].map(([id, { kind, name, answer }]) => {
    if (isConfidential(ref)) return { id, kind, name, withheld: true }
    return answer.ok ? { id, kind, name, value: answer.value } : { id, kind, name, error: answer.error }
  })

/** By the need's id; empty when there were none, or what they were was withheld. */
export const answersIn = (reasons: Reasons | undefined): ReadonlyMap<string, Answered> => {
  const kept = Array.isArray(reasons?.['answers']) ? (reasons['answers'] as readonly Recorded[]) : []
  return new Map(
    kept
      .filter(({ withheld }) => withheld !== true)
      .map(({ id, kind, name, value, error }) => [
        id,
        { kind, name, answer: error === undefined ? { ok: true, value } : { ok: false, error } }
      ])
  )
}
