/** Rounds on a cluster at rest: its files are damaged, and when it is started it must be whole, or say that it is not. */
import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { noteBlocks } from '#ops/nats/store.ts'
import { verify } from '#ops/log/commands.ts'
import { streamsFolder } from '#ops/nats/store.ts'
import { startPlane, type Plane } from '#test/support/plane.ts'
import { Load } from './load.ts'
import type { Round } from './plan.ts'
import { verdictOf } from './verdict.ts'

type Corruption = Extract<Round, { kind: 'corrupt' }>

/** A cluster with some history, stopped, of which each round takes a copy. */
export interface Base {
  readonly plane: Plane
  readonly load: Load
  readonly copy: string
  /** Lists that must come back as they were, by path. */
  readonly lists: ReadonlyMap<string, string>
}

const BYTES = 16_000
const WRITES = 1_200
const OTHERS = 60
const NOTICES = '/api/v1/namespaces/default/events'
const LEASES = '/apis/coordination.k8s.io/v1/namespaces/default/leases'

/** Names and versions, in order. */
const listOf = async (plane: Plane, path: string): Promise<string> =>
  (JSON.parse((await plane.call('GET', path)).body) as { items: { metadata: { name: string; resourceVersion: string } }[] }).items
    .map(({ metadata }) => `${metadata.name}@${metadata.resourceVersion}`)
    .join(' ')

/** The other streams hold something, too: notices, leases, and what was refused. */
const fillOthers = async (plane: Plane): Promise<ReadonlyMap<string, string>> => {
  for (let n = 0; n < OTHERS; n++) {
    const about = { apiVersion: 'v1', kind: 'ConfigMap', name: 'a', namespace: 'default' }
    const answers = await Promise.all([
      plane.call('POST', NOTICES, {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { name: `n${n}` },
        involvedObject: about,
        reason: 'Campaign',
        message: 'x'.repeat(500),
        type: 'Normal'
      }),
      plane.call('POST', LEASES, {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: { name: `l${n}` },
        spec: { holderIdentity: 'me' }
      }),
      plane.call('POST', LEASES, { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: 'Not A Name' } })
    ])
    const codes = answers.map(({ status }) => status).join(' ')
    if (codes !== '201 201 422') throw new Error(`the base of the corruption rounds could not be written: ${codes}`)
  }
  return new Map(await Promise.all([NOTICES, LEASES].map(async (path) => [path, await listOf(plane, path)] as const)))
}

export const makeBase = async (stopped: Corruption['stopped']): Promise<Base> => {
  const plane = await startPlane()
  await plane.start()
  await plane.until('it is ready', async () => (await plane.call('GET', '/readyz')).status === 200)
  const load = new Load(plane, stopped, { bytes: BYTES })
  load.start()
  if (!(await load.more(WRITES, 120_000))) throw new Error('the base of the corruption rounds could not be written')
  await load.stop()
  const lists = await fillOthers(plane)
  // Some of what is there is older than the store's own memory of it.
  await noteBlocks(plane.home, Date.now() + 60_000)
  if (stopped === 'killed') {
    await plane.kill()
    await plane.killNats()
  } else await plane.stop()
  const copy = `${plane.home}.base`
  execFileSync('cp', ['-a', plane.home, copy])
  return { plane, load, copy, lists }
}

export const removeBase = async ({ plane, copy }: Base): Promise<void> => {
  await plane.remove()
  rmSync(copy, { recursive: true, force: true })
}

const change = (path: string, at: number, edit: (bytes: Buffer) => void, length: number): void => {
  const file = openSync(path, 'r+')
  try {
    const start = Math.min(Math.floor(at * fstatSync(file).size), Math.max(0, fstatSync(file).size - 1))
    const bytes = Buffer.alloc(Math.min(length, fstatSync(file).size - start))
    readSync(file, bytes, 0, bytes.length, start)
    edit(bytes)
    writeSync(file, bytes, 0, bytes.length, start)
  } finally {
    closeSync(file)
  }
}

const flip = (path: string, at: number): void =>
  change(path, at, (bytes) => void (bytes.length > 0 && (bytes[0] = (bytes[0] as number) ^ 0x10)), 1)

