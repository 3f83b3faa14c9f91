/**
 * Where several API servers live, a read that names no version is as new as the log: what another one has acknowledged is here before
 * it is answered. One question to the log is enough for all that came before it was asked. While the log does not answer, reads go on
 * with what is here.
 */
import { sleep, type Clock } from '#services/platform/Clock.ts'
import type { View } from '#services/platform/View.ts'

/** Longer is not waited for a log that is away, or a view that is behind. */
const PATIENCE_MS = 1_000

interface Asked {
  readonly now: Promise<void>
  /** For those who came meanwhile. */
  next: Promise<void> | undefined
}

export class Freshness {
  readonly #several: () => boolean
  readonly #clock: Clock
  readonly #asked = new Map<View, Asked>()

  constructor(several: () => boolean, clock: Clock) {
    this.#several = several
    this.#clock = clock
  }
  /** Undefined: nobody else writes. Never rejects. */
  readonly of = (view: View): Promise<void> | undefined => {
    if (!this.#several()) return undefined
    const asked = this.#asked.get(view)
    if (asked === undefined) return this.#ask(view)
    return (asked.next ??= asked.now.then(() => this.#asked.get(view)?.now ?? this.#ask(view)))
  }
  #ask(view: View): Promise<void> {
    const upTo = async (): Promise<void> => view.waitFor(await view.log.lastSequence(), PATIENCE_MS)
    const given = new AbortController()
    const now = Promise.race([upTo().catch(() => {}), sleep(this.#clock, PATIENCE_MS, given.signal)]).then(() => {
      given.abort()
      if (this.#asked.get(view)?.now === now) this.#asked.delete(view)
    })
    this.#asked.set(view, { now, next: undefined })
    return now
  }
}
