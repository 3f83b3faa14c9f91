/** A cluster is backed up while it works, its home is destroyed, and the cluster and its history come back from the folder. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { jetstream } from '@nats-io/jetstream'
import { setTimeout as wait } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { backup, restoreFrom, verify, type BackupRequest, type RestoreRequest } from '#ops/backup/commands.ts'
import type { BackupResult } from '#services/cli/Environment.ts'
import type { CursorStart } from '#events/Follow.ts'
import { readConfig, writeConfig } from '#ops/home.ts'
import { verify as verifyLog } from '#ops/log/commands.ts'
import { compact, plan } from '#ops/log/compact.ts'
import { loadSeal } from '#ops/log/keys.ts'
import { connectNats } from '#ops/nats/connect.ts'
import { askToFollow } from '#services/platform/jetstream/consumers.ts'
import { startPlane, type Plane } from '#test/support/plane.ts'
import { sideBySide } from '#test/support/sideBySide.ts'

const all = suite('backup and restore')
const backups = sideBySide(all, 2)
const quiet = (): void => {}
const DEFAULT = '/api/v1/namespaces/default'
const PATCH = { 'content-type': 'application/merge-patch+json' }
const SKIP = 5_000

interface Stored {
  readonly metadata: {
    readonly name: string
    readonly uid: string
    readonly resourceVersion: string
    readonly creationTimestamp: string
    readonly annotations?: Record<string, string>
  }
  readonly data?: Record<string, string>
}

const folders: string[] = []
const newFolder = (name = 'backup'): string => {
  const folder = mkdtempSync(join(tmpdir(), `reckon-${name}-`))
  folders.push(folder)
  return folder
}
all.after(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })))

const ready = (plane: Plane): Promise<void> => plane.until('it is ready', async () => (await plane.call('GET', '/readyz')).status === 200)
const started = async (components = 'apiserver', at?: string): Promise<Plane> => {
  const plane = await startPlane(
    components,
    {},
    at === undefined ? { config: { settings: { scrub: { megabytesPerSecond: 1_000, every: '0.1s' } } } } : { home: at }
  )
  await plane.start()
  await ready(plane)
  return plane
}
const versionOf = ({ status, body }: { status: number; body: string }): number => {
  assert.ok(status === 200 || status === 201, body)
  return Number((JSON.parse(body) as Stored).metadata.resourceVersion)
}
const create = async (plane: Plane, name: string, value: string, kind = 'configmaps'): Promise<number> =>
  versionOf(
    await plane.call(
      'POST',
      `${DEFAULT}/${kind}`,
      kind === 'secrets'
        ? { apiVersion: 'v1', kind: 'Secret', metadata: { name }, stringData: { value } }
        : { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { value } }
    )
  )
const change = async (plane: Plane, name: string, value: string): Promise<number> =>
  versionOf(await plane.call('PATCH', `${DEFAULT}/configmaps/${name}`, { data: { value } }, PATCH))
const remove = async (plane: Plane, name: string, kind = 'configmaps'): Promise<void> =>
  assert.is((await plane.call('DELETE', `${DEFAULT}/${kind}/${name}`)).status, 200)
const read = async (plane: Plane, moment = '', kind = 'configmaps'): Promise<Record<string, string>> => {
  const { status, body } = await plane.call('GET', `${moment === '' ? '' : `/at/${moment}`}${DEFAULT}/${kind}`)
  assert.is(status, 200, body)
  const value = ({ data }: Stored): string =>
    kind === 'secrets' ? Buffer.from(data?.['value'] ?? '', 'base64').toString() : (data?.['value'] ?? '')
  return Object.fromEntries(
    (JSON.parse(body) as { items: Stored[] }).items
      .filter(({ metadata: { name } }) => name !== 'kube-root-ca.crt')
      .map((item) => [item.metadata.name, value(item)])
  )
}
/** Everything the API shows, byte for byte, now or at a moment. */
const everything = async (plane: Plane, moment = ''): Promise<string> =>
  (
    await Promise.all(
      [
        '/api/v1/configmaps',
        '/api/v1/secrets',
        '/api/v1/namespaces',
        '/api/v1/services',
        '/apis/rbac.authorization.k8s.io/v1/clusterroles'
      ].map((path) => plane.call('GET', `${moment === '' ? '' : `/at/${moment}`}${path}`))
    )
  )
    // The list's own version is the log's end.
    .map(({ body }) => body.replace(/"metadata":\{"resourceVersion":"\d+"\}/, ''))
    .join('\n')

