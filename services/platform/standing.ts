/**
 * The objects that stood at a keyframe, read from the log one by one. Each object's last entry, deletions among them, would be read in one
 * go; but names of pods are made up and come by the million, and a start would take longer with each that ever was.
 */
import { refOf } from '#events/Key.ts'
import type { Log, LogEntry, LogState } from '#events/Log.ts'
import { subjectOf, type StreamName } from '#events/Subject.ts'
import type { Keyframe } from './past/Keyframe.ts'

/** What is needed of a keyframe to go on from it. */
export type Resumable = Pick<Keyframe, 'sequence' | 'hash' | 'standing'>

/** Questions on their way to the log at once. */
const PARALLEL = 256

/** Up to so many names a start reads the last entry of each: that costs less than looking for a keyframe is worth. */
export const FEW_NAMES = 50_000
/** A single entry takes as much time as so many that are read in one go. */
const SINGLE = 5

/** Whether there are so many names of what is gone that it pays to begin at a keyframe. */
export const paysOff = ({ subjects = 0, last }: LogState, { sequence, standing }: Pick<Resumable, 'sequence' | 'standing'>): boolean =>
  subjects > SINGLE * standing.length + (last - sequence)

/** In the order of their sequences. Throws when one is not there, or is another object's: then nothing is known. */
export async function* standingEntries(log: Log, { standing }: Resumable): AsyncGenerator<readonly LogEntry[]> {
  const places = standing
    .map(({ collection, id, version }) => {
      const slash = id.indexOf('/')
      const key = { ...refOf(collection), namespace: id.slice(0, slash), name: id.slice(slash + 1) }
      return { version, subject: subjectOf(log.stream as StreamName, key) }
    })
    .sort((a, b) => a.version - b.version)
  for (let from = 0; from < places.length; from += PARALLEL) {
    const wanted = places.slice(from, from + PARALLEL)
    const found = await Promise.all(wanted.map(({ version, subject }) => log.get(version, subject)))
    yield found.map((entry, at) => {
      const { version, subject } = wanted[at] as (typeof wanted)[number]
      if (entry?.subject === subject) return entry
      throw new Error(`${log.stream} has ${entry === undefined ? 'nothing' : entry.subject} at ${version}, where ${subject} stood`)
    })
  }
}
