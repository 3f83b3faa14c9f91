/**
 * The files of a backup folder: compressed, encrypted where asked for, checksummed, and on disk when they are said to be.
 *
 * Encryption is age's (age-encryption.org/v1), so that a backup can be read without reckon: every file is encrypted to one
 * key pair of the folder's own, and the pair's secret half to the passphrase, in `key.age`. Deriving each file's key from the
 * passphrase would cost half a second and 128 MiB a file.
 */
import { createHash } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  createReadStream,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync
} from 'node:fs'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib'
import { Decrypter, Encrypter, generateX25519Identity, identityToRecipient } from 'age-encryption'
import { manifestOf, textOfManifest, type Manifest, type StoredFile } from './format.ts'

/** The default of OWASP's cheat sheet: 128 MiB and half a second for each guess. */
const SCRYPT_LOG_N = 17
const LEVEL = 3
const SHORTEST_PASSPHRASE = 8
const KEY_FILE = 'key.age'

export class BackupFolder {
  readonly path: string
  /** `AGE-SECRET-KEY-1…`, where the folder is encrypted. */
  readonly #identity: string | undefined
  readonly #recipient: string | undefined

  private constructor(path: string, identity?: string, recipient?: string) {
    this.path = path
    this.#identity = identity
    this.#recipient = recipient
  }
  /** Opens a folder that holds a backup, or (for who writes) one that may hold one. Throws for a wrong passphrase. */
  static async open(path: string, passphrase: string | undefined, writing = false): Promise<BackupFolder> {
    if (writing) {
      mkdirSync(path, { recursive: true, mode: 0o700 })
      const strange = readdirSync(path).filter((name) => !KNOWN.test(name))
      if (strange.length > 0)
        throw new Error(`${path} holds something else (${strange.slice(0, 3).join(', ')}): name a folder of its own for the backup`)
      // Whoever could write here before may have planted one: what is written, and swept, would be wherever it leads.
      const link = readdirSync(path, { recursive: true, withFileTypes: true }).find((entry) => entry.isSymbolicLink())
      if (link !== undefined)
        throw new Error(
          `${join(link.parentPath, link.name)} is a symbolic link, which a backup never holds: see who made it, and remove it`
        )
      chmodSync(path, 0o700)
    } else if (!existsSync(join(path, 'manifest.json')) && !existsSync(join(path, 'manifest.json.age')))
      throw new Error(`there is no backup in ${path}`)
    const keyFile = join(path, KEY_FILE)
    if (existsSync(keyFile)) {
      if (passphrase === undefined) throw new Error(`the backup in ${path} is encrypted: name its passphrase with --passphrase-file`)
      const opener = new Decrypter()
      opener.addPassphrase(passphrase)
      const identity = await opener.decrypt(readFileSync(keyFile), 'text').catch(() => {
        throw new Error(`the passphrase is not the one of the backup in ${path}`)
      })
      return new BackupFolder(path, identity.trim(), await identityToRecipient(identity.trim()))
    }
    if (passphrase === undefined) return new BackupFolder(path)
    if (existsSync(join(path, 'manifest.json')))
      throw new Error(`the backup in ${path} is not encrypted; for one that is, name another folder`)
    if (!writing) throw new Error(`the backup in ${path} has no ${KEY_FILE}: without it nothing of it can be read`)
    if (passphrase.length < SHORTEST_PASSPHRASE)
      throw new Error(`the passphrase is too short: at least ${SHORTEST_PASSPHRASE} characters, better some words`)
    const identity = await generateX25519Identity()
    const sealer = new Encrypter()
    sealer.setPassphrase(passphrase)
    sealer.setScryptWorkFactor(SCRYPT_LOG_N)
    writeDurably(keyFile, await sealer.encrypt(identity))
    return new BackupFolder(path, identity, await identityToRecipient(identity))
  }
  get encrypted(): boolean {
    return this.#identity !== undefined
  }
  stored(name: string): string {
    return this.encrypted ? `${name}.age` : name
  }
  /** The manifest, if a run was ever finished here. */
  async manifest(): Promise<Manifest | undefined> {
    const path = join(this.path, this.stored('manifest.json'))
    if (!existsSync(path)) return undefined
    const bytes = readFileSync(path)
    if (this.#identity === undefined) return manifestOf(bytes.toString())
    const opener = new Decrypter()
    opener.addIdentity(this.#identity)
    return manifestOf(
      await opener.decrypt(bytes, 'text').catch(() => {
        throw new Error('the manifest is not what was written')
      })
    )
  }
  /** From here on this is the backup. */
  async replaceManifest(manifest: Manifest): Promise<void> {
    const text = textOfManifest(manifest)
    writeDurably(join(this.path, this.stored('manifest.json')), this.#recipient === undefined ? text : await this.#sealer().encrypt(text))
  }
  #sealer(): Encrypter {
    const sealer = new Encrypter()
    sealer.addRecipient(this.#recipient as string)
    return sealer
  }
  /** Writes one file as a stream of text, below a folder; it gets its name when it is whole and on disk. */
  async write(below: string, text: AsyncIterable<string>, nameOf: () => string): Promise<StoredFile> {
    mkdirSync(join(this.path, below), { recursive: true, mode: 0o700 })
    const hash = createHash('sha256')
    let bytes = 0
    const part = join(this.path, below, 'next.part')
    const compressed = createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: LEVEL, [constants.ZSTD_c_checksumFlag]: 1 } })
    const source = Readable.from(text, { objectMode: false, highWaterMark: 256 * 1024 })
    const feeding = pipeline(source, compressed)
    // Whose end comes first is what went wrong: the source's is thrown below, the other follows from it.
    feeding.catch(() => {})
    const sealed =
      this.#recipient === undefined
        ? compressed
        : Readable.fromWeb(
            (await this.#sealer().encrypt(Readable.toWeb(compressed) as ReadableStream<Uint8Array>)) as Parameters<
              typeof Readable.fromWeb
            >[0]
          )
    const file = openSync(part, 'w', 0o600)
    try {
      for await (const chunk of sealed as AsyncIterable<Buffer>) {
        hash.update(chunk)
        bytes += chunk.length
        writeFileSync(file, chunk)
      }
      await feeding
      fsyncSync(file)
    } catch (error) {
      source.destroy()
      // The write's own error says what is wrong (a full disk); where the source failed, the write only ended early.
      const why = await feeding.then(
        () => error,
        (cause: unknown) =>
          (error as NodeJS.ErrnoException).code === undefined || (error as NodeJS.ErrnoException).code === 'ERR_STREAM_PREMATURE_CLOSE'
            ? cause
            : error
      )
      throw why
    } finally {
      closeSync(file)
    }
    const name = this.stored(join(below, nameOf()))
    renameSync(part, join(this.path, name))
    syncFolder(join(this.path, below))
    return { name, bytes, sha256: hash.digest('hex') }
  }
  /** The text of a file, by pieces; throws at once when it is not what was written, and names it. */
  async *read({ name, bytes, sha256 }: StoredFile): AsyncGenerator<string> {
    const path = join(this.path, name)
    const size = statSync(path, { throwIfNoEntry: false })?.size
    if (size === undefined) throw new Error(`${name} is missing`)
    if (size !== bytes) throw new Error(`${name} is not what was written: it has ${size} bytes, not ${bytes}`)
    const hash = createHash('sha256')
    await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), hash)
    if (hash.digest('hex') !== sha256) throw new Error(`${name} is not what was written: its checksum is another`)
    let source: Readable = createReadStream(path, { highWaterMark: 256 * 1024 })
    if (this.#identity !== undefined) {
      const opener = new Decrypter()
      opener.addIdentity(this.#identity)
      source = Readable.fromWeb(
        (await opener.decrypt(Readable.toWeb(source) as ReadableStream<Uint8Array>)) as Parameters<typeof Readable.fromWeb>[0]
      )
    }
    const plain = createZstdDecompress()
    const feeding = pipeline(source, plain)
    // A reader that has seen enough ends it half way.
    feeding.catch(() => {})
    plain.setEncoding('utf8')
    for await (const piece of plain as AsyncIterable<string>) yield piece
    await feeding
  }
  async *lines(file: StoredFile): AsyncGenerator<string> {
    let rest = ''
    for await (const piece of this.read(file)) {
      const lines = (rest + piece).split('\n')
      rest = lines.pop() as string
      yield* lines
    }
    if (rest !== '') throw new Error(`${file.name} ends in the middle of a line`)
  }
  /** Whether the file is there with the size it had. */
  has({ name, bytes }: StoredFile): boolean {
    return statSync(join(this.path, name), { throwIfNoEntry: false })?.size === bytes
  }
  /** Removes what no manifest names: what a run that was cut short left behind, and what the last one replaced. */
  sweep(manifest: Manifest | undefined): void {
    const named = new Set(manifest === undefined ? [] : filesOf(manifest).map(({ name }) => name))
    for (const entry of readdirSync(this.path, { recursive: true, withFileTypes: true })) {
      const name = join(entry.parentPath, entry.name).slice(this.path.length + 1)
      if (!entry.isFile() || named.has(name) || /^(manifest\.json|key\.age|lock)/.test(name)) continue
      rmSync(join(this.path, name))
    }
  }
}

const KNOWN = /^(manifest\.json(\.age)?(\.new)?|key\.age(\.new)?|lock(\.\d+)?|events|notices|audit|pulse|keys|home)$/

export const filesOf = ({ events, streams, home }: Manifest): readonly StoredFile[] => [
  ...events.segments,
  ...Object.values(streams).flatMap(({ segments }) => segments),
  home
]

const syncFolder = (path: string): void => {
  const folder = openSync(path, 'r')
  fsyncSync(folder)
  closeSync(folder)
}

/** Appears whole or not at all, and is on disk when this returns. */
const writeDurably = (path: string, content: string | Uint8Array): void => {
  const file = openSync(`${path}.new`, 'w', 0o600)
  writeFileSync(file, content)
  fsyncSync(file)
  closeSync(file)
  renameSync(`${path}.new`, path)
  syncFolder(dirname(path))
}

/** The passphrase in a file: its first line. */
export const readPassphrase = (path: string): string => {
  const [line = ''] = readFileSync(path, 'utf8').split(/\r?\n/)
  if (line === '') throw new Error(`${path} holds no passphrase: it must stand in the first line`)
  return line
}
