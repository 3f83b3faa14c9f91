/** Reads all of a backup, without the cluster it is of: are its files what was written, and is what is in them whole? */
import type { LogEntry } from '#events/Log.ts'
import { SEALED_HEADER } from '#events/confidential.ts'
import { encodeToken } from '#events/Subject.ts'
import { Base } from '#projections/Base.ts'
import { base64url, Chain } from '#projections/Chain.ts'
import type { LogState } from '#events/Log.ts'
import { beyond, LOSSES, rangesOf, standingOf } from '#services/platform/jetstream/metadata.ts'
import { MAC_HEADER, Seal, sha256 } from '#services/platform/ledger/Seal.ts'
import { entriesOf, homeFilesOf } from './content.ts'
import type { BackupFolder } from './folder.ts'
import type { Manifest, Segment } from './format.ts'

export interface BackupVerdict {
  readonly folder: string
  readonly cluster: { readonly name: string; readonly instance: string }
  readonly taken: string
  readonly encrypted: boolean
  readonly streams: readonly {
    readonly stream: string
    readonly entries: number
    readonly first: number
    readonly last: number
    readonly files: number
    readonly bytes: number
    readonly notSealed: number
  }[]
  /** The chain's hash at the end of EVENTS, hexadecimal. */
  readonly hash: string
  /** A sentence each, naming the file. */
  readonly problems: readonly string[]
}

export const verifyBackup = async (folder: BackupFolder, manifest: Manifest, report: (line: string) => void): Promise<BackupVerdict> => {
  const problems: string[] = []
  const files = await homeFilesOf(folder, manifest).catch((error: Error) => {
    problems.push(error.message)
    return []
  })
  const keys = new Map(
    files
      .filter(({ path }) => path.startsWith('keys/log/'))
      .map(({ path, content }) => [path.slice('keys/log/'.length), Buffer.from(content, 'base64')])
  )
  for (const needed of ['config.json', 'pki/ca.key', 'keys/secrets/k1', 'keys/log/k1'])
    if (files.length > 0 && !files.some(({ path }) => path === needed)) problems.push(`${manifest.home.name} has no ${needed}`)
  const seal = keys.size === 0 ? undefined : new Seal(keys)
  const streams: BackupVerdict['streams'][number][] = []
  const wanted = new Set<string>()
  const known = new Set<string>()
  for (const [stream, { segments, metadata }] of [['EVENTS', manifest.events] as const, ...Object.entries(manifest.streams)]) {
    report(`reading ${stream}`)
    const reader = new SegmentReader(stream, manifest, seal, standingOf(metadata))
    for (const segment of segments) {
      try {
        for await (const batch of entriesOf(folder, segment))
          for (const entry of batch) {
            reader.take(segment, entry)
            if (stream === 'EVENTS' && entry.headers[SEALED_HEADER] !== undefined) wanted.add(entry.headers[SEALED_HEADER])
            if (stream === 'KEYS') known.add(entry.subject.slice('key.'.length))
          }
        reader.end(segment)
      } catch (error) {
        reader.broken(segment)
        problems.push((error as Error).message)
      }
    }
    problems.push(...reader.problems())
    streams.push({
      stream,
      entries: reader.entries,
      first: segments[0]?.first ?? 0,
      last: segments.at(-1)?.last ?? 0,
      files: segments.length,
      bytes: segments.reduce((sum, { bytes }) => sum + bytes, 0),
      notSealed: reader.notSealed
    })
  }
  const missing = [...wanted].filter((uid) => !known.has(encodeToken(uid)))
  if (missing.length > 0 && problems.length === 0)
    problems.push(`KEYS: the keys of ${missing.length} Secrets are missing (${missing.slice(0, 3).join(', ')}): they can't be read`)
  const { cluster, taken, encrypted, events } = manifest
  return { folder: folder.path, cluster, taken, encrypted, streams, hash: Buffer.from(events.hash, 'base64url').toString('hex'), problems }
}

