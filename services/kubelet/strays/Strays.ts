/** Pods that run here without a binding: kept while the log is asked what became of them, as often as it takes. */
import { STRAYS_ASKED } from '#events/node/messages.ts'
import type { Clock, Timer } from '#services/platform/Clock.ts'
import type { NodeLink } from '#services/platform/NodeLink.ts'
import type { Identity } from '#services/platform/Runtime.ts'
import type { Allegiance } from './Allegiance.ts'
import { decideStrays } from './decide.ts'

const FIRST_RETRY_MS = 1_000
/** Between asking, when nobody answers and when the answer ends nothing. */
const ASK_MS = 60_000

export interface StraysOptions {
  readonly link: Pick<NodeLink, 'fates'>
  readonly clock: Clock
  readonly allegiance: Allegiance
  /** Uids of the pods that have containers here. */
  readonly present: () => Promise<ReadonlySet<string>>
  /** `gracefully`: with the pod's time to end. */
  readonly end: (identity: Identity, gracefully: boolean) => void
  /** What is known of them is another: `unknown` are let run. */
  readonly onChanged: (unknown: readonly Identity[]) => void
  readonly onError: (error: unknown) => void
}

export class Strays {
  readonly #options: StraysOptions
  /** By uid. */
  readonly #pods = new Map<string, Identity>()
  #unknown: readonly Identity[] = []
  #timer: Timer | undefined
  #failures = 0
  #stopped = false

  constructor(options: StraysOptions) {
    this.#options = options
  }
  get unknown(): readonly Identity[] {
    return this.#unknown
  }
  add(identity: Identity): void {
    this.#pods.set(identity.podUid, identity)
  }
  /** A binding came: it is no stray any more, and another pod of that name is one that went before. */
  bound(namespace: string, name: string, uid: string): void {
    this.#pods.delete(uid)
    this.unbound(namespace, name, false)
  }
  /** The word that the pod of that name is gone. */
  unbound(namespace: string, name: string, gracefully: boolean): void {
    for (const identity of [...this.#pods.values()])
      if (identity.namespace === namespace && identity.pod === name) this.#end(identity.podUid, gracefully)
    this.#settle(this.#unknown)
  }
  /** Asks now, and again until there are none. */
  start(): void {
    void this.#ask()
  }
  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }
  async #ask(): Promise<void> {
    const { clock, onError } = this.#options
    if (this.#stopped || this.#pods.size === 0) return
    let wait = ASK_MS
    try {
      await this.#round()
      this.#failures = 0
    } catch (error) {
      // Nobody answers: everything stays as it is.
      if (this.#failures++ === 0) onError(error)
      wait = Math.min(ASK_MS, FIRST_RETRY_MS * 2 ** Math.min(this.#failures - 1, 10))
    }
    if (!this.#stopped && this.#pods.size > 0) this.#timer = clock.after(wait, () => void this.#ask())
  }
  async #round(): Promise<void> {
    const { link, allegiance, present } = this.#options
    const here = await present()
    for (const uid of this.#pods.keys()) if (!here.has(uid)) this.#pods.delete(uid)
    const unknown: Identity[] = []
    const all = [...this.#pods.values()]
    for (let at = 0; at < all.length; at += STRAYS_ASKED) {
      const asked = all.slice(at, at + STRAYS_ASKED)
      const answer = await link.fates(
        asked.map(({ podUid, namespace, pod, podStart }) => ({ namespace, name: pod, uid: podUid, since: podStart }))
      )
      if (this.#stopped) return
      const decision = decideStrays(
        asked.map(({ podUid }) => podUid),
        answer,
        allegiance.origin
      )
      // Known or refused by whom it came from, like every other word.
      if (!allegiance.accepts(answer.origin)) return
      for (const uid of decision.end) this.#end(uid, false)
      for (const uid of decision.stop) this.#end(uid, true)
      const strange = new Set(decision.unknown)
      unknown.push(...asked.filter(({ podUid }) => strange.has(podUid)))
    }
    this.#settle(unknown)
  }
  #end(uid: string, gracefully: boolean): void {
    const identity = this.#pods.get(uid)
    if (identity === undefined) return
    this.#pods.delete(uid)
    this.#options.end(identity, gracefully)
  }
  #settle(unknown: readonly Identity[]): void {
    const left = unknown.filter(({ podUid }) => this.#pods.has(podUid))
    const before = this.#unknown
    this.#unknown = left
    if (left.length !== before.length || left.some(({ podUid }) => !before.some((one) => one.podUid === podUid)))
      this.#options.onChanged(left)
  }
}
