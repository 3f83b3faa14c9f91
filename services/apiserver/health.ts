/** The API server's own checks: can the log be reached, does it take writes, is everything in it folded, is this the end? */
import type { NatsConnection } from '@nats-io/transport-node'
import type { Clock } from '#services/platform/Clock.ts'
import type { Appends } from '#services/platform/jetstream/Appends.ts'
import { isConnected, untilLost } from '#services/platform/jetstream/link.ts'
import type { View } from '#services/platform/View.ts'
import type { HealthCheck } from './http/health.ts'

/** An answer counts for so long: however many ask, the log is asked once. */
const FRESH_MS = 1_000
/** The log must answer within this. */
const ANSWER_MS = 2_000
/** How far behind, in time, a view may be. */
const BEHIND_MS = 10_000

/** The same answer for everybody who asks within FRESH_MS; after a failure the next one asks anew. */
const cached = <Answer>(clock: Clock, ask: () => Promise<Answer>): (() => Promise<Answer>) => {
  let known: { readonly at: number; readonly answer: Promise<Answer> } | undefined
  return () => {
    if (known !== undefined && clock.now() - known.at < FRESH_MS) return known.answer
    const mine = { at: clock.now(), answer: ask() }
    known = mine
    mine.answer.catch(() => {
      if (known === mine) known = undefined
    })
    return mine.answer
  }
}

const within = <Answer>(clock: Clock, ms: number, what: string, answer: Promise<Answer>): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const timer = clock.after(ms, () => reject(new Error(`${what} within ${ms} ms`)))
    answer.then(resolve, reject).finally(() => timer.cancel())
  })

export interface LogChecksOptions {
  readonly connection: NatsConnection
  readonly clock: Clock
  /** Views that see every entry of their stream. */
  readonly views: readonly View[]
  readonly appends: Appends
}

/** `log`: it is there and takes writes. `informer-sync` (as upstream calls it): what is in it is folded here. */
export const logChecks = ({ connection, clock, views, appends }: LogChecksOptions): readonly HealthCheck[] => {
  const ends = cached(clock, () =>
    within(
      clock,
      ANSWER_MS,
      'the log did not answer',
      untilLost(connection, () => Promise.all(views.map((view) => view.log.lastSequence())))
    )
  )
  const check = async (): Promise<void> => {
    if (!isConnected(connection)) throw new Error('there is no connection to the log')
    if (appends.last === 'full') throw new Error('the log has no room: the last write was refused')
    if (appends.last === 'unanswered' && appends.failures > 1)
      throw new Error(`the log answers, but takes no writes: the last ${appends.failures} were not acknowledged`)
    await ends()
  }
  /** By stream: an end of it that was seen, and when. */
  const wanted = new Map<string, { readonly sequence: number; readonly at: number }>()
  const folded = async (): Promise<void> => {
    // A log that can't be asked is the other check's to tell; what was seen of it must be folded all the same.
    const last = await ends().catch(() => undefined)
    const behind = views.filter((view, at) => {
      const before = wanted.get(view.name)
      if (before !== undefined && view.objects.sequence < before.sequence) return clock.now() - before.at > BEHIND_MS
      if (last !== undefined) wanted.set(view.name, { sequence: last[at] as number, at: clock.now() })
      return false
    })
    if (behind.length > 0)
      throw new Error(
        `not up to the log's end: ${behind.map((view) => `${view.name} is folded up to ${view.objects.sequence} of ${wanted.get(view.name)?.sequence}`).join(', ')}`
      )
  }
  return [
    { name: 'log', check },
    { name: 'informer-sync', check: folded }
  ]
}

/** `shutdown`: not ready once the process was told to end, so that nobody new is sent here. */
export class ShutdownCheck implements HealthCheck {
  readonly name = 'shutdown'
  #ending = false
  begin(): void {
    this.#ending = true
  }
  readonly check = (): void => {
    if (this.#ending) throw new Error('process is shutting down')
  }
}