const take = (plane: Plane, folder: string, more: Partial<BackupRequest> = {}): Promise<BackupResult> =>
  backup(plane.home, plane.config, '0.0.0', { folder, encrypt: false, passphraseFile: undefined, ...more }, quiet)
const check = async (folder: string, passphraseFile?: string): Promise<readonly string[]> =>
  (await verify({ folder, encrypt: false, passphraseFile }, quiet)).problems
const bringBack = (folder: string, more: Partial<RestoreRequest> = {}) =>
  restoreFrom(
    { folder, encrypt: false, passphraseFile: undefined, home: newFolder('home'), to: undefined, skip: SKIP, asCopy: false, ...more },
    quiet
  )
const wholeLog = async (plane: Plane): Promise<void> =>
  assert.equal(
    (await verifyLog(plane.home, plane.config, quiet)).flatMap(({ damages }) => damages),
    []
  )
const fails = (work: Promise<unknown>, what: RegExp): Promise<void> =>
  work.then(
    () => assert.unreachable(`it did not fail: ${what}`),
    (error: Error) => assert.match(error.message, what)
  )

backups(
  'a home is destroyed, and the cluster comes back: objects, history, the past by version and time, Secrets, and a log that goes on',
  async () => {
    const plane = await started()
    const folder = newFolder()
    let back: Plane | undefined
    try {
      const versions = [await create(plane, 'a', '1'), await change(plane, 'a', '2')]
      await create(plane, 'gone', 'x')
      await remove(plane, 'gone')
      await create(plane, 'kept', 'sesame', 'secrets')
      await create(plane, 'erased', 'secret', 'secrets')
      const before = await everything(plane)
      const moment = new Date().toISOString()
      // Of one millisecond no moment tells what was before it and what behind.
      await wait(5)
      const middle = await create(plane, 'b', '1')
      const full = await take(plane, folder)
      assert.is(full.last, middle)
      assert.is(full.added, middle)
      assert.equal(await check(folder), [])
      for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }))
        assert.is(statSync(join(folder, name)).mode & 0o077, 0, `${name} can be read by others`)
      for (let n = 0; n < 20; n++) await create(plane, `c${n}`, String(n))
      await remove(plane, 'erased', 'secrets')
      const second = await take(plane, folder)
      assert.is(second.added, second.last - middle)
      assert.equal(await check(folder), [])
      assert.not(readFileSync(join(folder, 'manifest.json'), 'utf8').includes('sesame'))
      const last = await everything(plane)
      const history = JSON.parse((await plane.call('GET', `/at/${versions[0]}${DEFAULT}/configmaps/a`)).body) as Stored
      const lost = await create(plane, 'after-the-backup', 'x')
      await plane.remove()
      assert.not(existsSync(plane.home))
      const home = newFolder('home')
      // As a process leaves it that writes into a home that is gone.
      for (const name of ['run', 'log', 'ledger']) mkdirSync(join(home, name))
      const restored = await bringBack(folder, { home })
      assert.is(restored.upTo.sequence, second.last)
      back = await started('apiserver', restored.home)
      assert.is(await everything(back), last)
      assert.is(await everything(back, moment), before)
      assert.equal(await read(back, String(versions[0])), { a: '1' })
      assert.equal(JSON.parse((await back.call('GET', `/at/${versions[0]}${DEFAULT}/configmaps/a`)).body), history)
      assert.equal(await read(back, String(versions[1])), { a: '2' })
      assert.equal(await read(back, '', 'secrets'), { kept: 'sesame' })
      assert.equal(await read(back, moment, 'secrets'), { erased: 'secret', kept: 'sesame' })
      assert.is((await read(back))['after-the-backup'], undefined)
      const next = await create(back, 'new', 'x')
      assert.ok(next > lost && next >= restored.next, `${next} was given out though ${lost} was before`)
      const changed = await change(back, 'a', '3')
      assert.is(changed, next + 1)
      assert.equal(await read(back, String(versions[1])), { a: '2' })
      // What was done is in the log, and the log is whole: as it is read again all the time, and after a crash.
      assert.is((await back.call('GET', '/readyz/log-integrity')).status, 200)
      await back.kill()
      await back.killNats()
      await back.start()
      await ready(back)
      assert.is((await read(back))['a'], '3')
      await back.stop()
      await wholeLog(back)
      // Its backups go on where the lost cluster's ended.
      const third = await take(back, folder)
      assert.ok(third.added >= 3 && third.added < 20, `${third.added} events were new`)
      assert.equal(await check(folder), [])
    } finally {
      await plane.remove()
      await back?.remove()
    }
  }
)

