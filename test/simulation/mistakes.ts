/** Mistakes that were made once, to be put back on purpose: the seeds must find each of them by themselves. */
import type { Log } from '#events/Log.ts'
import type { Decider } from '#services/apiserver/Decider.ts'

export interface Mistakes {
  /** BINDINGS as the publisher writes it. */
  bindings(log: Log): Log
  /** Who decides what agents report. */
  reports(decider: Decider): Decider
  /** Every scheduler and controller manager works, elected or not. */
  readonly unelected: boolean
  /** Leaders are elected, and their intents don't name their terms. */
  readonly unfenced: boolean
  /** Views take no notice of Leases that leave their stream by themselves. */
  readonly unexpired: boolean
}

export const NONE: Mistakes = { bindings: (log) => log, reports: (decider) => decider, unelected: false, unfenced: false, unexpired: false }

/** What could not be decided now, for want of a log, of room or of time, counts as decided. */
const hasty = (decider: Decider): Decider => ({
  submit: async (intent, user, once) => {
    const decided = { ok: true, code: 200, object: { apiVersion: 'v1', kind: 'Status', metadata: {} }, sequence: 0 } as const
    try {
      const result = await decider.submit(intent, user, once)
      return result.ok || (result.status.code ?? 500) < 429 ? result : decided
    } catch {
      return decided
    }
  }
})

/** Whoever writes last is right, whatever it knew. */
const careless = (log: Log): Log => ({
  stream: log.stream,
  append: (appends, waitMs) =>
    log.append(
      appends.map(({ expected: _, ...append }) => append),
      waitMs
    ),
  follow: (follow) => log.follow(follow),
  get: (sequence, subject) => log.get(sequence, subject),
  read: (range) => log.read(range),
  lastOn: (subject, upTo) => log.lastOn(subject, upTo),
  lastSequence: () => log.lastSequence(),
  state: () => log.state()
})

export interface PutBack {
  readonly name: string
  readonly mistakes: Mistakes
  /** How what comes of it is told. */
  readonly signs: RegExp
}

export const PUT_BACK: readonly PutBack[] = [
  {
    name: 'a report that can not be decided now counts as decided',
    mistakes: { ...NONE, reports: hasty },
    signs: /not converged|is said to|still has a container/
  },
  { name: 'views keep Leases that have expired', mistakes: { ...NONE, unexpired: true }, signs: /leases|Lease|not converged|nobody leads/ },
  {
    name: 'every scheduler and controller manager works',
    mistakes: { ...NONE, unelected: true },
    signs: /overcommitted|over its limit|over the limit/
  },
  { name: 'a deposed leader goes on', mistakes: { ...NONE, unfenced: true }, signs: /is of a term of/ },
  { name: 'an old BindingPublisher overwrites a newer one', mistakes: { ...NONE, bindings: careless }, signs: /binding \d+ of/ }
]
