/**
 * The files nats-server keeps the streams in, as far as reckon must know them: which are finished and what was in them.
 *
 * A nats-server that finds a bad record while it starts cuts the file there and goes on, or drops the stream; what was behind
 * is then gone for good. So before it may start on a store that it did not close itself, the finished files are
 * compared with what they were, and a copy is made of those that are still written to.
 */
import { createHash } from 'node:crypto'
import {
  copyFileSync,
  createReadStream,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync
} from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { writeSecret } from '#ops/home.ts'
import type { Damage } from '#events/Log.ts'
import { logAccountKey } from './keys.ts'
import { LOG_ACCOUNT } from './users.ts'
import { KEPT_STREAMS, ledgerFolder } from './streams.ts'
import { BASE } from '#events/Subject.ts'
import { readFloors, readRecord } from '#services/platform/ledger/FileLedger.ts'

/** A file is finished some time after its last change: when it is closed it is rewritten once, compressed. */
const SETTLED_MS = 30_000

export interface Block {
  /** Of the file, in the streams' folder: `EVENTS/msgs/12.blk`. */
  readonly path: string
  readonly size: number
  readonly modified: number
  readonly sha256: string
  /** It was not long finished: no time was lost by reading it again. */
  readonly newest?: true
}

type Manifest = Readonly<Record<string, Block>>

export const storeFolder = (home: string): string => join(home, 'nats/store')
/** By the account's key; in a home of before there were keys, by its name. */
const accountFolder = (home: string): string => join(storeFolder(home), 'jetstream', logAccountKey(home) ?? LOG_ACCOUNT)
export const streamsFolder = (home: string): string => join(accountFolder(home), 'streams')
const manifestFile = (home: string): string => join(ledgerFolder(home), 'blocks.json')
const cleanFile = (home: string): string => join(home, 'nats/closed')
export const asideFolder = (home: string): string => join(home, 'nats/aside')

const mountedFile = (home: string): string => join(home, 'nats/mounted')

/**
 * Throws when the store was a file system of its own and is none now: the empty folder behind a mount that is missing is no
 * lost log, and nothing may be written to it.
 */
export const ensureMounted = (home: string): void => {
  const device = (path: string): number | undefined => statSync(path, { throwIfNoEntry: false })?.dev
  const own = device(storeFolder(home)) !== undefined && device(storeFolder(home)) !== device(home)
  if (own && !existsSync(mountedFile(home))) writeSecret(mountedFile(home), '')
  if (!own && existsSync(mountedFile(home)) && !existsSync(join(storeFolder(home), 'jetstream')))
    throw new Error(
      `nothing is mounted on ${storeFolder(home)}, where the log was: mount it again, or remove ${mountedFile(home)} if it is to be here from now on`
    )
}

const readManifest = (home: string): Manifest =>
  existsSync(manifestFile(home)) ? (JSON.parse(readFileSync(manifestFile(home), 'utf8')) as Manifest) : {}

/** What the files were when nats-server ended by our word; undefined when it did not. */
const readClosed = (home: string): Manifest | undefined => {
  if (!existsSync(cleanFile(home))) return undefined
  const text = readFileSync(cleanFile(home), 'utf8')
  return text === '' ? {} : (JSON.parse(text) as Manifest)
}

const indexOf = (file: string): number => Number(/^(\d+)\.blk$/.exec(file)?.[1] ?? Number.NaN)

/** What is looked after: the kept streams, and what is kept of compacted history. */
const STORED: readonly string[] = [...KEPT_STREAMS, BASE]

/**
 * Whether a stream's finished files may be other ones later. Those of EVENTS never are, unless entries were taken out of it (by a
 * compaction, a restore, an accepted loss): nats-server then cuts files, and writes some anew to put the holes' marks in order.
 * What a file holds is judged by the chain there; that the bytes are others says nothing.
 */
const mayChange = (home: string, stream: string): boolean => {
  const folder = ledgerFolder(home)
  return stream !== 'EVENTS' || readFloors(folder, stream).length > 0 || readRecord(folder, stream)?.thinned === true
}

/** A stream's block files, oldest first; the last one is still written to. */
const blocksOf = (home: string, stream: string): string[] => {
  const folder = join(streamsFolder(home), stream, 'msgs')
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter((file) => !Number.isNaN(indexOf(file)))
    .sort((a, b) => indexOf(a) - indexOf(b))
    .map((file) => join(folder, file))
}

const hashOf = async (path: string): Promise<string> => {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), hash)
  return hash.digest('hex')
}

