/**
 * A keyframe: which version each object had at one place in the log. With it and the entries behind it the state, and the index of
 * what came since, are made without reading what was before. No bodies are in it: they stay in the log, sealed where they were.
 *
 * One line of JSON that says where, then one for each object, compressed as a whole. It is sealed with the log's key, for it is
 * believed where the log itself is not read: who may write to the object store, and no more, can make none.
 */
import { promisify } from 'node:util'
import { constants, zstdCompress, zstdDecompress } from 'node:zlib'
import type { LogState } from '#events/Log.ts'
import { MAC_HEADER, type Seal } from '#services/platform/ledger/Seal.ts'

export interface Standing {
  /** `apps/deployments`, `/pods` */
  readonly collection: string
  /** `namespace/name` */
  readonly id: string
  readonly version: number
}

export interface Keyframe {
  readonly stream: string
  /** The stream's. */
  readonly identity: string
  /** How often a loss had been accepted. */
  readonly epoch: number
  /** What was put aside by a person up to here, and so is not in it. */
  readonly quarantined: readonly number[]
  /** Everything up to here is in it. */
  readonly sequence: number
  /** The chain's hash there. */
  readonly hash: Uint8Array
  /** Milliseconds: when that was. */
  readonly time: number
  readonly standing: readonly Standing[]
}

interface Head extends Omit<Keyframe, 'hash' | 'standing'> {
  readonly form: number
  readonly hash: string
  readonly objects: number
}

const FORM = 1
const SEALED_AS = 'KEYFRAMES'
/** Objects: what the historian's memory has room for. Of more there is no keyframe, and an index is made as without one. */
const MOST = 400_000
/** Bytes, before compression. */
const LARGEST = 256 * 1024 * 1024
/** Lines that are put together at a time. */
const PIECE = 5_000

const pack = promisify(zstdCompress)
const unpack = promisify(zstdDecompress)

/** The bytes to be stored. Throws when there are too many objects. */
export const encodeKeyframe = async ({ standing, hash, ...place }: Keyframe, seal: Seal): Promise<Uint8Array> => {
  if (standing.length > MOST) throw new Error(`a keyframe of ${standing.length} objects is too large: ${MOST} at most`)
  const line = ({ collection, id, version }: Standing): string => `${JSON.stringify([collection, id, version])}\n`
  let text = ''
  for (let at = 0; at < standing.length; at += PIECE)
    text += standing
      .slice(at, at + PIECE)
      .map(line)
      .join('')
  const head = JSON.stringify({ form: FORM, ...place, hash: Buffer.from(hash).toString('base64url'), objects: standing.length })
  const mac = seal.seal(SEALED_AS, { subject: head, headers: {}, text }, undefined).headers[MAC_HEADER]
  const params = { [constants.ZSTD_c_compressionLevel]: 3, [constants.ZSTD_c_checksumFlag]: 1 }
  return pack(Buffer.from(`${mac}\n${head}\n${text}`), { params })
}

/** Undefined for what is damaged, was not made by this cluster, or has another form. */
export const decodeKeyframe = async (bytes: Uint8Array, seal: Seal): Promise<Keyframe | undefined> => {
  try {
    const all = (await unpack(bytes, { maxOutputLength: LARGEST })).toString()
    const first = all.indexOf('\n')
    const second = all.indexOf('\n', first + 1)
    const [mac, subject, text] = [all.slice(0, first), all.slice(first + 1, second), all.slice(second + 1)]
    if (!seal.verifies(seal.digest(SEALED_AS, { subject, headers: {}, text }), mac)) return undefined
    const { form, hash, objects, ...place } = JSON.parse(subject) as Head
    if (form !== FORM) return undefined
    const rows = JSON.parse(`[${text.trimEnd().replaceAll('\n', ',')}]`) as [string, string, number][]
    const standing = rows.map(([collection, id, version]) => ({ collection, id, version }))
    return standing.length === objects ? { ...place, hash: Buffer.from(hash, 'base64url'), standing } : undefined
  } catch {
    return undefined
  }
}

/** Why a keyframe is not of this stream as it is now; undefined when nothing speaks against it. What its hash is worth, the chain says. */
export const misfitOf = (keyframe: Keyframe, named: Pick<Keyframe, 'stream' | 'sequence'>, state: LogState): string | undefined => {
  const { stream, identity, epoch, quarantined, sequence } = keyframe
  if (stream !== named.stream || sequence !== named.sequence) return 'it is another one under this name'
  if (identity !== (state.identity ?? '')) return 'it is of another log'
  if (epoch !== state.epoch) return 'some of the log was lost since'
  if (sequence > state.last) return `it is of ${sequence}, and the log ends at ${state.last}`
  if (state.quarantined.filter((one) => one <= sequence).join() !== quarantined.join()) return 'entries from before it were put aside since'
  return undefined
}
