/** The parts of a backup that need no cluster: its lines, its manifest, its files, moments in it, addresses of a copy, chores. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { KubeObject } from '#events/KubeObject.ts'
import { withAddresses } from '#ops/backup/copy.ts'
import { BackupFolder } from '#ops/backup/folder.ts'
import { entryOfLine, FORMAT, lineOf, manifestOf, textOfManifest, type Manifest, type Segment } from '#ops/backup/format.ts'
import { upToOf } from '#ops/backup/moment.ts'
import { SEGMENT_BYTES, writeSegments } from '#ops/backup/segments.ts'
import { entriesOf } from '#ops/backup/content.ts'
import { Chores, choresOf } from '#ops/components/chores.ts'
import { limitOf } from '#ops/log/moment.ts'
import { heldBy, takeLock } from '#ops/setup/lock.ts'
import type { LogEntry } from '#events/Log.ts'

const folders: string[] = []
const newFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'reckon-unit-backup-'))
  folders.push(folder)
  return folder
}
const cleanUp = (): void => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true }))

const lines = suite('a line')
lines('comes back as the entry it was', () => {
  fc.assert(
    fc.property(
      fc.record({
        subject: fc.string(),
        headers: fc.dictionary(fc.string(), fc.string()),
        text: fc.string({ unit: 'binary' }),
        sequence: fc.nat(),
        time: fc.nat({ max: 4_000_000_000_000 })
      }),
      (entry) => {
        const line = lineOf(entry)
        assert.is(line.indexOf('\n'), line.length - 1)
        assert.equal(entryOfLine(line), { ...entry, headers: { ...entry.headers } })
      }
    )
  )
})
lines('that is no entry is refused', () => {
  for (const text of ['', '{}', '[]', 'null', '{"sequence":"1","subject":"a","headers":{},"body":""}'])
    assert.throws(() => entryOfLine(text))
})
lines.run()

const manifest = (segments: readonly Segment[] = [], more: Partial<Manifest['events']> = {}): Manifest => ({
  format: FORMAT,
  reckon: '0.0.0',
  cluster: { name: 'reckon', instance: 'abcde' },
  taken: '2026-01-02T00:00:00.000Z',
  encrypted: false,
  events: {
    identity: 'it',
    last: segments.at(-1)?.last ?? 0,
    hash: '',
    time: segments.at(-1)?.time ?? 0,
    floor: 0,
    metadata: {},
    segments,
    ...more
  },
  streams: {},
  cursors: [],
  home: { name: 'home/home.json.zst', bytes: 0, sha256: '' }
})

const planted = suite('a folder somebody else could write to')
const refusal = (folder: string): Promise<string> =>
  BackupFolder.open(folder, undefined, true).then(
    () => 'opened',
    ({ message }: Error) => message
  )
planted('is not written to through the links that were planted in it', async () => {
  const [elsewhere, folder, other] = [newFolder(), newFolder(), newFolder()]
  writeFileSync(join(elsewhere, 'passwd'), 'precious')
  symlinkSync(elsewhere, join(folder, 'events'))
  assert.match(await refusal(folder), /events is a symbolic link/)
  mkdirSync(join(other, 'events'))
  symlinkSync(join(elsewhere, 'passwd'), join(other, 'events', 'next.part'))
  assert.match(await refusal(other), /next\.part is a symbolic link/)
  assert.equal(
    readdirSync(elsewhere).map((name) => readFileSync(join(elsewhere, name), 'utf8')),
    ['precious']
  )
})
planted.run()

const manifests = suite('a manifest')
manifests('comes back as it was, and not when anything in it was changed', () => {
  const text = textOfManifest(manifest())
  assert.equal(manifestOf(text), manifest())
  for (const [from, to] of [
    ['abcde', 'abcdf'],
    ['"floor": 0', '"floor": 1'],
    ['0.0.0', '0.0.1']
  ] as const)
    assert.throws(() => manifestOf(text.replace(from, to)), /not what was written/)
  assert.throws(() => manifestOf(text.slice(0, -20)), /can't be read/)
  assert.throws(() => manifestOf(text.replace(FORMAT, 'reckon-backup/2')), /this reckon reads reckon-backup\/1/)
})
manifests.run()

/** A second apart, from 2026-01-01; some of them decided before the one they follow. */
const entry = (sequence: number, size = 10): LogEntry => ({
  sequence,
  subject: 'ev.core.configmaps.default.a',
  headers: { 'ce-time': new Date(Date.UTC(2026, 0, 1) + (sequence % 10 === 0 ? sequence - 5 : sequence) * 1_000).toISOString() },
  text: 'x'.repeat(size),
  time: 1_000
})
const timeUpTo = (sequence: number): number => Date.UTC(2026, 0, 1) + (sequence % 10 === 0 ? sequence - 1 : sequence) * 1_000