/** Segments in order: each entry in its place, EVENTS along its chain. */
class SegmentReader {
  entries = 0
  notSealed = 0
  readonly #stream: string
  readonly #manifest: Manifest
  readonly #seal: Seal | undefined
  readonly #standing: Pick<LogState, 'sealedFrom' | 'quarantined'>
  readonly #problems: string[] = []
  readonly #base = new Base()
  #chain: Chain | undefined
  #inSegment = 0
  #last = 0
  #first = 0

  constructor(stream: string, manifest: Manifest, seal: Seal | undefined, standing: Pick<LogState, 'sealedFrom' | 'quarantined'>) {
    this.#stream = stream
    this.#manifest = manifest
    this.#seal = seal
    this.#standing = standing
    const { floor, base } = manifest.events
    if (stream === 'EVENTS')
      this.#chain = base === undefined ? new Chain(sha256) : new Chain(sha256, floor, Buffer.from(base.hash, 'base64url'))
  }
  take(segment: Segment, entry: LogEntry): void {
    const { sequence, subject, headers } = entry
    if (this.#inSegment === 0) this.#first = sequence
    if (sequence <= this.#last) throw new Error(`${segment.name}: entry ${sequence} comes after ${this.#last}`)
    if (this.#stream === 'EVENTS' && segment.kept !== true) {
      const losses = rangesOf(this.#manifest.events.metadata[LOSSES])
      const next = Math.max(this.#last, this.#manifest.events.floor) + 1
      if (this.#chain !== undefined && beyond(losses, next) < sequence)
        throw new Error(`${segment.name}: events ${next}-${sequence - 1} are missing`)
    }
    this.#last = sequence
    this.#inSegment += 1
    this.entries += 1
    if (this.#seal === undefined) return
    const digest = this.#seal.digest(this.#stream, entry)
    const sealed = sequence < this.#standing.sealedFrom || this.#seal.verifies(digest, headers[MAC_HEADER])
    if (!sealed) this.notSealed += 1
    if (this.#stream !== 'EVENTS') return
    if (segment.kept !== true) return this.#chain?.extend(sequence, digest)
    if (this.#seal.counts(entry, digest, this.#standing)) this.#base.take(subject, sequence, digest, headers['reckon-deleted'] === 'true')
  }
  end(segment: Segment): void {
    if (this.#inSegment !== segment.entries || (segment.entries > 0 && (this.#first !== segment.first || this.#last !== segment.last)))
      throw new Error(
        `${segment.name}: holds ${this.#inSegment} entries, ${this.#first}-${this.#last}, not ${segment.entries}, ${segment.first}-${segment.last}`
      )
    this.#inSegment = 0
    if (this.#seal === undefined || this.#stream !== 'EVENTS' || segment.kept === true || this.#chain === undefined) return
    if (base64url(this.#chain.head) !== segment.hash)
      throw new Error(
        `${segment.name}: its events are not those that were written, or not in their order: the chain does not agree at ${segment.last}`
      )
  }
  /** A segment could not be read: the next is read on its own. */
  broken(segment: Segment): void {
    this.#inSegment = 0
    this.#last = segment.last
    if (this.#stream === 'EVENTS')
      this.#chain =
        segment.hash === undefined || segment.kept === true
          ? this.#chain
          : new Chain(sha256, segment.last, Buffer.from(segment.hash, 'base64url'))
  }
  problems(): readonly string[] {
    const { floor, base } = this.#manifest.events
    if (this.#stream === 'EVENTS' && base !== undefined && this.#seal !== undefined && base64url(this.#base.digest(sha256)) !== base.digest)
      this.#problems.push(
        `EVENTS: of the ${base.entries} versions that were kept when history was compacted up to ${floor}, ${this.#base.entries} are there, and they are not what was noted`
      )
    return this.#problems
  }
}