/** Writes down what is in the files that were finished since it was last called. At work, now and then. */
export const noteBlocks = async (home: string, now: number): Promise<void> => {
  const before = readManifest(home)
  const after: Record<string, Block> = {}
  let changed = false
  for (const stream of STORED) {
    const blocks = blocksOf(home, stream)
    for (const path of blocks.slice(0, -1)) {
      const name = relative(streamsFolder(home), path)
      const known = before[name]
      const stat = statSync(path, { throwIfNoEntry: false })
      if (stat === undefined) continue
      const same = known !== undefined && known.size === stat.size && known.modified === stat.mtimeMs
      if (known !== undefined && (same || !mayChange(home, stream))) {
        // One that changed and must not have is for the next look at the store to judge.
        after[name] = known
        continue
      }
      if (now - stat.mtimeMs < SETTLED_MS) continue
      after[name] = { path: name, size: stat.size, modified: stat.mtimeMs, sha256: await hashOf(path) }
      changed = true
    }
  }
  if (changed || Object.keys(before).length !== Object.keys(after).length) writeSecret(manifestFile(home), JSON.stringify(after))
}

/**
 * Written when nats-server has ended by our word: it has then put everything in order itself, and nothing changes any more until
 * it is started. So the files that were still written to are written down as well, and those of streams that expire: at rest
 * nothing does.
 */
export const markClosed = async (home: string): Promise<void> => {
  const known = readManifest(home)
  const closed: Record<string, Block> = {}
  for (const stream of STORED)
    for (const path of blocksOf(home, stream)) {
      const name = relative(streamsFolder(home), path)
      const { size, mtimeMs: modified } = statSync(path)
      const noted = known[name]
      closed[name] =
        noted !== undefined && noted.size === size && noted.modified === modified
          ? noted
          : { path: name, size, modified, sha256: await hashOf(path), newest: true }
    }
  // Of files that were written anew since they were noted, these are the ones from now on.
  const stale = Object.keys(known).filter((name) => closed[name] !== undefined && closed[name] !== known[name])
  if (stale.length > 0)
    writeSecret(
      manifestFile(home),
      JSON.stringify({ ...known, ...Object.fromEntries(stale.map((name) => [name, withoutNewest(closed[name] as Block)])) })
    )
  writeSecret(cleanFile(home), JSON.stringify(closed))
}

const withoutNewest = ({ newest: _, ...block }: Block): Block => block

/** After a change of finished files that was ours (an accepted loss): what is there counts from now on. */
export const forgetBlocks = (home: string): void => [manifestFile(home), cleanFile(home)].forEach((path) => rmSync(path, { force: true }))

/**
 * Where the streams were when every user was in one account, when accounts had names, or under a key that was lost. Only the log's account
 * has any.
 */
const OLD_FOLDER = /^(\$G|LOG|A[A-Z2-7]{55})$/
const oldFolder = (home: string): string | undefined => {
  const folder = dirname(accountFolder(home))
  if (existsSync(accountFolder(home)) || !existsSync(folder)) return undefined
  const old = readdirSync(folder).find((name) => OLD_FOLDER.test(name))
  return old === undefined ? undefined : join(folder, old)
}

/** True for streams that are still where an older reckon had them: a server that runs on them can't be adopted. */
export const isOldLayout = (home: string): boolean => oldFolder(home) !== undefined

/** While no server runs: the streams come to where the next one looks for them. */
export const adoptFolder = (home: string): void => {
  const old = oldFolder(home)
  if (old !== undefined) renameSync(old, accountFolder(home))
}

/**
 * Looks at the store before nats-server does, and returns the files that are not what they were. Cheap after an orderly
 * end; otherwise every finished file is read, which nats-server is about to do as well. Nothing is changed.
 */