const files = suite('the files')
files.after(cleanUp)
for (const passphrase of [undefined, 'correct horse battery'])
  files(`hold what was written, in segments of a bounded size${passphrase === undefined ? '' : ', encrypted'}`, async () => {
    const folder = await BackupFolder.open(newFolder(), passphrase, true)
    const size = 1024 * 1024
    const count = Math.ceil((SEGMENT_BYTES / size) * 1.5)
    const written = async function* (): AsyncGenerator<readonly LogEntry[]> {
      for (let sequence = 1; sequence <= count; sequence++) yield [entry(sequence, size)]
    }
    const segments = await writeSegments({ folder, stream: 'EVENTS', batches: written() })
    assert.is(segments.length, 2)
    assert.equal(
      segments.map(({ first, last, entries }) => last - first + 1 - entries),
      [0, 0]
    )
    const seen: number[] = []
    for (const segment of segments)
      for await (const batch of entriesOf(folder, segment)) seen.push(...batch.map(({ sequence }) => sequence))
    assert.equal(
      seen,
      Array.from({ length: count }, (_, at) => at + 1)
    )
    for (const { name } of segments) {
      assert.is(name.endsWith('.jsonl.zst'), passphrase === undefined)
      assert.is(statSync(join(folder.path, name)).mode & 0o777, 0o600)
    }
    assert.equal(
      readdirSync(join(folder.path, 'events')).filter((name) => name.endsWith('.part')),
      []
    )
    // Half of one is enough for who looks no further.
    for await (const batch of entriesOf(folder, segments[0] as Segment)) {
      assert.is(batch[0]?.sequence, 1)
      break
    }
  })
files('a run that fails in the middle of one leaves nothing that counts', async () => {
  const folder = await BackupFolder.open(newFolder(), undefined, true)
  const broken = async function* (): AsyncGenerator<readonly LogEntry[]> {
    yield [entry(1)]
    throw new Error('the log went away')
  }
  await writeSegments({ folder, stream: 'EVENTS', batches: broken() }).then(
    () => assert.unreachable(),
    (error: Error) => assert.is(error.message, 'the log went away')
  )
  assert.equal(readdirSync(join(folder.path, 'events')), ['next.part'])
  folder.sweep(undefined)
  assert.equal(readdirSync(join(folder.path, 'events')), [])
  await folder.replaceManifest(manifest())
  assert.equal(await folder.manifest(), manifest())
  assert.not(existsSync(join(folder.path, 'manifest.json.new')))
})
files('a passphrase opens what it closed, and nothing else does', async () => {
  const path = newFolder()
  const folder = await BackupFolder.open(path, 'correct horse battery', true)
  await folder.replaceManifest(manifest())
  assert.equal(await (await BackupFolder.open(path, 'correct horse battery')).manifest(), manifest())
  for (const [passphrase, what] of [
    ['wrong horse battery', /is not the one of the backup/],
    [undefined, /is encrypted/]
  ] as const)
    await BackupFolder.open(path, passphrase).then(
      () => assert.unreachable(),
      (error: Error) => assert.match(error.message, what)
    )
  const text = readFileSync(join(path, 'manifest.json.age'))
  text[text.length - 1] = (text.at(-1) as number) ^ 1
  writeFileSync(join(path, 'manifest.json.age'), text)
  await folder.manifest().then(
    () => assert.unreachable(),
    (error: Error) => assert.match(error.message, /not what was written/)
  )
})
files.run()