backups('up to a moment in between: what came after is left out, and its versions are not given out again', async () => {
  const plane = await started()
  const folder = newFolder()
  const planes: Plane[] = [plane]
  try {
    const one = await create(plane, 'a', '1')
    await create(plane, 's', '1', 'secrets')
    const two = await change(plane, 'a', '2')
    await new Promise((resolve) => setTimeout(resolve, 10))
    const moment = new Date()
    await new Promise((resolve) => setTimeout(resolve, 10))
    await change(plane, 'a', '3')
    await remove(plane, 's', 'secrets')
    const last = await create(plane, 'b', '1')
    const { taken } = await take(plane, folder)
    const ago = `-${(Date.parse(taken) - moment.getTime()) / 1_000}s`
    await fails(bringBack(folder), /port \d+, the API server's, is in use.*--as-copy/)
    await plane.stop()
    for (const [to, sequence] of [
      [moment.toISOString(), two],
      [String(one), one],
      [ago, two]
    ] as const) {
      const restored = await bringBack(folder, { to })
      assert.is(restored.upTo.sequence, sequence)
      assert.is(restored.leftOut, last - sequence)
      const back = await started('apiserver', restored.home)
      planes.push(back)
      assert.equal(await read(back), { a: sequence === one ? '1' : '2' })
      assert.equal(await read(back, '', 'secrets'), sequence === one ? {} : { s: '1' })
      assert.equal(await read(back, String(one)), { a: '1' })
      assert.ok((await create(back, 'c', '1')) > last + SKIP)
      await back.stop()
      await wholeLog(back)
      // The backup is of a time that is undone by this: it is not written over.
      await fails(take(back, folder), /of another log/)
      await back.remove()
    }
    for (const [to, what] of [
      ['0', /nothing to restore/],
      [String(last + 1), /nothing to restore/],
      ['2001-01-01', /nothing to restore/],
      ['2999-01-01', /later than the backup/],
      ['soon', /--to soon: use an RFC 3339 time/]
    ] as const)
      await fails(bringBack(folder, { to }), what)
    await fails(bringBack(folder, { home: plane.home }), /is not empty/)
  } finally {
    for (const one of planes) await one.remove()
  }
})

backups(
  'a Secret that was erased is not in a backup of after: not in the present, the past, nor where the restore ends before its deletion',
  async () => {
    const plane = await started()
    const [folder, older] = [newFolder(), newFolder('older')]
    const planes: Plane[] = [plane]
    const secret = async (from: Plane, moment = ''): Promise<Stored> =>
      JSON.parse((await from.call('GET', `${moment === '' ? '' : `/at/${moment}`}${DEFAULT}/secrets/gone`)).body) as Stored
    const isErased = ({ data, metadata: { annotations } }: Stored): boolean =>
      data === undefined && annotations?.['reckon.io/erased'] === 'true'
    try {
      const version = await create(plane, 'gone', 'sesame', 'secrets')
      await take(plane, folder)
      cpSync(folder, older, { recursive: true })
      await remove(plane, 'gone', 'secrets')
      await plane.stop()
      writeConfig(plane.home, { ...plane.config, settings: { ...plane.config.settings, keepDeletedSecrets: '0s' } })
      await plane.start()
      await plane.until('its key is destroyed', async () => isErased(await secret(plane, String(version))))
      await take(plane, folder)
      assert.equal(await check(folder), [])
      await plane.remove()
      const back = async (from: string, more: Partial<RestoreRequest> = {}): Promise<Plane> => {
        await planes.at(-1)?.remove()
        const next = await started('apiserver', (await bringBack(from, more)).home)
        planes.push(next)
        return next
      }
      assert.ok(isErased(await secret(await back(folder), String(version))))
      const before = await back(folder, { to: String(version) })
      assert.ok(isErased(await secret(before)))
      const refused = await before.call('PATCH', `${DEFAULT}/secrets/gone`, { stringData: { value: 'new' } }, PATCH)
      assert.is(refused.status, 409)
      assert.match(refused.body, /its key was destroyed/)
      assert.is((await before.call('PATCH', `${DEFAULT}/secrets/gone`, { metadata: { labels: { a: 'b' } } }, PATCH)).status, 200)
      await remove(before, 'gone', 'secrets')
      await create(before, 'gone', 'new', 'secrets')
      assert.equal(await read(before, '', 'secrets'), { gone: 'new' })
      // What is in a copy from before the erasure nobody can take back.
      assert.equal(await read(await back(older), '', 'secrets'), { gone: 'sesame' })
    } finally {
      for (const one of planes) await one.remove()
    }
  }
)

backups('encrypted: nothing of it can be read without the passphrase, and a wrong one is told at once', async () => {
  const plane = await started()
  const folder = newFolder()
  const secrets = newFolder('secrets')
  const [right, wrong, short] = [join(secrets, 'right'), join(secrets, 'wrong'), join(secrets, 'short')]
  writeFileSync(right, 'correct horse battery\n')
  writeFileSync(wrong, 'correct horse batter\n')
  writeFileSync(short, 'horse\n')
  let back: Plane | undefined
  try {
    await create(plane, 'marker-in-a-name', 'x')
    await create(plane, 's', 'sesame', 'secrets')
    await fails(take(plane, folder, { encrypt: true }), /--passphrase-file/)
    await fails(take(plane, folder, { encrypt: true, passphraseFile: short }), /too short/)
    const first = await take(plane, folder, { encrypt: true, passphraseFile: right })
    assert.ok(first.encrypted)
    await create(plane, 'another', 'x')
    await take(plane, folder, { passphraseFile: right })
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true }))
      if (entry.isFile()) assert.match(readFileSync(join(entry.parentPath, entry.name)).subarray(0, 30).toString(), 'age-encryption.org/v1')
    for (const work of [
      (): Promise<unknown> => check(folder),
      (): Promise<unknown> => bringBack(folder),
      (): Promise<unknown> => take(plane, folder)
    ])
      await fails(work(), /is encrypted: name its passphrase/)
    for (const work of [
      (): Promise<unknown> => check(folder, wrong),
      (): Promise<unknown> => bringBack(folder, { passphraseFile: wrong }),
      (): Promise<unknown> => take(plane, folder, { passphraseFile: wrong })
    ])
      await fails(work(), /the passphrase is not the one of the backup/)
    assert.equal(await check(folder, right), [])
    await plane.stop()
    back = await started('apiserver', (await bringBack(folder, { passphraseFile: right })).home)
    assert.equal(await read(back), { another: 'x', 'marker-in-a-name': 'x' })
    assert.equal(await read(back, '', 'secrets'), { s: 'sesame' })
  } finally {
    await plane.remove()
    await back?.remove()
  }
})

