/**
 * Entries on their way to a fold, in order. A key is stored before what it seals, in another stream: an entry that came before
 * its key waits for it, and everything behind it.
 */
import type { LogEntry, Subscription } from '#events/Log.ts'
import type { Clock, Timer } from '#services/platform/Clock.ts'
import type { Vault } from './Vault.ts'

/** A key that has not come after so long was destroyed before anybody here heard of it. */
const KEY_MS = 5_000

export interface EarlyOptions {
  readonly vault: Vault
  readonly clock: Clock
  readonly onEntries: (entries: readonly LogEntry[]) => void
  /** What `onEntries` throws for entries that had waited; nothing is passed on any more. */
  readonly onFailed: (error: Error) => void
}

export class Early {
  readonly #options: EarlyOptions
  #waiting: LogEntry[] = []
  #timer: Timer | undefined
  #listening: Subscription | undefined
  #behind: (() => void) | undefined

  constructor(options: EarlyOptions) {
    this.#options = options
  }
  push(entries: readonly LogEntry[]): void {
    const { vault, onEntries } = this.#options
    const all = this.#waiting.length === 0 ? entries : [...this.#waiting, ...entries]
    const stop = this.#timer === undefined ? all.findIndex((entry) => vault.isEarly(entry)) : this.#waiting.length > 0 ? 0 : -1
    this.#waiting = stop < 0 ? [] : all.slice(stop)
    onEntries(stop < 0 ? all : all.slice(0, stop))
    if (this.#waiting.length === 0) return this.#passOn()
    if (this.#timer === undefined) this.#awaitKey()
  }
  /** Behind everything that was pushed so far: now, unless some of it waits. */
  behind(work: () => void): void {
    this.#behind = work
    if (this.#waiting.length === 0) this.#passOn()
  }
  #passOn(): void {
    const work = this.#behind
    this.#behind = undefined
    work?.()
  }
  /** What waits is not wanted any more: it will be pushed again. */
  reset(): void {
    this.close()
    this.#waiting = []
    this.#behind = undefined
  }
  close(): void {
    this.#listening?.close()
    this.#timer?.cancel()
    this.#timer = undefined
  }
  #awaitKey(): void {
    const { vault, clock, onEntries, onFailed } = this.#options
    const guarded = (work: () => void): void => {
      this.close()
      try {
        work()
      } catch (error) {
        onFailed(error instanceof Error ? error : new Error(String(error)))
      }
    }
    this.#listening = vault.keys.onChange(() => {
      if (!vault.isEarly(this.#waiting[0] as LogEntry)) guarded(() => this.push([]))
    })
    this.#timer = clock.after(KEY_MS, () => {
      const [first, ...rest] = this.#waiting as [LogEntry, ...LogEntry[]]
      this.#waiting = []
      guarded(() => {
        onEntries([first])
        this.push(rest)
      })
    })
  }
}