const moments = suite('a moment')
moments('is a time, a time ago or a resourceVersion', () => {
  const now = Date.UTC(2026, 0, 2)
  assert.equal(limitOf('48211', '--to', now), { sequence: 48211 })
  assert.equal(limitOf('-15m', '--to', now), { time: now - 900_000 })
  assert.equal(limitOf('-1d12h', '--before', now), { time: now - 129_600_000 })
  assert.equal(limitOf('2026-01-01T10:00:00+02:00', '--to', now), { time: Date.UTC(2026, 0, 1, 8) })
  assert.equal(limitOf('2026-01-01', '--to', now), { time: Date.UTC(2026, 0, 1) })
  assert.equal(limitOf('2026-01-01T10:00', '--to', now), { time: Date.UTC(2026, 0, 1, 10) })
  for (const text of ['', 'now', '15m', '-15', '-m', '2026-13-01', '1.5', '-5x'])
    assert.throws(() => limitOf(text, '--to', now), /--to .*: use an RFC 3339 time/, text)
})
moments('in a backup is the last event decided by then, whatever segment it is in', async () => {
  const folder = await BackupFolder.open(newFolder(), undefined, true)
  const segments: Segment[] = []
  for (const [first, last] of [
    [1, 20],
    [21, 40],
    [43, 60]
  ] as const) {
    const batches = async function* (): AsyncGenerator<readonly LogEntry[]> {
      yield Array.from({ length: last - first + 1 }, (_, at) => entry(first + at))
    }
    segments.push(...(await writeSegments({ folder, stream: 'EVENTS', batches: batches(), atEnd: () => ({ time: timeUpTo(last) }) })))
  }
  const backup = manifest(segments)
  const at = async (limit: Parameters<typeof upToOf>[2]): Promise<number> => (await upToOf(folder, backup, limit)).sequence
  assert.is(await at(undefined), 60)
  for (const sequence of [1, 19, 20, 21, 40, 43, 60]) assert.is(await at({ sequence }), sequence)
  assert.is(await at({ sequence: 41 }), 40)
  for (const sequence of [1, 9, 19, 21, 39, 43, 59])
    assert.is(await at({ time: timeUpTo(sequence) }), sequence % 10 === 9 ? sequence + 1 : sequence, `time of ${sequence}`)
  assert.is(await at({ time: timeUpTo(45) + 500 }), 45)
  assert.is(await at({ time: Date.parse(backup.taken) }), 60)
  for (const limit of [{ sequence: 0 }, { sequence: 61 }, { time: 1_000 }])
    await at(limit).then(
      () => assert.unreachable(),
      (error: Error) => assert.match(error.message, /nothing to restore at that moment: the backup holds history from its beginning to 60/)
    )
  await at({ time: Date.parse(backup.taken) + 1 }).then(
    () => assert.unreachable(),
    (error: Error) => assert.match(error.message, /later than the backup/)
  )
  const floored = manifest(segments, { floor: 20, base: { hash: '', digest: '', entries: 0, time: timeUpTo(20) } })
  await upToOf(folder, floored, { sequence: 19 }).then(
    () => assert.unreachable(),
    (error: Error) => assert.match(error.message, /from resourceVersion 20/)
  )
})
moments.run()

const copies = suite('a copy')
const FROM = { serviceCIDR: '10.96.0.0/16', podCIDR: '10.244.0.0/16', nodePodCIDR: '10.244.0.0/24', nodePortRange: '30000-32767' }
const TO = { serviceCIDR: '10.97.0.0/16', podCIDR: '10.243.0.0/16', nodePodCIDR: '10.243.0.0/24', nodePortRange: '27232-29999' }
const service = (spec: Record<string, unknown>): KubeObject => ({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'a' }, spec })
copies('has each address at its place in the new range, and leaves alone what is not of the old one', () => {
  const moved = withAddresses(
    service({
      clusterIP: '10.96.3.4',
      clusterIPs: ['10.96.3.4'],
      ports: [{ port: 80, nodePort: 30080 }, { port: 81 }],
      healthCheckNodePort: 32767,
      externalIPs: ['10.96.3.4']
    }),
    FROM,
    TO
  )
  assert.equal(moved?.['spec'], {
    clusterIP: '10.97.3.4',
    clusterIPs: ['10.97.3.4'],
    ports: [{ port: 80, nodePort: 27312 }, { port: 81 }],
    healthCheckNodePort: 29999,
    externalIPs: ['10.96.3.4']
  })
  for (const spec of [
    { clusterIP: 'None', clusterIPs: ['None'] },
    { type: 'ExternalName', externalName: 'x' },
    { clusterIP: '10.196.3.4' }
  ])
    assert.is(withAddresses(service(spec), FROM, TO), undefined)
  const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n' }, spec: { podCIDR: '10.244.7.0/24', podCIDRs: ['10.244.7.0/24'] } }
  assert.equal(withAddresses(node, FROM, TO)?.['spec'], { podCIDR: '10.243.7.0/24', podCIDRs: ['10.243.7.0/24'] })
  assert.is(withAddresses({ ...service({ clusterIP: '10.96.3.4' }), kind: 'ConfigMap' }, FROM, TO), undefined)
})
copies.run()

