/** What nats-server says of its disk in its own log: to its clients it then says nothing at all. */
import { closeSync, openSync, readSync, statSync } from 'node:fs'

/** In an error or a warning; the rest is the operating system's own text (strerror). */
const CANNOT_WRITE =
  /^\[\d+\] \S+ \S+ \[(?:ERR|WRN|FTL)\] .*(?:no space left on device|disk quota exceeded|read-only file system|input\/output error)/im
/** Of what was written since the last look, the end. */
const LONGEST = 256 * 1024

export class Complaints {
  readonly #path: string
  #at = 0
  #file = 0
  #heard = false

  constructor(path: string) {
    this.#path = path
    this.reset()
  }
  /** What was said up to now is forgotten: it was another server's. */
  reset(): void {
    const stat = statSync(this.#path, { throwIfNoEntry: false })
    ;[this.#at, this.#file, this.#heard] = [stat?.size ?? 0, stat?.ino ?? 0, false]
  }
  /** True when it has said, since the last reset, that it could not write. */
  heard(): boolean {
    if (this.#heard) return true
    const stat = statSync(this.#path, { throwIfNoEntry: false })
    if (stat === undefined) return false
    // It begins a new file now and then.
    if (stat.ino !== this.#file || stat.size < this.#at) [this.#at, this.#file] = [0, stat.ino]
    if (stat.size === this.#at) return false
    const bytes = Buffer.alloc(Math.min(LONGEST, stat.size - this.#at))
    const file = openSync(this.#path, 'r')
    try {
      readSync(file, bytes, 0, bytes.length, stat.size - bytes.length)
    } finally {
      closeSync(file)
    }
    this.#at = stat.size
    this.#heard = CANNOT_WRITE.test(bytes.toString('latin1'))
    return this.#heard
  }
}
