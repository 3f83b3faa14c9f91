/**
 * Where the past is: which version of each object was live at any moment, and when each moment was. Bodies stay in the log. The
 * port has two twins: on disk (`services/historian/`), and in memory for tests and the simulation.
 */
import type { ResourceRef } from '#events/Key.ts'
import type { LogEntry } from '#events/Log.ts'
import type { StreamName } from '#events/Subject.ts'
import type { Version } from '#projections/History.ts'
import type { Place } from '#services/platform/ledger/Ledger.ts'
import type { Keyframe, Standing } from './Keyframe.ts'

/** What is known of a version before it is read. What is absent is not known, and may be anything. */
export interface Traits {
  readonly labels?: Readonly<Record<string, string>>
  /** Of those a field selector can name. */
  readonly fields?: Readonly<Record<string, string>>
}

/** False: no object with these traits is wanted, whatever is not known of it. Asked once for all objects that share some of them. */
export type Narrow = (traits: Traits) => boolean

/** What readers of the past ask. */
export interface PastIndex {
  readonly stream: StreamName
  /** Everything up to here is told; what is behind it is not known yet. */
  readonly lastSequence: number
  /** Milliseconds: when history begins; undefined while nothing is told. */
  readonly firstTime: number | undefined
  /** What was before is not all there: 0 when everything is. */
  readonly floor: number
  /** What was before this place is not told yet, but will be: it began at a keyframe. 0, or absent: everything is told. */
  readonly begins?: number
  /** How far what was before is read meanwhile. */
  readonly filled?: number
  /** Only the last version of each object is kept: of a moment before it, nothing can be said. */
  readonly forgets?: true
  /** The last sequence stored at or before `time` (milliseconds); 0 before the first. */
  sequenceAt(time: number): number
  /** When the last event up to `sequence` was decided; undefined before the first. */
  timeOf(sequence: number): number | undefined
  /** The version of an object (`namespace/name`) that was live at `sequence`. */
  versionAt(ref: ResourceRef, id: string, sequence: number): number | undefined
  /** Whether the object was deleted after `sequence`, and so is perhaps another one now. */
  deletedSince(ref: ResourceRef, id: string, sequence: number): boolean
  /**
   * The objects of a collection that were live at `sequence`, in the order lists show them. `narrow`: those it says no of may be left
   * out.
   */
  liveAt(ref: ResourceRef, sequence: number, namespace?: string, narrow?: Narrow): readonly Version[] | Promise<readonly Version[]>
  /** The places of all its versions, ascending, deletions among them. */
  placesOf?(ref: ResourceRef, id: string): readonly number[]
  /** An entry as it was followed, where it is at hand here; the log has it in any case. */
  entryAt?(sequence: number): LogEntry | undefined
  /** Whether everything up to `sequence` is told, now or within `timeoutMs`. */
  reaches(sequence: number, timeoutMs: number): Promise<boolean>
}

/** One entry as it is taken: `event` is false for what is passed over, which is a place in time all the same. */
export interface Taken {
  readonly entry: LogEntry
  readonly event: boolean
}

/** How far an index is: what it holds, and the chain's place there, which need not be the same when the stream's end was lost. */
export interface Reached {
  readonly sequence: number
  readonly chain?: Place
}

/** What the historian keeps. Contents and place change together or not at all, whatever ends the process. */
export interface PastStore extends PastIndex {
  /** Another one each time the contents are begun anew. */
  readonly making: string
  /** Of what stands at `lastSequence`, as it was folded and not as it is found; absent where that is not known, or is one and the same. */
  readonly tally?: Uint8Array | undefined
  /** Begins with what stood at a keyframe, in an index that is empty. */
  seed(keyframe: Pick<Keyframe, 'sequence' | 'hash' | 'time' | 'standing'>): void
  /** Every object that was there at `sequence`. */
  standingAt(sequence: number): readonly Standing[] | Promise<readonly Standing[]>
  /** Where to go on. What is of another stream, or can't be read, is dropped: then at 0. */
  begin(identity: string): Reached
  /** In order; entries that are known already are left out. */
  take(taken: readonly Taken[], reached: Reached): void
  /** Everything before `floor` is compacted, which was at `time` (milliseconds). Room is given back by `trim`. */
  raise(floor: number, time: number): void
  /** Entries before `first` have left a stream that keeps them for a time. */
  expire(first: number): void
  /** Gives back some of the room of what is below the floor; false when there is no more to give. */
  trim(): boolean
  /** Forgets everything. */
  clear(): void
  close(): void
}
