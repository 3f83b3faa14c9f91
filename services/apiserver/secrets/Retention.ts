/**
 * When the keys of confidential objects go: some time after the object itself, so that a mistake can be undone and the past be
 * read for a while, and not for ever.
 */
import { SECRETS } from '#events/collections.ts'
import type { Subscription } from '#events/Log.ts'
import { isConfidential } from '#events/confidential.ts'
import type { Clock, Timer } from '#services/platform/Clock.ts'
import type { ObjectKeys } from '#services/platform/secrets/ObjectKeys.ts'
import type { Views } from '#services/platform/Views.ts'

const LOOK_MS = 60_000

export interface RetentionOptions {
  readonly views: Views
  readonly keys: ObjectKeys
  readonly clock: Clock
  /** Milliseconds from an object's deletion to its key's. Infinity: keys stay. */
  readonly keep: number
  /** Where there are several API servers: whether it is this one's turn. */
  readonly mine?: () => boolean
  readonly onError: (error: unknown) => void
}

export class Retention {
  readonly #options: RetentionOptions
  #subscription: Subscription | undefined
  #timer: Timer | undefined
  #stopped = false

  constructor(options: RetentionOptions) {
    this.#options = options
  }
  start(): void {
    const { views, keys, mine, onError } = this.#options
    this.#subscription = views.of(SECRETS).subscribe(({ type, entry, previous }) => {
      if (type === 'DELETED' && isConfidential(entry.key) && mine?.() !== false)
        keys.markDeleted((previous ?? entry).object.metadata.uid as string).catch(onError)
    })
    void this.#look()
  }
  stop(): void {
    this.#stopped = true
    this.#subscription?.close()
    this.#timer?.cancel()
  }
  /** Deletions that nobody was there to note are noted now; what is due goes. */
  async #look(): Promise<void> {
    const { views, keys, clock, keep, mine, onError } = this.#options
    try {
      if (mine?.() === false) return
      const live = new Set([...views.collection(SECRETS).values()].map(({ object }) => object.metadata.uid))
      for (const { uid, since } of [...keys.deleted()]) {
        if (this.#stopped) return
        if (live.has(uid)) await keys.unmarkDeleted(uid)
        else if (since === undefined) await keys.markDeleted(uid)
        else if (clock.now() - since >= keep) await keys.destroy(uid)
      }
    } catch (error) {
      onError(error)
    } finally {
      this.#later()
    }
  }
  #later(): void {
    if (!this.#stopped) this.#timer = this.#options.clock.after(LOOK_MS, () => void this.#look())
  }
}
