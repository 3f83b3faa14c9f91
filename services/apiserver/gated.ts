/** A decider behind a gate: while it is closed nothing is decided, and everybody who asks hears why. Plain. */
import type { Damage } from '#events/Log.ts'
import { Refusal } from '#events/Refusal.ts'
import type { Decider } from './Decider.ts'

/**
 * @param closed the reason, undefined while the gate is open. Writes that are on their way when it closes are still stored: they
 * were decided on a state that was whole.
 */
export const gated = (decider: Decider, closed: () => Refusal | undefined): Decider => ({
  submit: (intent, user, ...rest) => {
    const refusal = closed()
    return refusal === undefined ? decider.submit(intent, user, ...rest) : Promise.resolve({ ok: false, status: refusal.status })
  }
})

/** 503: what would be acknowledged is in no home, and gone with the process. */
export const homeGone = (home: string, detail: string): Refusal =>
  new Refusal(
    503,
    'ServiceUnavailable',
    `the home ${home} is gone: ${detail}. Nothing is written, and the control plane ends; containers go on. \`reckon restore FOLDER\` brings a backup back, \`reckon up\` makes a new cluster`,
    { causes: [{ reason: 'HomeGone', message: detail }] }
  )

/** 503: what is in memory is whole and may be read, but nothing is built on a log that is not what was written. */
export const logDamaged = (damages: readonly Damage[]): Refusal =>
  new Refusal(
    503,
    'ServiceUnavailable',
    `the log is damaged: ${damages.map(({ detail }) => detail).join('; ')}. Nothing is written; what was there can still be read. \`reckon log verify\` says more, and a restart of the control plane offers the ways on`,
    { causes: damages.map(({ detail }) => ({ reason: 'LogDamaged', message: detail })) }
  )
