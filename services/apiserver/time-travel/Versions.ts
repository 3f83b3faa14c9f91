/**
 * Old versions, from where the index of the past keeps them, or from the log; those that are asked for again and again (a dashboard
 * looking at one moment) are read once, within a budget.
 */
import { isConfidential } from '#events/confidential.ts'
import type { LogEntry } from '#events/Log.ts'
import { expired } from '#events/Refusal.ts'
import type { StreamName } from '#events/Subject.ts'
import type { Entry } from '#projections/Objects.ts'
import type { PastIndex } from '#services/platform/past/PastIndex.ts'
import type { View } from '#services/platform/View.ts'

const BUDGET = 12 * 1024 * 1024
/** Who reads a table parses it. */
const costOf = ({ bytes }: Entry): number => 2 * bytes

/** Old versions by stream and sequence, the most recently used ones kept. */
export class Versions {
  readonly #histories: ReadonlyMap<StreamName, PastIndex>
  readonly #budget: number
  readonly #kept = new Map<string, Entry>()
  #size = 0

  constructor(histories: ReadonlyMap<StreamName, PastIndex> = new Map(), budget = BUDGET) {
    this.#histories = histories
    this.#budget = budget
  }
  /** `subject`: the object's, where it is at hand. Throws 410, or rejects with it, when the version is not in the log any more. */
  read(view: View, sequence: number, subject?: string): Entry | Promise<Entry> {
    const key = `${view.stream}:${sequence}`
    const known = this.#kept.get(key)
    if (known !== undefined) {
      this.#kept.delete(key)
      this.#kept.set(key, known)
      return known
    }
    // Its seal is checked as if it came from the log; what is not right is read from there.
    const stored = this.#histories.get(view.stream)?.entryAt?.(sequence)
    const entry = stored !== undefined && stored.subject === (subject ?? stored.subject) ? view.versionOf(stored) : undefined
    if (entry !== undefined) return this.#keep(key, entry)
    return view.log.get(sequence, subject).then((found) => this.#taken(view, key, found, subject))
  }
  #taken(view: View, key: string, stored: LogEntry | undefined, subject: string | undefined): Entry {
    // An index whose file has rotted may say anything; nobody is shown another object for the one that was asked for.
    if (stored !== undefined && subject !== undefined && stored.subject !== subject)
      throw new Error(
        `${key} is of ${stored.subject}, not of ${subject}: the index of the past is not right, and is made anew when its folder is taken away`
      )
    const entry = stored === undefined ? undefined : view.versionOf(stored)
    if (entry === undefined) throw expired(`${view.stream} no longer has version ${key.slice(view.stream.length + 1)}`)
    return this.#keep(key, entry)
  }
  #keep(key: string, entry: Entry): Entry {
    // What may be erased tomorrow is opened anew each time.
    if (isConfidential(entry.key)) return entry
    if (!this.#kept.has(key)) this.#size += costOf(entry)
    this.#kept.set(key, entry)
    for (const [oldest, old] of this.#kept) {
      if (this.#size <= this.#budget) break
      this.#kept.delete(oldest)
      this.#size -= costOf(old)
    }
    return entry
  }
}
