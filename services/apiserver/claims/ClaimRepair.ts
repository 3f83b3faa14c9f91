/**
 * Looks at all claims when an API server starts, and every three minutes from then on, as upstream does; mends what is wrong. An address
 * that somebody takes from the Service that has it is put back at once: until then it could be given to another.
 */
import { IP_ADDRESSES } from '#events/collections.ts'
import type { Subscription } from '#events/Log.ts'
import type { Change } from '#projections/Objects.ts'
import type { Clock, Timer } from '#services/platform/Clock.ts'
import type { Views } from '#services/platform/Views.ts'
import type { ApiDecider } from '#services/apiserver/Decider.ts'
import { diagnose, lostBy, mend, type Wrong } from './decide.ts'

const EVERY_MS = 180_000
/** Services mended at once: each is a batch of its own, and they travel together. */
const TOGETHER = 256
/** What goes with its Service goes in one batch: its end is heard by then. */
const SOON_MS = 50
const USER = { username: 'system:apiserver', groups: ['system:masters', 'system:authenticated'] }

export interface ClaimRepairOptions {
  readonly views: Views
  readonly decider: Pick<ApiDecider, 'mend'>
  readonly clock: Clock
  readonly onError: (error: unknown) => void
  /** True while nothing may be written: the next look will do. */
  readonly closed?: () => boolean
}

export class ClaimRepair {
  readonly #options: ClaimRepairOptions
  readonly #told = new Set<string>()
  /** By address: what is about to be put back. */
  readonly #soon = new Map<string, Timer>()
  #timer: Timer | undefined
  #subscription: Subscription | undefined
  #stopped = false

  constructor(options: ClaimRepairOptions) {
    this.#options = options
  }
  /** Once now, and again and again; and whenever an address is taken away. */
  start(): void {
    this.#subscription ??= this.#options.views.of(IP_ADDRESSES).subscribe((change) => this.#hear(change))
    const again = (): void => {
      if (!this.#stopped) this.#timer = this.#options.clock.after(EVERY_MS, () => this.start())
    }
    this.run().then(again, (error: unknown) => {
      this.#options.onError(error)
      again()
    })
  }
  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
    this.#subscription?.close()
    for (const timer of this.#soon.values()) timer.cancel()
  }
  /** Returns how many Services' claims were mended. */
  async run(): Promise<number> {
    const { views, onError, closed } = this.#options
    if (closed?.() === true) return 0
    const { wrong, disputed } = diagnose(views)
    for (const { owner, claim } of disputed) {
      const said = `the Service ${owner.namespace}/${owner.name} uses ${claim.resource} ${claim.name}, which is claimed by somebody else: recreate one of them`
      if (this.#told.has(said)) continue
      this.#told.add(said)
      onError(new Error(said))
    }
    let mended = 0
    for (let from = 0; from < wrong.length && !this.#stopped; from += TOGETHER) {
      const done = await Promise.all(wrong.slice(from, from + TOGETHER).map((one) => this.#mend(one)))
      mended += done.filter(Boolean).length
    }
    return mended
  }
  #hear({ type, entry }: Change): void {
    const { views, clock, onError, closed } = this.#options
    if (type !== 'DELETED' || entry.key.resource !== IP_ADDRESSES.resource || entry.key.group !== IP_ADDRESSES.group) return
    if (this.#stopped || this.#soon.has(entry.id)) return
    const look = (): void => {
      this.#soon.delete(entry.id)
      const wrong = closed?.() === true ? undefined : lostBy(views, entry)
      if (wrong !== undefined) this.#mend(wrong).catch(onError)
    }
    this.#soon.set(entry.id, clock.after(SOON_MS, look))
  }
  /** False when somebody else was faster, or it was right by now: the next look will tell. */
  #mend(wrong: Wrong): Promise<boolean> {
    const { decider, clock } = this.#options
    return decider.mend(wrong.owner, USER, (context) =>
      mend(wrong, { id: `repair-${clock.uuid()}`, source: 'apiserver', user: USER.username }, context)
    )
  }
}