const filesIn = (folder: string, stream: string): string[] => readdirSync(join(folder, stream)).map((name) => join(folder, stream, name))

backups('what is wrong with a backup is found and named, and a later run mends what it can', async () => {
  const plane = await started()
  const folder = newFolder()
  try {
    for (let n = 0; n < 50; n++) await create(plane, `c${n}`, 'some text, so that there is something to damage')
    await create(plane, 's', '1', 'secrets')
    await take(plane, folder)
    assert.equal(await check(folder), [])
    const kept = (path: string): Buffer => readFileSync(path)
    for (const stream of ['events', 'keys', 'notices', 'audit', 'home'].filter((name) => existsSync(join(folder, name)))) {
      const [file = ''] = filesIn(folder, stream)
      const before = kept(file)
      const name = file.slice(folder.length + 1)
      const bytes = Buffer.from(before)
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1
      writeFileSync(file, bytes)
      assert.ok(
        (await check(folder)).some((problem) => problem.includes(`${name} is not what was written`)),
        `${name} with one bit flipped`
      )
      if (stream !== 'notices' && stream !== 'audit')
        await fails(bringBack(folder, { asCopy: true }), new RegExp(`${name} is not what was written`))
      truncateSync(file, before.length >> 1)
      assert.ok(
        (await check(folder)).some((problem) => problem.includes(name)),
        `${name} cut short`
      )
      rmSync(file)
      assert.ok(
        (await check(folder)).some((problem) => problem.includes(`${name} is missing`)),
        `${name} removed`
      )
      writeFileSync(file, before)
    }
    const [events = ''] = filesIn(folder, 'events')
    rmSync(events)
    await take(plane, folder)
    assert.equal(await check(folder), [])
    const manifest = kept(join(folder, 'manifest.json')).toString()
    writeFileSync(
      join(folder, 'manifest.json'),
      manifest.replace(/"last": (\d+)/, (_, n: string) => `"last": ${Number(n) + 1}`)
    )
    await fails(check(folder), /the manifest is not what was written/)
  } finally {
    await plane.remove()
  }
})

