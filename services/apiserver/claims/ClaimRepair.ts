/** Looks at all claims when an API server starts, and every three minutes from then on, as upstream does; mends what is wrong. */
import type { Clock, Timer } from '#services/platform/Clock.ts'
import type { Views } from '#services/platform/Views.ts'
import type { ApiDecider } from '#services/apiserver/Decider.ts'
import { diagnose, mend, type Wrong } from './decide.ts'

const EVERY_MS = 180_000
/** Services mended at once: each is a batch of its own, and they travel together. */
const TOGETHER = 256
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
  #timer: Timer | undefined
  #stopped = false

  constructor(options: ClaimRepairOptions) {
    this.#options = options
  }
  /** Once now, and again and again. */
  start(): void {
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
  /** False when somebody else was faster, or it was right by now: the next look will tell. */
  #mend(wrong: Wrong): Promise<boolean> {
    const { decider, clock } = this.#options
    return decider.mend(wrong.owner, USER, (context) =>
      mend(wrong, { id: `repair-${clock.uuid()}`, source: 'apiserver', user: USER.username }, context)
    )
  }
}
