/**
 * A large log is backed up, backed up again, compacted and restored, while somebody writes: how long each takes, what it costs,
 * and what the writer notices. `node test/bench/backup.ts [events] [objects]`
 */
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { constants, setPriority, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import { encodeEvent } from '#events/Event.ts'
import { subjectOf } from '#events/Subject.ts'
import { StreamWriter } from '#ops/backup/writer.ts'
import { loadOrCreateConfig, readConfig, writeConfig, type ClusterConfig } from '#ops/home.ts'
import { ensureKeys, loadSeal } from '#ops/log/keys.ts'
import { ensureNatsServer } from '#ops/nats/binary.ts'
import { connectNats } from '#ops/nats/connect.ts'
import { startNatsServer, stopNatsServer } from '#ops/nats/server.ts'
import { ensureStreams, ledgerFolder } from '#ops/nats/streams.ts'
import { ensurePki } from '#ops/pki/pki.ts'
import { freePort } from '#test/support/ports.ts'
import { startPlane, type Plane } from '#test/support/plane.ts'
import { latencies, machine } from './support.ts'

const EVENTS = Number(process.argv[2] ?? 1_000_000)
const OBJECTS = Number(process.argv[3] ?? 20_000)
const DAYS = 100
const MAIN = join(import.meta.dirname, '../../ops/main.ts')
const folder = mkdtempSync(join(tmpdir(), 'reckon-bench-backup-'))
const [home, backup, restored] = ['home', 'backup', 'restored'].map((name) => join(folder, name)) as [string, string, string]

const say = (line: string): void => void process.stdout.write(`${line}\n`)
const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`
const mebibytes = (path: string): number => Number(execFileSync('du', ['-sm', path]).toString().split('\t')[0])

/** A home with a log of so many changes of so many ConfigMaps, over the last hundred days. Words, so that it compresses as text does. */
const seed = async (): Promise<void> => {
  const config: ClusterConfig = { ...(await loadOrCreateConfig(home, () => {})), natsPort: await freePort(), apiPort: await freePort() }
  writeConfig(home, config)
  await ensurePki(home, config)
  ensureKeys(home)
  const { path: binary } = await ensureNatsServer(() => {})
  await startNatsServer({ home, config, binary, report: () => {}, synced: false })
  const nats = await connectNats(home, config, 'keeper')
  const jsm = await jetstreamManager(nats, { checkAPI: false })
  await ensureStreams(jsm, ledgerFolder(home))
  const seal = loadSeal(home)
  const writer = new StreamWriter(nats, jsm, 'EVENTS', 1)
  const last = new Map<string, number>()
  const words = Array.from({ length: 2_000 }, () => Math.random().toString(36).slice(2, 9))
  const begin = Date.now() - DAYS * 86_400_000
  for (let sequence = 1; sequence <= EVENTS; sequence++) {
    const name = `c${Math.floor(Math.random() * OBJECTS)}`
    const key = { group: '', resource: 'configmaps', namespace: 'default', name }
    const time = new Date(begin + (sequence / EVENTS) * DAYS * 86_400_000).toISOString()
    const value = Array.from({ length: 90 }, () => words[Math.floor(Math.random() * words.length)]).join(' ')
    const object = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, namespace: 'default', uid: `uid-${name}`, creationTimestamp: time },
      data: { value }
    }
    const expected = last.get(name) ?? 0
    last.set(name, sequence)
    const event = {
      stream: 'EVENTS',
      key,
      id: `seed-${sequence}`,
      type: 'reckon.configmap.updated.v1',
      source: 'kubectl',
      time,
      user: 'kubernetes-admin',
      correlationId: `seed-${sequence}`,
      verb: 'patch',
      deleted: false,
      object,
      expected
    } as const
    const { subject, headers, text } = seal.seal(
      'EVENTS',
      { subject: subjectOf('EVENTS', key), ...encodeEvent(event), expected },
      undefined
    )
    await writer.write({ subject, headers, text, sequence, time: 0 })
  }
  await writer.end()
  await nats.close()
  await stopNatsServer(home)
}

/** Somebody changes an object fifty times a second; what each change took. */
const writing = (plane: Plane): { stop(): Promise<number[]> } => {
  let going = true
  const took: number[] = []
  const pending = new Set<Promise<unknown>>()
  const loop = async (): Promise<void> => {
    for (let n = 0; going; n++) {
      const begun = performance.now()
      const name = `c${n % OBJECTS}`
      const made = plane
        .call(
          'PATCH',
          `/api/v1/namespaces/default/configmaps/${name}`,
          { data: { n: String(n) } },
          { 'content-type': 'application/merge-patch+json' }
        )
        .then(({ status }) => {
          if (status === 200) took.push(performance.now() - begun)
          pending.delete(made)
        })
      pending.add(made)
      await wait(20)
    }
  }
  const running = loop()
  return {
    stop: async () => {
      going = false
      await running
      await Promise.all(pending)
      return took
    }
  }
}

/** Runs the command as a person does; its largest memory, MiB, and how long it took. */
const reckon = async (words: readonly string[], at = home): Promise<{ ms: number; rss: number; out: string }> => {
  const begun = performance.now()
  const child = spawn(process.execPath, [MAIN, ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, RECKON_HOME: at }
  })
  if (child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_BELOW_NORMAL)
  let out = ''
  let rss = 0
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  const watch = setInterval(() => {
    try {
      rss = Math.max(rss, Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1] ?? 0) / 1024)
    } catch {
      // It has just ended.
    }
  }, 100)
  const code = await new Promise((resolve) => child.once('exit', resolve))
  clearInterval(watch)
  if (code !== 0) throw new Error(`reckon ${words.join(' ')} ended with ${String(code)}: ${out}`)
  return { ms: performance.now() - begun, rss, out }
}

const while_ = async (plane: Plane, what: string, work: () => Promise<{ ms: number; rss: number; out: string }>): Promise<string> => {
  const writer = writing(plane)
  await wait(500)
  const { ms, rss, out } = await work()
  const took = await writer.stop()
  say(
    `${what.padEnd(34)} ${seconds(ms).padStart(8)}, ${Math.round(rss)} MiB; writes meanwhile ${took.length}, ${latencies(took)}, max ${Math.max(...took).toFixed(0)} ms`
  )
  return out
}

const store = (): string => join(home, 'nats/store')

say(machine())
let begun = performance.now()
await seed()
say(`${EVENTS} events of ${OBJECTS} objects in ${seconds(performance.now() - begun)}: ${mebibytes(store())} MiB on disk`)
let plane = await startPlane('apiserver', {}, { home })
try {
  begun = performance.now()
  await plane.start()
  await plane.until('it is ready', async () => (await plane.call('GET', '/readyz')).status === 200, 120_000)
  say(`start on all of it: ${seconds(performance.now() - begun)}`)
  await while_(plane, 'nothing else', async () => (await wait(10_000), { ms: 10_000, rss: 0, out: '' }))
  await while_(plane, 'the first backup', () => reckon(['backup', backup]))
  say(`  ${mebibytes(backup)} MiB in the folder`)
  await while_(plane, 'a backup of what is new', () => reckon(['backup', backup]))
  const plain = await reckon(['backup', 'verify', backup])
  say(`reading it all: ${seconds(plain.ms)}, ${Math.round(plain.rss)} MiB`)
  const before = mebibytes(store())
  say(await while_(plane, 'compaction of nine tenths', () => reckon(['log', 'compact', '--before', `-${DAYS / 10}d`])))
  say(`  ${before} MiB on disk before, ${mebibytes(store())} MiB after`)
  await while_(plane, 'a backup behind the compaction', () => reckon(['backup', backup]))
  await plane.stop()
  plane = await startPlane('apiserver', {}, { home })
  begun = performance.now()
  await plane.start()
  await plane.until('it is ready', async () => (await plane.call('GET', '/readyz')).status === 200, 120_000)
  say(`start on what is left: ${seconds(performance.now() - begun)}`)
  await plane.stop()
  const back = await reckon(['restore', backup, '--home', restored])
  say(`restore of all history, a million versions stepped over: ${seconds(back.ms)}, ${Math.round(back.rss)} MiB`)
  rmSync(restored, { recursive: true })
  const fresh = join(folder, 'fresh')
  await reckon(['backup', fresh])
  say(`a new backup of what is left: ${mebibytes(fresh)} MiB`)
  const less = await reckon(['restore', fresh, '--home', restored])
  say(`its restore: ${seconds(less.ms)}, ${Math.round(less.rss)} MiB; instance ${readConfig(restored)?.instance ?? '?'}`)
} finally {
  await plane.remove()
  rmSync(folder, { recursive: true, force: true })
}
