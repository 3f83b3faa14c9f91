/** What a backup folder holds (ops/docs/backup.md says it for people): the manifest, and entries of the log as lines. */
import { createHash } from 'node:crypto'
import type { Base, LogEntry } from '#events/Log.ts'

export const FORMAT = 'reckon-backup/1'

export interface StoredFile {
  /** In the folder: `events/000000000001-000000048211.jsonl.zst`. */
  readonly name: string
  readonly bytes: number
  /** Of the file as it is stored, hexadecimal. */
  readonly sha256: string
}

/** Entries of one stream, in order. */
export interface Segment extends StoredFile {
  readonly first: number
  readonly last: number
  readonly entries: number
  /** Before compression. */
  readonly size: number
  /** Of EVENTS: the chain's hash at `last`, base64url. Of what was kept at the floor of history: the one at the floor. */
  readonly hash?: string
  /** Milliseconds: when the newest of the events up to here was decided. */
  readonly time?: number
  /** What was kept when history was compacted, and not all there was. */
  readonly kept?: true
}

export interface StreamBackup {
  readonly identity: string
  /** The stream's last sequence when it was read. */
  readonly last: number
  /** What the stream says of itself, `reckon.…`. */
  readonly metadata: Readonly<Record<string, string>>
  readonly segments: readonly Segment[]
}

export interface EventsBackup extends StreamBackup {
  /** The chain's hash at `last`, base64url. */
  readonly hash: string
  /** Milliseconds: when the newest event was decided. */
  readonly time: number
  /** History is whole from here on; 0 when it is from its beginning. */
  readonly floor: number
  readonly base?: Base
}

/** A durable consumer of `reckon follow --cursor`. */
export interface Cursor {
  readonly name: string
  /** Everything up to here was shown. */
  readonly sequence: number
}

export interface Manifest {
  readonly format: typeof FORMAT
  readonly reckon: string
  readonly cluster: { readonly name: string; readonly instance: string }
  /** RFC 3339: everything in it is of this moment. */
  readonly taken: string
  readonly encrypted: boolean
  readonly events: EventsBackup
  /** NOTICES, AUDIT, PULSE, KEYS. */
  readonly streams: Readonly<Record<string, StreamBackup>>
  readonly cursors: readonly Cursor[]
  /** The home's configuration, certificates and keys. */
  readonly home: StoredFile
}

/** The manifest's text: with a checksum of its own, the first line's field. */
export const textOfManifest = (manifest: Manifest): string => {
  const sha256 = createHash('sha256').update(JSON.stringify(manifest)).digest('hex')
  return `${JSON.stringify({ sha256, ...manifest }, undefined, 2)}\n`
}

/** Throws when it is not one, or not what was written. */
export const manifestOf = (text: string): Manifest => {
  let parsed: Manifest & { readonly sha256?: string }
  try {
    parsed = JSON.parse(text) as Manifest & { readonly sha256?: string }
  } catch (error) {
    throw new Error(`the manifest can't be read: ${(error as Error).message}`)
  }
  const { sha256, ...manifest } = parsed
  if (manifest.format !== FORMAT) throw new Error(`the manifest is of format ${String(manifest.format)}; this reckon reads ${FORMAT}`)
  if (createHash('sha256').update(JSON.stringify(manifest)).digest('hex') !== sha256)
    throw new Error('the manifest is not what was written')
  return manifest
}

const digits = (sequence: number): string => String(sequence).padStart(12, '0')

/** In the stream's folder (`events`). `mark` tells apart what is written anew each time. */
export const segmentName = (first: number, last: number, mark = ''): string => `${digits(first)}-${digits(last)}${mark}.jsonl.zst`
export const folderOf = (stream: string): string => stream.toLowerCase()

/** An entry on a line of its own. */
export const lineOf = ({ sequence, time, subject, headers, text }: LogEntry): string =>
  `${JSON.stringify({ sequence, stored: new Date(time).toISOString(), subject, headers, body: text })}\n`

export const entryOfLine = (line: string): LogEntry => {
  const { sequence, stored, subject, headers, body } = JSON.parse(line) as {
    sequence: number
    stored: string
    subject: string
    headers: Record<string, string>
    body: string
  }
  if (!Number.isSafeInteger(sequence) || typeof subject !== 'string' || typeof body !== 'string' || typeof headers !== 'object')
    throw new Error('a line that is no entry')
  return { sequence, time: Date.parse(stored), subject, headers, text: body }
}

/** One file of the home: its content base64. */
export interface HomeFile {
  readonly path: string
  readonly modified: number
  readonly content: string
}