export const inspectStore = async (home: string, report: (line: string) => void): Promise<readonly Block[]> => {
  ensureMounted(home)
  adoptFolder(home)
  const atClose = readClosed(home)
  const closed = atClose !== undefined
  const blocks = Object.values({ ...readManifest(home), ...atClose })
  const total = blocks.reduce((sum, { size }) => sum + size, 0)
  if (!closed && total > LARGE) report(`nats-server was not closed; checking ${(total / 2 ** 30).toFixed(1)} GiB of the log's files`)
  const damaged: Block[] = []
  const vouched = new Set<string>()
  for (const block of blocks) {
    const path = join(streamsFolder(home), block.path)
    const stat = statSync(path, { throwIfNoEntry: false })
    const stream = block.path.split('/')[0] as string
    const changes = atClose?.[block.path] === undefined && mayChange(home, stream)
    if (stat === undefined) {
      if (!changes) damaged.push(block)
      continue
    }
    const same = stat.size === block.size && stat.mtimeMs === block.modified
    if (!same && changes) continue
    vouched.add(block.path)
    if (same && closed && block.newest !== true) continue
    if ((await hashOf(path)) !== block.sha256) damaged.push(block)
  }
  if (!closed && damaged.length === 0)
    try {
      copyOpenBlocks(home, vouched)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
      // Without it a bad record could not be looked at later; without the log nothing would ever make room again.
      dropCopy(home)
      report("the disk is full: nats-server is started without a copy of the log's newest files")
    }
  return damaged
}

const LARGE = 512 * 1024 * 1024

/** nats-server may start: from here on an end that is not ours leaves no mark. */
export const markOpen = (home: string): void => rmSync(cleanFile(home), { force: true })

/**
 * Copies what no manifest vouches for: the few files that were written to last. The others are linked: a stream that nats-server
 * can't make sense of it takes away with all its files. A copy that is there already was made before an earlier start, after
 * which the log was never found to be whole: it is the better one.
 */
const copyOpenBlocks = (home: string, known: ReadonlySet<string>): void => {
  const folder = copyFolder(home)
  if (existsSync(folder)) return
  for (const stream of STORED)
    for (const path of blocksOf(home, stream)) {
      const name = relative(streamsFolder(home), path)
      const target = join(folder, name)
      mkdirSync(dirname(target), { recursive: true, mode: 0o700 })
      if (known.has(name)) linkWherePossible(path, target)
      else copyFileSync(path, target)
    }
}

/** Where the store is a file system of its own, finished files have no second name; they are vouched for. */
const linkWherePossible = (path: string, target: string): void => {
  try {
    linkSync(path, target)
  } catch (error) {
    if (!['EXDEV', 'EPERM', 'EMLINK', 'EOPNOTSUPP'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}

const copyFolder = (home: string): string => join(asideFolder(home), 'before-start')

/** The log was found to be whole: the copy made before the start is needed no longer. */
export const dropCopy = (home: string): void => rmSync(copyFolder(home), { recursive: true, force: true })

/** The log was not: the copy is kept under a name of its own. Returns it, if there is one. */
export const keepCopy = (home: string, now: Date): string | undefined => {
  if (!existsSync(copyFolder(home))) return undefined
  const kept = join(asideFolder(home), now.toISOString().replaceAll(':', '-'))
  renameSync(copyFolder(home), kept)
  return kept
}

/**
 * Moves damaged files out of the store, so that nats-server takes the rest for what it is: a log with a hole. Of a stream's last
 * file it takes what is in front of the damage, so that one is only copied.
 */
export const setAside = (home: string, damaged: readonly Block[], now: Date): string => {
  const folder = join(asideFolder(home), `${now.toISOString().replaceAll(':', '-')}-damaged`)
  for (const { path } of damaged) {
    const source = join(streamsFolder(home), path)
    if (!existsSync(source)) continue
    const target = join(folder, path)
    mkdirSync(dirname(target), { recursive: true, mode: 0o700 })
    if (blocksOf(home, path.split('/')[0] as string).at(-1) === source) copyFileSync(source, target)
    else renameSync(source, target)
  }
  return folder
}

/** Moves what is left of a stream out of the store: nats-server could not make a stream of it. */
export const setStreamAside = (home: string, stream: string, now: Date): void => {
  const source = join(streamsFolder(home), stream)
  if (!existsSync(source)) return
  const target = join(asideFolder(home), `${now.toISOString().replaceAll(':', '-')}-unreadable`, stream)
  mkdirSync(dirname(target), { recursive: true, mode: 0o700 })
  renameSync(source, target)
}

/** What files that are not what they were mean for their stream. */
export const damageOf = (damaged: readonly Block[]): readonly Damage[] =>
  [...new Set(damaged.map(({ path }) => path.split('/')[0] as string))].map((stream): Damage => {
    const files = damaged.filter(({ path }) => path.startsWith(`${stream}/`)).map(({ path }) => path)
    return {
      stream,
      kind: 'unreadable',
      ranges: [],
      verified: 0,
      detail: `${stream}: ${files.length === 1 ? 'a file of the log is' : `${files.length} files of the log are`} not what was written (${files.join(', ')}); nats-server was not started, and nothing was changed`
    }
  })
