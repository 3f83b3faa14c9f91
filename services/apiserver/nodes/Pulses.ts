/**
 * Takes the agents' pulses to the decider: the Node brought up to date, its Lease renewed. Of each node only the newest
 * pulse counts. One that fails is tried again until the next one comes, here or at another API server.
 */
import { timestamp } from '#events/meta/time.ts'
import { LEASES, NODES } from '#events/collections.ts'
import type { Pulse } from '#events/node/messages.ts'
import { Refusal } from '#events/Refusal.ts'
import type { Clock, Timer } from '#services/platform/Clock.ts'
import type { Views } from '#services/platform/Views.ts'
import type { Decider } from '#services/apiserver/Decider.ts'
import { intentsOfPulse, LEASE_NAMESPACE } from './decide.ts'
import { backOff, Later, submit } from './submit.ts'

/** Times it is drafted anew at once, because the state was another: a Lease that expired, a Node that was deleted or just made. */
const RACES = 5

export interface PulsesOptions {
  readonly views: Views
  readonly decider: Decider
  readonly clock: Clock
  readonly onError: (error: unknown) => void
}

interface Beat {
  pulse: Pulse
  /** The Lease's version when the pulse came: another one means that somebody has decided a later pulse. */
  lease: number
  failures: number
  busy: boolean
  rest: Timer | undefined
}

export class Pulses {
  readonly #options: PulsesOptions
  /** By node: what is not decided yet. */
  readonly #beats = new Map<string, Beat>()
  #stopped = false

  constructor(options: PulsesOptions) {
    this.#options = options
  }
  take(pulse: Pulse): void {
    if (this.#stopped) return
    const { node } = pulse
    const before = this.#beats.get(node)
    before?.rest?.cancel()
    const beat: Beat = { pulse, lease: this.#lease(node), failures: 0, busy: before?.busy === true, rest: undefined }
    this.#beats.set(node, beat)
    if (!beat.busy) void this.#decide(node)
  }
  stop(): void {
    this.#stopped = true
    for (const { rest } of this.#beats.values()) rest?.cancel()
  }
  #lease(node: string): number {
    return this.#options.views.get({ ...LEASES, namespace: LEASE_NAMESPACE, name: node })?.sequence ?? 0
  }
  async #decide(node: string): Promise<void> {
    const { clock, onError } = this.#options
    const beat = this.#beats.get(node) as Beat
    beat.busy = true
    let failed: unknown
    try {
      await this.#submit(beat.pulse)
    } catch (error) {
      failed = error
    }
    const now = this.#beats.get(node) as Beat
    now.busy = false
    if (this.#stopped) return
    if (now !== beat) return void this.#decide(node)
    if (failed === undefined) return void this.#beats.delete(node)
    beat.failures += 1
    if (beat.failures === 1) onError(failed)
    beat.rest = clock.after(backOff(beat.failures, clock, failed instanceof Later ? failed.afterMs : 0), () => {
      if (this.#lease(node) > beat.lease) this.#beats.delete(node)
      else void this.#decide(node)
    })
  }
  async #submit(pulse: Pulse): Promise<void> {
    for (let tries = 0; tries < RACES; tries++) if (await this.#asDrafted(pulse)) return
    throw new Later(`node ${pulse.node} is written by others all the time`)
  }
  /** False when the state was not, or is no longer, what the intents were drafted for. */
  async #asDrafted(pulse: Pulse): Promise<boolean> {
    const { views, clock, onError } = this.#options
    let refused = false
    for (const draft of intentsOfPulse(views, pulse, timestamp(clock.now()))) {
      const verdict = await submit(this.#options, pulse.node, draft)
      // What follows from a Node that may not be made can't be had either; the Lease can.
      if (verdict.what === 'outrun' && !refused) return false
      if (verdict.what === 'decided' && draft.verb === 'create' && draft.ref === NODES) return false
      if (verdict.what !== 'refused') continue
      refused = true
      onError(new Error(`the pulse of node ${pulse.node} was refused: ${verdict.status.message}`, { cause: Refusal.of(verdict.status) }))
    }
    return true
  }
}