backups(
  'a run that is cut short leaves the backup of before, two at once are refused, and another log is not written over it',
  async () => {
    const plane = await started()
    const other = await started()
    const folder = newFolder()
    try {
      await create(plane, 'a', '1')
      const first = await take(plane, folder)
      const manifest = readFileSync(join(folder, 'manifest.json'))
      await create(plane, 'b', '1')
      // What a run leaves that ended before its manifest: new files, and half of one.
      const [events = ''] = filesIn(folder, 'events')
      writeFileSync(join(folder, 'events', '000000000001-000000009999.jsonl.zst'), 'unfinished')
      writeFileSync(join(folder, 'events', 'next.part'), 'unfinished')
      assert.equal(await check(folder), [])
      const [one, two] = await Promise.allSettled([take(plane, folder), take(plane, folder)])
      assert.equal([one.status, two.status].sort(), ['fulfilled', 'rejected'])
      assert.match(String([one, two].find(({ status }) => status === 'rejected')?.['reason' as never]), /reckon backup is at work since/)
      assert.not(existsSync(join(folder, 'events', '000000000001-000000009999.jsonl.zst')))
      assert.not(existsSync(join(folder, 'events', 'next.part')))
      assert.not(existsSync(events), 'the small last segment is written anew, and the old one goes')
      assert.is.not(readFileSync(join(folder, 'manifest.json')).toString(), manifest.toString())
      assert.equal(await check(folder), [])
      await create(other, 'elsewhere', '1')
      await fails(take(other, folder), /is of another log/)
      const strange = newFolder()
      writeFileSync(join(strange, 'letters.txt'), 'dear')
      await fails(take(plane, strange), /holds something else \(letters.txt\)/)
      await fails(take(plane, plane.home), /belongs elsewhere/)
      assert.ok(first.last > 0)
    } finally {
      await plane.remove()
      await other.remove()
    }
  }
)

backups('beside the cluster it is of: a copy with ports, networks and addresses of its own, which disturbs nothing', async () => {
  const plane = await started()
  const folder = newFolder()
  let copy: Plane | undefined
  try {
    const service = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web' },
      spec: { type: 'NodePort', selector: { app: 'web' }, ports: [{ port: 80 }] }
    }
    const made = JSON.parse((await plane.call('POST', `${DEFAULT}/services`, service)).body) as {
      spec: { clusterIP: string; ports: { nodePort: number }[] }
    }
    await create(plane, 'a', '1')
    await create(plane, 's', 'sesame', 'secrets')
    const { last } = await take(plane, folder)
    const before = await everything(plane)
    const restored = await bringBack(folder, { asCopy: true })
    copy = await started('apiserver', restored.home)
    assert.equal(await read(copy), { a: '1' })
    assert.equal(await read(copy, '', 'secrets'), { s: 'sesame' })
    assert.is(await everything(copy, String(last)), before)
    for (const field of ['instance', 'apiPort', 'natsPort', 'podCIDR', 'serviceCIDR', 'nodePortRange', 'bridge'] as const)
      assert.is.not(copy.config[field], plane.config[field], field)
    assert.equal(copy.config.settings?.components, ['apiserver'])
    const there = JSON.parse((await copy.call('GET', `${DEFAULT}/services/web`)).body) as typeof made
    const prefix = (cidr: string): string => cidr.split('.').slice(0, 2).join('.')
    assert.is(there.spec.clusterIP, made.spec.clusterIP.replace(prefix(plane.config.serviceCIDR), prefix(copy.config.serviceCIDR)))
    assert.is(
      (there.spec.ports[0]?.nodePort ?? 0) - Number(copy.config.nodePortRange.split('-')[0]),
      (made.spec.ports[0]?.nodePort ?? 0) - Number(plane.config.nodePortRange.split('-')[0])
    )
    const own = JSON.parse((await copy.call('GET', `${DEFAULT}/services/kubernetes`)).body) as typeof made
    assert.ok(own.spec.clusterIP.startsWith(prefix(copy.config.serviceCIDR)))
    // Both go on, each for itself.
    await create(copy, 'in-the-copy', '1')
    await create(plane, 'in-the-original', '1')
    assert.is((await read(plane))['in-the-copy'], undefined)
    assert.is((await read(copy))['in-the-original'], undefined)
    // The copy has the backup's history, and is no successor of it.
    await fails(take(copy, folder), /of another log/)
    await take(plane, folder)
    assert.equal(await check(folder), [])
    await copy.stop()
    await wholeLog(copy)
  } finally {
    await plane.remove()
    await copy?.remove()
  }
})

