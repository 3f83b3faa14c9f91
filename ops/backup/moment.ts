/** Which event a moment in a backup is: what stands behind it is left out of what is restored. */
import { timeOf, type Limit } from '#ops/log/plan.ts'
import { entriesOf } from './content.ts'
import type { BackupFolder } from './folder.ts'
import type { Manifest } from './format.ts'

export interface UpTo {
  readonly sequence: number
  /** Milliseconds: when the newest event up to there was decided. */
  readonly time: number
}

const iso = (time: number): string => new Date(time).toISOString()

/** Throws for a moment the backup does not hold. */
export const upToOf = async (folder: BackupFolder, { events, taken }: Manifest, limit: Limit | undefined): Promise<UpTo> => {
  const { floor, base, last, time: end } = events
  if (limit === undefined) return { sequence: last, time: end }
  const span = `the backup holds history ${floor > 0 ? `from resourceVersion ${floor} (${iso(base?.time ?? 0)})` : 'from its beginning'} to ${last} (${iso(end)})`
  if ('sequence' in limit ? limit.sequence < Math.max(1, floor) || limit.sequence > last : limit.time < (base?.time ?? 0))
    throw new Error(`there is nothing to restore at that moment: ${span}`)
  if ('time' in limit && limit.time > Date.parse(taken))
    throw new Error(`that moment is later than the backup, which was taken at ${taken}`)
  let at: UpTo = { sequence: floor, time: base?.time ?? 0 }
  for (const segment of events.segments) {
    if (segment.kept === true) continue
    const inside = 'sequence' in limit ? segment.last <= limit.sequence : (segment.time ?? 0) <= limit.time
    if (inside) {
      at = { sequence: segment.last, time: segment.time ?? at.time }
      continue
    }
    reading: for await (const batch of entriesOf(folder, segment))
      for (const entry of batch) {
        const time = Math.max(at.time, timeOf(entry))
        if ('sequence' in limit ? entry.sequence > limit.sequence : time > limit.time) break reading
        at = { sequence: entry.sequence, time }
      }
    break
  }
  if (at.sequence === 0) throw new Error(`there is nothing to restore at that moment: ${span}`)
  return at
}
