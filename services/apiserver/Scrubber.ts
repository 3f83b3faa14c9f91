/**
 * Reads the log again, slowly and for ever, and holds it against what the ledger remembers: what rots on disk is noticed while
 * the state is still whole in memory, and not at a start years later.
 */
import { LogDamaged, type Damage, type DamageKind, type Log, type LogState, type Range } from '#events/Log.ts'
import { Base } from '#projections/Base.ts'
import { Chain } from '#projections/Chain.ts'
import { sleep, type Clock } from '#services/platform/Clock.ts'
import { beyond, textOfRanges } from '#services/platform/jetstream/metadata.ts'
import type { Ledger, Place } from '#services/platform/ledger/Ledger.ts'
import { MAC_HEADER, sha256, type Seal } from '#services/platform/ledger/Seal.ts'

export interface ScrubberOptions {
  readonly log: Log
  readonly ledger: Ledger
  readonly seal: Seal
  readonly clock: Clock
  /** Read per second, on average: a disk has other work. */
  readonly bytesPerSecond: number
  /** Between the end of one pass and the begin of the next, milliseconds. */
  readonly pauseMs: number
  /** The log is not what it was. Called once; nothing is read any more. */
  readonly onDamage: (damage: Damage) => void
  /** Every remembered place was reached and agreed. */
  readonly onPass?: (upTo: number) => void
}

/** A stretch that can't be read is tried again; the server may only be away. */
const TRIES = 4
const RETRY_MS = 15_000

export class Scrubber {
  readonly #options: ScrubberOptions
  readonly #ending = new AbortController()

  constructor(options: ScrubberOptions) {
    this.#options = options
  }
  start(): void {
    void this.#run()
  }
  stop(): void {
    this.#ending.abort()
  }
  get #stopped(): boolean {
    return this.#ending.signal.aborted
  }
  #rest(ms: number): Promise<void> {
    return sleep(this.#options.clock, ms, this.#ending.signal)
  }
  async #run(): Promise<void> {
    const { pauseMs, onDamage } = this.#options
    while (!this.#stopped) {
      try {
        await this.#pass()
      } catch (error) {
        if (error instanceof LogDamaged) return onDamage(error.damage)
        // The log can't be asked at all: others notice that.
      }
      await this.#rest(pauseMs)
    }
  }
  /** From remembered place to remembered place: each stretch is checked by itself, and names itself when it is wrong. */
  async #pass(): Promise<void> {
    const { log, ledger, onPass } = this.#options
    const places = [...ledger.marks(), ledger.head()].filter(({ hash }) => hash !== undefined)
    const state = await log.state()
    const { first, floor, base } = state
    if (base !== undefined) await this.#kept(state)
    // What was compacted is no part of the chain: it goes on from the floor.
    let from: Place | undefined =
      base !== undefined ? { sequence: floor, hash: Buffer.from(base.hash, 'base64url') } : first === 1 ? { sequence: 0 } : undefined
    for (const to of places) {
      if (this.#stopped) return
      if (from !== undefined && to.sequence > from.sequence) await this.#stretch(from, to)
      if (from === undefined ? to.sequence >= first - 1 : to.sequence > from.sequence) from = to
    }
    if (from !== undefined && !this.#stopped) onPass?.(from.sequence)
  }
  /** What was kept when history was compacted. */
  async #kept(state: LogState): Promise<void> {
    const { first, floor, base } = state
    const { log, ledger, seal, bytesPerSecond } = this.#options
    const found = new Base()
    for await (const entries of log.read({ from: 1, to: floor })) {
      let bytes = 0
      for (const { sequence, subject, headers, text } of entries) {
        const digest = seal.digest(log.stream, { subject, headers, text })
        if (seal.counts({ sequence, headers }, digest, state)) found.take(subject, sequence, digest, headers['reckon-deleted'] === 'true')
        bytes += text.length
      }
      await this.#rest((bytes / bytesPerSecond) * 1_000)
      if (this.#stopped) return
    }
    const noted = ledger.floors().find((one) => one.floor === floor) ?? base
    if (Buffer.from(found.digest(sha256)).toString('base64url') === noted?.digest) return
    // What is kept moves while history is compacted: it may have been looked for where it was no more, and not yet where it is.
    const now = await log.state()
    if (now.floor !== floor || now.first !== first) return
    throw this.#damaged(
      'altered',
      [{ first: 1, last: floor }],
      `of the ${noted?.entries} versions that were kept when history was compacted up to ${floor}, ${found.entries} are there, and they are not what was noted`
    )
  }
  async #stretch(from: Place, to: Place): Promise<void> {
    const { log } = this.#options
    for (let tries = 1; ; tries++) {
      try {
        return await this.#read(from, to)
      } catch (error) {
        if (error instanceof LogDamaged) throw error
        if (this.#stopped) return
        const state = await log.state()
        if (tries >= TRIES)
          throw this.#damaged(
            'unreadable',
            [{ first: from.sequence + 1, last: to.sequence }],
            `events ${from.sequence + 1}-${to.sequence} can't be read: ${error instanceof Error ? error.message : String(error)}`
          )
        // What expired meanwhile is not missing.
        if (state.first > from.sequence + 1) return
        await this.#rest(RETRY_MS)
        if (this.#stopped) return
      }
    }
  }
  async #read(from: Place, to: Place): Promise<void> {
    const { log, seal, bytesPerSecond } = this.#options
    const chain = from.hash === undefined ? new Chain(sha256) : new Chain(sha256, from.sequence, from.hash)
    const suspects: number[] = []
    const gaps: Range[] = []
    for await (const entries of log.read({ from: from.sequence + 1, to: to.sequence })) {
      let bytes = 0
      for (const entry of entries) {
        if (entry.sequence > chain.sequence + 1) gaps.push({ first: chain.sequence + 1, last: entry.sequence - 1 })
        const digest = seal.digest(log.stream, entry)
        if (!seal.verifies(digest, entry.headers[MAC_HEADER])) suspects.push(entry.sequence)
        chain.extend(entry.sequence, digest)
        bytes += entry.text.length
      }
      await this.#rest((bytes / bytesPerSecond) * 1_000)
      if (this.#stopped) return
    }
    if (chain.sequence < to.sequence) gaps.push({ first: chain.sequence + 1, last: to.sequence })
    if (chain.sequence === to.sequence && Buffer.compare(chain.head, to.hash as Uint8Array) === 0) return
    this.#judge(from, to, gaps, suspects, await log.state())
  }
  #judge(from: Place, to: Place, gaps: readonly Range[], suspects: readonly number[], { first, losses, floor }: LogState): void {
    // Compacted or expired while it was read.
    if (first > from.sequence + 1 || floor > from.sequence) return
    const open = gaps.filter((gap) => beyond(losses, gap.first) <= gap.last)
    if (open.length > 0) throw this.#damaged('hole', open, `events ${textOfRanges(open)} are missing`)
    const ranges = suspects.length > 0 ? suspects.map((at) => ({ first: at, last: at })) : [{ first: from.sequence + 1, last: to.sequence }]
    throw this.#damaged(
      'altered',
      ranges,
      `${suspects.length > 0 ? `events ${textOfRanges(ranges)} are` : `some of the events ${textOfRanges(ranges)} are`} not what was written`
    )
  }
  #damaged(kind: DamageKind, ranges: readonly Range[], detail: string): LogDamaged {
    const { stream } = this.#options.log
    return new LogDamaged({ stream, kind, ranges, verified: Math.max(0, (ranges[0]?.first ?? 1) - 1), detail: `${stream}: ${detail}` })
  }
}