const compactTo = async (plane: Plane, sequence: number): Promise<void> => {
  const connection = await connectNats(plane.home, plane.config, 'keeper')
  try {
    const work = {
      home: plane.home,
      connection,
      seal: loadSeal(plane.home),
      report: quiet,
      eased: true,
      graceMs: 0,
      command: 'reckon log compact'
    }
    const planned = await plan(work, { sequence })
    assert.ok(planned !== undefined)
    await compact(work, planned)
  } finally {
    await connection.close()
  }
}

backups('of compacted history: a backup of before goes on and keeps what went; one of after comes back with its floor', async () => {
  const plane = await started()
  const [archive, fresh] = [newFolder(), newFolder()]
  const planes: Plane[] = [plane]
  try {
    const one = await create(plane, 'a', '1')
    await create(plane, 'gone', '1')
    await remove(plane, 'gone')
    await create(plane, 's', 'sesame', 'secrets')
    await take(plane, archive)
    const floor = await change(plane, 'a', '2')
    const later = await change(plane, 'a', '3')
    await take(plane, archive)
    await compactTo(plane, floor)
    await create(plane, 'b', '1')
    const { last } = await take(plane, archive)
    await take(plane, fresh)
    await change(plane, 'a', '4')
    await take(plane, fresh)
    for (const folder of [archive, fresh]) assert.equal(await check(folder), [])
    await plane.stop()
    for (const folder of [archive, fresh]) {
      const back = await started('apiserver', (await bringBack(folder)).home)
      planes.push(back)
      assert.equal(await read(back), { a: folder === fresh ? '4' : '3', b: '1' })
      assert.equal(await read(back, String(floor)), { a: '2' })
      assert.equal(await read(back, String(later)), { a: '3' })
      assert.equal(await read(back, String(floor), 'secrets'), { s: 'sesame' })
      const old = await back.call('GET', `/at/${one}${DEFAULT}/configmaps`)
      assert.is(old.status, folder === fresh ? 410 : 200, old.body)
      await change(back, 'a', '5')
      await create(back, 'gone', '2')
      await back.stop()
      await wholeLog(back)
      await back.remove()
    }
    await fails(bringBack(fresh, { to: String(one) }), new RegExp(`the backup holds history from resourceVersion ${floor}`))
    const early = await bringBack(archive, { to: String(one) })
    assert.is(early.upTo.sequence, one)
    // Compacted beyond what the backup has: what lies between can't be had any more.
    await plane.start()
    await ready(plane)
    const end = await change(plane, 'a', '6')
    await create(plane, 'c', '1')
    await compactTo(plane, end)
    await fails(take(plane, archive), new RegExp(`compacted up to ${end}, and this backup ends at ${last}`))
    await take(plane, newFolder())
  } finally {
    for (const one of planes) await one.remove()
  }
})

backups('a log that is not what it was is not backed up over one that was', async () => {
  const plane = await started()
  const folder = newFolder()
  try {
    await create(plane, 'a', '1')
    await take(plane, folder)
    const manifest = readFileSync(join(folder, 'manifest.json')).toString()
    await create(plane, 'b', '1')
    await plane.stop()
    // The same log, as another home remembers it: with one event more where the backup has another.
    const twin = newFolder('twin')
    cpSync(plane.home, twin, { recursive: true })
    await plane.start()
    await ready(plane)
    await create(plane, 'c', 'here')
    await take(plane, folder)
    await plane.stop()
    const other = await started('apiserver', twin)
    try {
      await create(other, 'c', 'there')
      await create(other, 'd', 'there')
      await fails(take(other, folder), /does not go on where the backup .* ends/)
      await other.kill()
      const record = join(twin, 'ledger/EVENTS.json')
      writeFileSync(
        record,
        JSON.stringify({
          ...(JSON.parse(readFileSync(record, 'utf8')) as object),
          damage: { stream: 'EVENTS', kind: 'altered', ranges: [], verified: 0, detail: 'EVENTS: found at work' }
        })
      )
      await fails(take(other, newFolder()), /found at work/)
    } finally {
      await other.remove()
    }
    assert.equal(await check(folder), [])
    assert.is.not(readFileSync(join(folder, 'manifest.json')).toString(), manifest)
  } finally {
    await plane.remove()
  }
})

