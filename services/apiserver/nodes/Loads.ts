/**
 * What each node's reports that wait take of REPORTS: one stream for all nodes, which lets go of the oldest when it is full, whosever they
 * are. A stream for each node would bound each by itself, and would cost every API server a consumer per node; so the bound is kept by
 * who works the reports off: a node that has more than its share loses its own oldest, and nobody else's.
 */

/** Undecided bytes of one node that are handed out: REPORTS has 512 MiB, on a small disk less. */
const MOST_BYTES = 32 * 1024 * 1024
/** Entries that wait in all, of which one node has the most: some thousand pods that all change at once are fewer. */
const MOST_BEHIND = 20_000
/** So many are handed out at once that whose they are tells whose the others are. */
const ENOUGH = 100

/** What a node keeps that has more than its share: of large entries few, of small ones as many as its pods may have. */
export const KEPT = { large: 64, many: 4_096 } as const

interface Load {
  entries: number
  bytes: number
}

export class Loads {
  readonly #nodes = new Map<string, Load>()
  #entries = 0

  add(node: string, size: number): void {
    const load = this.#nodes.get(node) ?? { entries: 0, bytes: 0 }
    load.entries += 1
    load.bytes += size
    this.#entries += 1
    this.#nodes.set(node, load)
  }
  take(node: string, size: number): void {
    const load = this.#nodes.get(node)
    if (load === undefined) return
    load.entries -= 1
    load.bytes -= size
    this.#entries -= 1
    if (load.entries <= 0) this.#nodes.delete(node)
  }
  /** How many of its entries it may keep, when it has more than its share; undefined: it has not. `behind`: what waits behind these. */
  excess(node: string, behind: number): number | undefined {
    const { entries, bytes } = this.#nodes.get(node) ?? { entries: 0, bytes: 0 }
    if (bytes > MOST_BYTES) return KEPT.large
    return behind > MOST_BEHIND && entries >= ENOUGH && entries * 2 > this.#entries ? KEPT.many : undefined
  }
}