/** What was done to the files, or undefined when there was nothing to do it to. */
const damage = (home: string, { damage: what, stream, at, amount }: Corruption): string | undefined => {
  const folder = join(streamsFolder(home), stream)
  const blocks = existsSync(join(folder, 'msgs'))
    ? readdirSync(join(folder, 'msgs'))
        .filter((file) => file.endsWith('.blk'))
        .sort((a, b) => Number.parseInt(a) - Number.parseInt(b))
    : []
  const block = blocks[Math.floor(at * blocks.length)]
  const path = block === undefined ? undefined : join(folder, 'msgs', block)
  const size = path === undefined ? 0 : statSync(path).size
  const index = join(folder, 'msgs/index.db')
  switch (what) {
    case 'bits flipped':
      if (path === undefined || size === 0) return undefined
      for (let n = 0; n < 1 + Math.floor(amount * 5); n++) flip(path, (at * 7919 + n * amount) % 1)
      return `${block}, ${1 + Math.floor(amount * 5)} bits`
    case 'the tail cut off': {
      const last = blocks.at(-1)
      if (last === undefined || statSync(join(folder, 'msgs', last)).size === 0) return undefined
      const target = join(folder, 'msgs', last)
      const cut = Math.max(1, Math.floor(amount * statSync(target).size))
      truncateSync(target, statSync(target).size - cut)
      return `${last}, ${cut} bytes`
    }
    case 'a range zeroed':
      if (path === undefined || size === 0) return undefined
      change(path, (at * 7919) % 1, (bytes) => bytes.fill(0), 64 + Math.floor(amount * 8_192))
      return block
    case 'a block removed':
      if (path === undefined) return undefined
      rmSync(path)
      return block
    case 'the index removed':
      if (!existsSync(index)) return undefined
      rmSync(index)
      return 'index.db'
    case 'a bit of the index flipped':
      if (!existsSync(index) || statSync(index).size === 0) return undefined
      flip(index, amount)
      return 'index.db'
    case 'a bit of the settings flipped':
      if (!existsSync(join(folder, 'meta.inf'))) return undefined
      flip(join(folder, 'meta.inf'), amount)
      return 'meta.inf'
    case 'the stream removed':
      if (!existsSync(folder)) return undefined
      rmSync(folder, { recursive: true })
      return stream
    case 'garbage appended':
      if (blocks.length === 0) return undefined
      appendFileSync(
        join(folder, 'msgs', blocks.at(-1) as string),
        Buffer.from(Array.from({ length: 1 + Math.floor(amount * 500) }, (_, n) => (n * 131 + Math.floor(at * 255)) % 256))
      )
      return blocks.at(-1)
  }
}

export interface Judged {
  readonly outcome: string
  readonly faults: readonly string[]
}

const ANSWER_MS = 60_000

/** Starts it until it says one or the other; a process that finds the damage at work ends, and explains when it is started again. */
const settled = async (plane: Plane): Promise<'ready' | 'refused' | 'silent'> => {
  for (const deadline = Date.now() + ANSWER_MS; Date.now() < deadline;) {
    await plane.start().catch(() => {})
    // What is found while it is replayed comes a moment later.
    for (let looks = 0; looks < 10; looks++) {
      const { status, body } = await plane.call('GET', '/readyz').catch(() => ({ status: 0, body: '' }))
      if (/^\[-\]log failed: (?!reason withheld)/.test(body)) return 'refused'
      if (status === 200 && looks > 5) return 'ready'
      if (status === 0) break
      await wait(100)
    }
    await plane.kill()
  }
  return 'silent'
}

export const corruptRound = async ({ plane, load, copy, lists }: Base, round: Corruption): Promise<Judged> => {
  rmSync(plane.home, { recursive: true, force: true })
  execFileSync('cp', ['-a', copy, plane.home])
  const done = damage(plane.home, round)
  if (done === undefined) return { outcome: 'nothing there to damage', faults: [] }
  try {
    const outcome = await settled(plane)
    if (outcome === 'silent')
      return { outcome: `${done}: it does not come up`, faults: [`${done}: neither served nor explained within ${ANSWER_MS / 1000} s`] }
    if (outcome === 'refused') {
      const write = await plane.call('POST', '/api/v1/namespaces/default/configmaps', {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'late' }
      })
      return {
        outcome: `${done}: noticed and refused`,
        faults: write.status === 503 ? [] : [`${done}: a write was answered with ${write.status} by a cluster that says its log is damaged`]
      }
    }
    const write = await plane.call('POST', '/api/v1/namespaces/default/configmaps', {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'late' }
    })
    const { faults } = await verdictOf(plane, [load])
    const changed: string[] = []
    for (const [path, list] of lists) if ((await listOf(plane, path)) !== list) changed.push(`${path} is not what it was`)
    await plane.stop()
    const damages = (await verify(plane.home, plane.config, () => {})).flatMap((verdict) => verdict.damages)
    const wrong = [
      ...(write.status === 201 ? [] : [`a write was answered with ${write.status}: ${write.body.slice(0, 200)}`]),
      ...faults,
      ...changed,
      ...damages.map(({ detail }) => `served, but not whole: ${detail}`)
    ]
    return { outcome: `${done}: whole`, faults: wrong.map((fault) => `${done}: ${fault}`) }
  } finally {
    await plane.kill()
    await plane.killNats()
  }
}
