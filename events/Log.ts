/** The log's port: what the rest of reckon may ask of a stream. JetStream and memory are its two twins. */
import type { StreamName } from './Subject.ts'

/** Sequences from `first` to `last`, both included. */
export interface Range {
  readonly first: number
  readonly last: number
}

/** How what is there differs from what was: the log can no longer be taken for the cluster's state. */
export type DamageKind =
  /** The stream is not there at all. */
  | 'gone'
  /** Another stream stands under the name. */
  | 'replaced'
  /** It ends before the last entry that was acknowledged. */
  | 'shorter'
  /** Entries in its middle are missing. */
  | 'hole'
  /** Entries are not what they were. */
  | 'altered'
  /** Entries can't be read. */
  | 'unreadable'

export interface Damage {
  readonly stream: string
  readonly kind: DamageKind
  /** What is missing or not to be trusted, as far as it can be told. */
  readonly ranges: readonly Range[]
  /** Everything up to here is whole and verified. */
  readonly verified: number
  /** A sentence for a person: what was expected, what was found. */
  readonly detail: string
}

export class LogDamaged extends Error {
  override readonly name = 'LogDamaged'
  readonly damage: Damage
  constructor(damage: Damage) {
    super(damage.detail)
    this.damage = damage
  }
}

/**
 * What was being read is no longer all there, for good reasons (history was compacted meanwhile): it has to be read again from its
 * beginning.
 */
export class LogMoved extends Error {
  override readonly name = 'LogMoved'
}

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
  /** The subject the expectation is of, where it is another one: an entry that only guards. */
  readonly on?: string
  /** Of an append that goes alone: the stream must end here, so that nothing was stored in it since. */
  readonly after?: number
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

/** The log can't be reached. An append that rejects with it was not sent: it is not in the log, and will not be. */
export class LogAway extends Error {
  override readonly name = 'LogAway'
}

/** The log said no, for a reason that asking again does not change; the append is not in it. */
export class LogRefused extends Error {
  override readonly name = 'LogRefused'
  readonly why: 'full' | 'too-large' | 'malformed' | 'other'
  constructor(message: string, why: LogRefused['why'] = 'other') {
    super(message)
    this.why = why
  }
}

export interface Subscription {
  close(): void
}

/** What is left of history up to its floor, and how what comes behind it links on. */
export interface Base {
  /** The chain's hash at the floor, base64url. */
  readonly hash: string
  /** What all versions that are kept come to (`projections/Base.ts`), base64url. */
  readonly digest: string
  /** How many versions are kept: one of each object there was. */
  readonly entries: number
  /** Milliseconds since the epoch: when the last event up to the floor was decided. */
  readonly time: number
}

/** What a stream says of itself. */
export interface LogState {
  /** Who the stream is: set once when it is made. A stream of the same name made anew has another, or none. */
  readonly identity?: string
  /** Sequence of the first entry there is, at least 1. In an empty stream: the one the next entry gets. */
  readonly first: number
  /** Sequence of the last entry there ever was; 0 in a new stream. */
  readonly last: number
  readonly messages: number
  /** How many subjects have an entry: each object there is, and each that was deleted since the floor. Absent: it was not asked. */
  readonly subjects?: number
  /** What it takes on disk, before compression. */
  readonly bytes: number
  /** Entries before this one were written before entries were sealed, and are taken as they are. */
  readonly sealedFrom: number
  /** How often a loss was accepted. */
  readonly epoch: number
  /** Entries that are lost, which somebody has accepted: holes that stop no reader. */
  readonly losses: readonly Range[]
  /** Entries every reader passes over: not ours, or not readable, and put aside by somebody. */
  readonly quarantined: readonly number[]
  /** History up to here was compacted: of older entries only each object's last one is left. 0: all of history is there. */
  readonly floor: number
  /** There is one when there is a floor. */
  readonly base?: Base
}

export interface Follow {
  /** Deliver entries with sequence ≥ from. */
  readonly from: number
  /**
   * Of what stands up to here, deliver only what is the last entry of its subject: the state at this place, once what stands
   * behind it is delivered too. Undefined: everything.
   */
  readonly newestUpTo?: number
  /** Called with one or more entries in sequence order; never twice for a sequence, never past a hole nobody has accepted. */
  readonly onEntries: (entries: readonly LogEntry[]) => void
  /** Called once when everything that was in the stream at the start has been delivered, with that last sequence. */
  readonly onCaughtUp?: (lastSequence: number) => void
  /** The subscription ended for good: LogDamaged when the stream is not what it was. */
  readonly onFailed: (error: Error) => void
}

export interface ReadRange {
  /** The first and the last sequence, both included. */
  readonly from: number
  readonly to: number
  /** A subject, NATS wildcards allowed: other entries are left out. */
  readonly filter?: string
}

export interface Log {
  readonly stream: StreamName | (string & {})
  /**
   * Atomic: at most 1,000 appends; no subject twice that has an expectation; expectations are of what was before. Rejects with
   * AppendUncertain when the outcome is unknown, with LogAway
   * when there was nobody to send it to within `waitMs`, with LogRefused when the log said no.
   */
  append(appends: readonly Append[], waitMs?: number): Promise<AppendResult>
  follow(follow: Follow): Subscription
  /** `subject`, where it is known: spares a search when the entry is one that was kept at the floor. */
  get(sequence: number, subject?: string): Promise<LogEntry | undefined>
  /**
   * What is stored in a range, in order. Pulled: the next batch is fetched when it is asked for, so a slow reader holds one
   * batch (some hundred KiB, or one entry that is larger) and nothing on the server. Left-out sequences are not told.
   */
  read(range: ReadRange): AsyncIterable<readonly LogEntry[]>
  /** The last entry on a subject with sequence ≤ upTo. */
  lastOn(subject: string, upTo?: number): Promise<LogEntry | undefined>
  lastSequence(): Promise<number>
  state(): Promise<LogState>
}
