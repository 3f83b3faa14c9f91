/** The log's port: what the rest of reckon may ask of a stream. JetStream and memory are its two twins. */
import type { StreamName } from './Subject.ts'

export interface LogEntry {
  readonly subject: string
  readonly sequence: number
  readonly headers: Readonly<Record<string, string>>
  /** The body, UTF-8. */
  readonly text: string
  /** Milliseconds since the epoch: when the log stored it. */
  readonly time: number
}

export interface Append {
  readonly subject: string
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
  /** The subject's last sequence must be this (0: the subject is empty); undefined: no expectation. */
  readonly expected?: number
}

/** All of the appends are stored, in order, at `first…last`; or none is. */
export type AppendResult =
  | { readonly ok: true; readonly first: number; readonly last: number }
  /** An expectation did not hold. `lastSequence` is what the log has, when it told. */
  | { readonly ok: false; readonly conflict: true; readonly lastSequence?: number }

/** The outcome of an append is unknown (time-out, lost connection): it may be in the log. */
export class AppendUncertain extends Error {
  override readonly name = 'AppendUncertain'
}

export interface Subscription {
  close(): void
}

export interface Follow {
  /** Deliver entries with sequence ≥ from. */
  readonly from: number
  /** Called with one or more entries in sequence order; never with a gap, never twice for a sequence. */
  readonly onEntries: (entries: readonly LogEntry[]) => void
  /** Called once when everything that was in the stream at the start has been delivered, with that last sequence. */
  readonly onCaughtUp?: (lastSequence: number) => void
  /** The subscription ended for good (a gap that can't be repaired, an unreadable stream). */
  readonly onFailed: (error: Error) => void
}

export interface Range {
  /** The first and the last sequence, both included. */
  readonly from: number
  readonly to: number
  /** A subject, NATS wildcards allowed: other entries are left out. */
  readonly filter?: string
}

export interface Log {
  readonly stream: StreamName | (string & {})
  /** Atomic: at most 1,000 appends; no subject twice. Rejects with AppendUncertain when the outcome is unknown. */
  append(appends: readonly Append[]): Promise<AppendResult>
  follow(follow: Follow): Subscription
  get(sequence: number): Promise<LogEntry | undefined>
  /**
   * What is stored in a range, in order. Pulled: the next batch is fetched when it is asked for, so a slow reader holds one
   * batch (about a hundred KiB, or one entry that is larger) and nothing on the server. Left-out sequences are not told.
   */
  read(range: Range): AsyncIterable<readonly LogEntry[]>
  /** The last entry on a subject with sequence ≤ upTo. */
  lastOn(subject: string, upTo?: number): Promise<LogEntry | undefined>
  lastSequence(): Promise<number>
  firstSequence(): Promise<number>
}