const chores = suite('chores')
chores('are what the settings ask for', () => {
  assert.equal(choresOf({}), [])
  assert.equal(choresOf({ settings: { keepHistory: 'forever' } }), [])
  const [backup, compaction] = choresOf({
    settings: { backup: { folder: '/mnt/backup', every: '15m', passphraseFile: '/etc/reckon.pass' }, keepHistory: '90d' }
  })
  assert.equal(backup?.words, ['backup', '/mnt/backup', '--encrypt', '--passphrase-file', '/etc/reckon.pass'])
  assert.is(backup?.everyMs, 900_000)
  assert.equal([compaction?.words, compaction?.everyMs], [['log', 'compact'], 86_400_000])
  assert.is(choresOf({ settings: { keepHistory: '1h' } })[0]?.everyMs, 600_000)
})
chores('of settings that make no sense are refused, by name', () => {
  for (const [settings, what] of [
    [{ backup: { folder: 'here', every: '15m' } }, /settings.backup.folder/],
    [{ backup: { folder: '/here', every: 'often' } }, /settings.backup.every/],
    [{ backup: { folder: '/here' } as never }, /settings.backup.every/],
    [{ backup: { folder: '/here', every: '1s' } }, /settings.backup.every: "1s" is not usable/],
    [{ backup: { folder: '/here', every: '15m', passphraseFile: 'pass' } }, /settings.backup.passphraseFile/],
    [{ keepHistory: 'some' }, /settings.keepHistory/]
  ] as const)
    assert.throws(() => choresOf({ settings }), what)
})
chores('tell what went wrong, and once that it works again', async () => {
  const told: string[] = []
  const home = newFolder()
  let done = (): void => {}
  const failed = new Promise<void>((resolve) => (done = resolve))
  const running = new Chores({
    home,
    chores: [{ name: 'Backup', words: ['backup', join(home, 'x')], everyMs: 3_600_000, firstMs: 0 }],
    onFailed: ({ name }, why) => (told.push(`${name}: ${why}`), done()),
    onMended: ({ name }) => void told.push(name)
  })
  running.start()
  await failed
  await running.stop()
  assert.is(told.length, 1)
  assert.match(told[0] ?? '', `Backup: there is no cluster in ${home}`)
})
chores.run()

const locks = suite('a lock')
locks('is held by one that lives', () => {
  const path = join(newFolder(), 'run/lock')
  const release = takeLock(path, 'reckon backup')
  assert.throws(() => takeLock(path, 'reckon backup'), /reckon backup is at work since .* \(process \d+\); wait for it/)
  assert.match(heldBy(path) ?? '', /^reckon backup is at work/)
  release()
  assert.is(heldBy(path), undefined)
  takeLock(path, 'reckon backup')()
})
locks('of a process that is gone counts for nothing; of one elsewhere, until it is removed', () => {
  const path = join(newFolder(), 'lock')
  const holder = { what: 'reckon backup', host: hostname(), pid: 2 ** 22 + 1, startTime: '1', since: 'once' }
  writeFileSync(path, JSON.stringify(holder))
  takeLock(path, 'reckon backup')()
  writeFileSync(path, JSON.stringify({ ...holder, host: 'elsewhere' }))
  assert.throws(() => takeLock(path, 'reckon backup'), new RegExp(`on elsewhere\\); wait for it, or remove ${path}`))
  writeFileSync(path, 'half a lo')
  takeLock(path, 'reckon backup')()
})
locks.run()
