/**
 * A stream whose entries are worked off, as a port: each is delivered until somebody says that it is done with. Twins:
 * `jetstream/JetStreamWorkQueue.ts` (a durable consumer) and `MemoryWorkQueue.ts`.
 *
 * Several processes may consume at once; an entry is with one of them at a time. Their order is only kept while nothing
 * is delivered again, so who needs an order looks at what is `newest`.
 */
import type { LogEntry, Subscription } from '#events/Log.ts'

/** One entry on its way to being done with; its body is read when its turn comes, so that many waiting ones cost little. */
export interface Delivery {
  readonly subject: string
  readonly sequence: number
  /** Bytes of the body. */
  readonly size: number
  /**
   * It may have been delivered before, here or to somebody else, and be half done, or done. So is everything that was there when
   * consuming began: what the stream knew to be done with may be lost with its server.
   */
  readonly again: boolean
  /** How many entries wait behind it to be handed out. */
  readonly behind: number
  /** Never to be delivered again. What is said may be lost on its way: then it comes again after all. */
  done(): void
  /** Not to be delivered again for another `ACK_WAIT_MS`. */
  working(): void
  /** To be delivered again at once, to whomever. */
  giveBack(): void
}

export interface WorkQueue {
  /** Calls back with what is not done with, oldest first, at most `OUTSTANDING` at a time for all consumers together. */
  consume(onDelivery: (delivery: Delivery) => void, onError: (error: unknown) => void): Subscription
  /** The entry, or undefined when it has left the stream. Rejects when the stream does not answer. */
  read(sequence: number): Promise<LogEntry | undefined>
  /** The newest entry on a subject, as the stream's leader knows it: one that is stored already is never missed. */
  newest(subject: string): Promise<LogEntry | undefined>
  /** Takes away what is on the subjects (NATS wildcards allowed), done with or not, but for the newest `keep` entries. */
  trim(filter: string, keep: number): Promise<void>
}

/**
 * An entry nobody has said anything about for so long is delivered again: this is how long those of a process that was killed wait for
 * another.
 */
export const ACK_WAIT_MS = 4_000
/** Entries delivered and not done with. */
export const OUTSTANDING = 1_000
