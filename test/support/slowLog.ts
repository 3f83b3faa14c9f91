/** A log whose beginning takes a while: whoever reads it from there waits until it is let go, as for a long one. */
import type { Follow, Log, LogState, Subscription } from '#events/Log.ts'

export class SlowLog implements Log {
  readonly #log: Log
  #held: (() => void)[] | undefined = []
  /** Where those that followed it began. */
  readonly from: number[] = []

  constructor(log: Log) {
    this.#log = log
  }
  get stream(): Log['stream'] {
    return this.#log.stream
  }
  follow(follow: Follow): Subscription {
    this.from.push(follow.from)
    if (this.#held === undefined || follow.from > 1) return this.#log.follow(follow)
    let inner: Subscription | undefined
    let closed = false
    this.#held.push(() => void (closed || (inner = this.#log.follow(follow))))
    return { close: () => ((closed = true), inner?.close()) }
  }
  /** What was held back comes. */
  release(): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const go of held) go()
  }
  state = (): Promise<LogState> => this.#log.state()
  append: Log['append'] = (...given) => this.#log.append(...given)
  get: Log['get'] = (...given) => this.#log.get(...given)
  read: Log['read'] = (range) => this.#log.read(range)
  lastOn: Log['lastOn'] = (...given) => this.#log.lastOn(...given)
  lastSequence = (): Promise<number> => this.#log.lastSequence()
}
