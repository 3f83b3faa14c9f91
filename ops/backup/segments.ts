/** Writing entries into segments: one file after the other, each of a bounded size, from one pass over the log. */
import type { LogEntry } from '#events/Log.ts'
import type { BackupFolder } from './folder.ts'
import { folderOf, lineOf, segmentName, type Segment } from './format.ts'

/** Before compression. The last segment is written anew until it has reached this: small ones would pile up, one a run. */
export const SEGMENT_BYTES = 32 * 1024 * 1024

export interface SegmentOptions {
  readonly folder: BackupFolder
  readonly stream: string
  readonly batches: AsyncIterable<readonly LogEntry[]>
  /** What a segment that ends here says of its end. */
  readonly atEnd?: () => Pick<Segment, 'hash' | 'time' | 'kept'>
  /** In the names: tells files of the same entries apart. */
  readonly mark?: string
  /** Once in a file, whatever its size. */
  readonly whole?: boolean
}

export const writeSegments = async ({
  folder,
  stream,
  batches,
  atEnd = () => ({}),
  mark = '',
  whole = false
}: SegmentOptions): Promise<readonly Segment[]> => {
  const segments: Segment[] = []
  const source = batches[Symbol.asyncIterator]()
  let next = await source.next()
  try {
    while (next.done !== true) {
      let [first, last, entries, size] = [0, 0, 0, 0]
      const text = async function* (): AsyncGenerator<string> {
        for (; next.done !== true && (whole || size < SEGMENT_BYTES); next = await source.next()) {
          let lines = ''
          for (const entry of next.value) {
            if (entries === 0) first = entry.sequence
            last = entry.sequence
            entries += 1
            lines += lineOf(entry)
          }
          size += lines.length
          end = atEnd()
          yield lines
        }
      }
      let end = atEnd()
      const file = await folder.write(folderOf(stream), text(), () => segmentName(first, last, mark))
      segments.push({ ...file, first, last, entries, size, ...end })
    }
  } finally {
    await source.return?.()
  }
  return segments
}