backups('cursors go along: what was shown before is not shown again, what was not is', async () => {
  const plane = await started()
  const folder = newFolder()
  let back: Plane | undefined
  const cursor = async (home: Plane, start: CursorStart, count: number): Promise<number[]> => {
    const connection = await connectNats(home.home, home.config, 'admin')
    try {
      const { consumer } = await askToFollow(connection, 'admin', { what: 'cursor', part: 'EVENTS', name: 'mine', start })
      const from = jetstream(connection).consumers.getConsumerFromInfo(consumer as never)
      const seen: number[] = []
      while (seen.length < count) {
        const message = await from.next({ expires: 5_000 })
        assert.ok(message !== null && (await message.ackAck()))
        seen.push(message?.seq ?? 0)
      }
      return seen
    } finally {
      await connection.close()
    }
  }
  try {
    const first = await create(plane, 'a', '1')
    const second = await create(plane, 'b', '1')
    assert.equal(await cursor(plane, { sequence: first }, 1), [first])
    await take(plane, folder)
    await plane.stop()
    back = await started('apiserver', (await bringBack(folder)).home)
    assert.equal(await cursor(back, { at: 'now' }, 1), [second])
  } finally {
    await plane.remove()
    await back?.remove()
  }
})

backups('a restore that was cut short is no cluster, and is begun anew', async () => {
  const plane = await started()
  const folder = newFolder()
  const home = newFolder('home')
  let back: Plane | undefined
  try {
    await create(plane, 'a', '1')
    await take(plane, folder)
    await plane.stop()
    writeFileSync(join(home, 'restoring'), '{}')
    mkdirSync(join(home, 'nats/store'), { recursive: true })
    writeFileSync(join(home, 'nats/store/half'), 'of a stream')
    assert.throws(() => readConfig(home), /a restore was cut short; run `reckon restore` again/)
    await bringBack(folder, { home })
    assert.not(existsSync(join(home, 'nats/store/half')))
    back = await started('apiserver', home)
    assert.equal(await read(back), { a: '1' })
  } finally {
    await plane.remove()
    await back?.remove()
  }
})

backups('the cluster does it by itself where its settings say so, and says when it can not', async () => {
  const plane = await startPlane()
  const folder = newFolder()
  try {
    const blocked = join(folder, 'a-file')
    writeFileSync(blocked, '')
    writeFileSync(
      join(plane.home, 'config.json'),
      JSON.stringify({ ...plane.config, settings: { backup: { folder: join(blocked, 'backup'), every: '1m' } } })
    )
    await plane.start()
    await ready(plane)
    await create(plane, 'a', '1')
    const notices = async (): Promise<
      { reason: string; type: string; message: string; involvedObject: { kind: string; name: string } }[]
    > =>
      (
        JSON.parse((await plane.call('GET', `${DEFAULT}/events`)).body) as {
          items: { reason: string; type: string; message: string; involvedObject: { kind: string; name: string } }[]
        }
      ).items
    await plane.until('it says that it can not', async () => (await notices()).some(({ reason }) => reason === 'BackupFailed'), 60_000)
    const [notice] = await notices()
    assert.equal([notice?.type, notice?.involvedObject.kind, notice?.involvedObject.name], ['Warning', 'Node', plane.config.nodeName])
    assert.match(notice?.message ?? '', /ENOTDIR/)
    await plane.kill()
    writeFileSync(
      join(plane.home, 'config.json'),
      JSON.stringify({ ...plane.config, settings: { backup: { folder: join(folder, 'backup'), every: '1m' } } })
    )
    await plane.start()
    await plane.until('it is done', async () => existsSync(join(folder, 'backup/manifest.json')), 60_000)
    assert.equal(await check(join(folder, 'backup')), [])
  } finally {
    await plane.remove()
  }
})

all.run()
