/** What is in the files of a backup. */
import type { LogEntry } from '#events/Log.ts'
import type { BackupFolder } from './folder.ts'
import { entryOfLine, type HomeFile, type Manifest, type Segment } from './format.ts'

/** Handed on at once: entries, and the characters of their bodies. */
const BATCH = 500
const BATCH_SIZE = 1024 * 1024

/** A segment's entries, in order. Throws when the file is not what was written, and names it. */
export async function* entriesOf(folder: BackupFolder, segment: Segment): AsyncGenerator<readonly LogEntry[]> {
  let batch: LogEntry[] = []
  let size = 0
  for await (const line of folder.lines(segment)) {
    batch.push(parsed(segment, line))
    size += line.length
    if (batch.length < BATCH && size < BATCH_SIZE) continue
    yield batch
    ;[batch, size] = [[], 0]
  }
  if (batch.length > 0) yield batch
}

const parsed = ({ name }: Segment, line: string): LogEntry => {
  try {
    return entryOfLine(line)
  } catch (error) {
    throw new Error(`${name}: ${(error as Error).message}`)
  }
}

export const homeFilesOf = async (folder: BackupFolder, { home }: Manifest): Promise<readonly HomeFile[]> => {
  let text = ''
  for await (const piece of folder.read(home)) text += piece
  return JSON.parse(text) as HomeFile[]
}
