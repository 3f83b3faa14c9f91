/**
 * The audit trail of what makes no event: refusals, failed logins, exec and its like, tokens, reads of Secrets. Sealed and
 * chained like the log itself.
 *
 * Nobody waits for it: a trail that can't be written must not be what keeps an administrator from mending the cause. What is
 * waiting is tried until it is stored; beyond a bound records are counted, and the count is the next thing written.
 */
import { LogRefused, type Append, type Log, type Subscription } from '#events/Log.ts'
import { encodeToken } from '#events/Subject.ts'
import { sleep, type Clock } from '#services/platform/Clock.ts'
import type { Integrity } from '#services/platform/ledger/Integrity.ts'
import { Allowance } from './Allowance.ts'
import { auditEvent, type Answered, type Asked } from './record.ts'

export interface AuditTrailOptions {
  readonly log: Log
  readonly clock: Clock
  readonly integrity?: Integrity
  /** True while there is no room for what is not the state itself: records are counted only. */
  readonly sheds?: () => boolean
  readonly onError: (error: unknown) => void
  /** After the start: the trail is not what was written (LogDamaged). */
  readonly onFailed?: (error: Error) => void
}

/** Waiting records, by count and bytes; beyond either they are counted only. */
const WAITING = 10_000
const WAITING_BYTES = 16 * 1024 * 1024
/** Stored at once. */
const BATCH = 100
/** A log that answers questions and does not take a record, so often, will not take it. */
const TRIES = 20
const FIRST_RETRY_MS = 250
const LAST_RETRY_MS = 10_000
const LONGEST_URI = 2_048
/** What else of a record is the client's to choose must not be what fills the trail. */
const LONGEST_AGENT = 256

/**
 * Anybody may ask for anything: an empty token, or a subject longer than the protocol's lines, is never stored, nor what waits behind it.
 */
const tokenOf = (text: string): string => (/^[a-z0-9.-]{1,128}$/.test(text) ? encodeToken(text) : '_')
const subjectOf = ({ verb, object }: Asked): string =>
  `audit.${tokenOf(verb)}.${object?.resource === undefined ? '_._' : `${(object.group ?? '') === '' ? 'core' : tokenOf(object.group as string)}.${tokenOf(object.resource)}`}`

const bounded = ({ userAgent, ...asked }: Asked): Asked => ({
  ...asked,
  requestURI: asked.requestURI.slice(0, LONGEST_URI),
  ...(userAgent === undefined ? {} : { userAgent: userAgent.slice(0, LONGEST_AGENT) })
})

const answers = (log: Log): Promise<boolean> =>
  log.lastSequence().then(
    () => true,
    () => false
  )

export class AuditTrail {
  readonly #options: AuditTrailOptions
  readonly #given: Allowance
  readonly #refused: Allowance
  readonly #queue: { readonly subject: string; readonly text: string }[] = []
  #bytes = 0
  #dropped = 0
  #pumping = false
  #drained: Promise<void> = Promise.resolve()
  #started = false
  #stopped = false
  #subscription: Subscription | undefined

  constructor(options: AuditTrailOptions) {
    this.#options = options
    this.#given = new Allowance(options.clock, { burst: 2_000, perSecond: 20 })
    this.#refused = new Allowance(options.clock, { burst: 200, perSecond: 5 })
  }
  /** Takes up the chain where it ended. Rejects with LogDamaged. */
  async start(): Promise<void> {
    const { log, integrity } = this.#options
    if (integrity === undefined) return
    const state = await log.state()
    const from = integrity.begin(state)
    await new Promise<void>((resolve, reject) => {
      this.#subscription = log.follow({
        from,
        onEntries: (entries) => {
          for (const entry of entries) integrity.take(entry)
          integrity.settle()
        },
        onCaughtUp: () => {
          this.#started = true
          resolve()
        },
        onFailed: (error) => {
          if (this.#started) this.#options.onFailed?.(error)
          reject(error)
        }
      })
    })
  }
  /** Resolves when what waits is stored; a log that is away takes as long as it takes. */
  async stop(): Promise<void> {
    await this.#drained
    this.#stopped = true
    this.#subscription?.close()
  }
  record(asked: Asked, answered: Answered): void {
    const allowance = (answered.status.code ?? 0) < 400 ? this.#given : this.#refused
    const leftOut = allowance.take(asked.user?.username ?? `nobody from ${asked.sourceIPs?.[0] ?? 'nowhere'}`)
    if (leftOut === undefined) return
    const annotations = leftOut === 0 ? answered.annotations : { ...answered.annotations, 'reckon.io/records-left-out': String(leftOut) }
    const text = JSON.stringify(auditEvent(bounded(asked), { ...answered, ...(annotations === undefined ? {} : { annotations }) }))
    if (this.#queue.length >= WAITING || this.#bytes + text.length > WAITING_BYTES || this.#options.sheds?.() === true) {
      this.#dropped += 1
      return
    }
    this.#bytes += text.length
    this.#queue.push({ subject: subjectOf(asked), text })
    this.#pump()
  }
  #pump(): void {
    if (this.#pumping || this.#stopped) return
    this.#pumping = true
    this.#drained = this.#drain()
  }
  async #drain(): Promise<void> {
    const { log, integrity, clock, onError } = this.#options
    let pause = FIRST_RETRY_MS
    let failures = 0
    // So many are stored one at a time: one of them is refused, and the others must not go with it.
    let alone = 0
    const took = (count: number): void => {
      this.#done(count)
      ;[pause, failures, alone] = [FIRST_RETRY_MS, 0, Math.max(0, alone - count)]
    }
    while (this.#queue.length > 0 && !this.#stopped) {
      const batch = this.#queue.slice(0, alone > 0 ? 1 : BATCH)
      const lost =
        this.#dropped === 0
          ? []
          : [
              {
                subject: 'audit.lost',
                text: JSON.stringify({
                  kind: 'Event',
                  apiVersion: 'audit.k8s.io/v1',
                  level: 'Metadata',
                  stage: 'Panic',
                  verb: 'lost',
                  annotations: { 'reckon.io/records-lost': String(this.#dropped) },
                  stageTimestamp: new Date(clock.now()).toISOString()
                })
              }
            ]
      const dropped = this.#dropped
      const appends = [...batch, ...lost].map(({ subject, text }): Append => ({
        subject,
        headers: { 'content-type': 'application/json', 'ce-time': new Date(clock.now()).toISOString() },
        text
      }))
      try {
        await log.append(appends.map((append) => integrity?.seal(append) ?? append))
      } catch (error) {
        failures += 1
        if ((error instanceof LogRefused && error.why !== 'full') || (failures >= TRIES && (await answers(log)))) {
          if (batch.length > 1) [alone, failures] = [batch.length, 0]
          else {
            onError(error)
            this.#dropped += 1
            took(1)
          }
          continue
        }
        // Stored or not: written again it stands there twice, with one audit id.
        await sleep(clock, pause)
        pause = Math.min(LAST_RETRY_MS, pause * 2)
        continue
      }
      this.#dropped -= dropped
      took(batch.length)
    }
    // In the same turn in which nothing was left: what is recorded a moment later begins anew.
    this.#pumping = false
  }
  #done(count: number): void {
    for (const { text } of this.#queue.splice(0, count)) this.#bytes -= text.length
  }
}
