/** A disk that is really full, by others and by ourselves: what is refused, what goes on, and how it passes by itself. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { reserveFile } from '#ops/components/disk.ts'
import type { ClusterConfig } from '#ops/home.ts'
import { runningServer } from '#ops/nats/server.ts'
import { FileReserve } from '#services/platform/disk/Disk.ts'
import { Load, type LoadOptions } from '#test/campaign/load.ts'
import { verdictOf } from '#test/campaign/verdict.ts'
import { startPlane, type Answered, type Plane } from '#test/support/plane.ts'
import { sideBySide } from '#test/support/sideBySide.ts'
import { inOwnMounts, smallDisk, type SmallDisk } from '#test/support/smallDisk.ts'

const MIB = 1024 * 1024
const SETTINGS: Partial<ClusterConfig> = { settings: { disk: { low: '24Mi', noCreates: '16Mi', deletesOnly: '8Mi', reserve: '12Mi' } } }
const CONFIGMAPS = '/api/v1/namespaces/default/configmaps'

const messageOf = ({ body }: Answered): string => (JSON.parse(body) as { message?: string }).message ?? ''

/** A node and its lease, as an agent would keep them. */
const makeNode = async (plane: Plane): Promise<void> => {
  const name = plane.config.nodeName
  assert.is((await plane.call('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name } })).status, 201)
  const lease = {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name },
    spec: { holderIdentity: name, leaseDurationSeconds: 40 }
  }
  assert.is((await plane.call('POST', '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases', lease)).status, 201)
}
const create = (plane: Plane, name: string, bytes = 100): Promise<Answered> =>
  plane.call('POST', CONFIGMAPS, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name },
    data: { filler: Array.from({ length: bytes / 8 }, () => Math.random().toString(36).slice(2, 10).padEnd(8, 'x')).join('') }
  })
const patch = (plane: Plane, path: string, body: unknown): Promise<Answered> =>
  plane.call('PATCH', path, body, { 'content-type': 'application/merge-patch+json' })
const remove = (plane: Plane, name: string): Promise<Answered> => plane.call('DELETE', `${CONFIGMAPS}/${name}`)
/** What agents must be able to say at any time. */
const heartbeat = async (plane: Plane): Promise<readonly number[]> => {
  const name = plane.config.nodeName
  const time = new Date().toISOString()
  return [
    (
      await patch(plane, `/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/${name}`, {
        spec: { renewTime: time.replace('Z', '000Z') }
      })
    ).status,
    (await patch(plane, `/api/v1/nodes/${name}/status`, { status: { nodeInfo: { bootID: time } } })).status
  ]
}
const condition = async (plane: Plane): Promise<{ status: string; message: string } | undefined> => {
  const node = JSON.parse((await plane.call('GET', `/api/v1/nodes/${plane.config.nodeName}`)).body) as {
    status?: { conditions?: { type: string; status: string; message: string }[] }
  }
  return node.status?.conditions?.find(({ type }) => type === 'LogDiskPressure')
}
const withPlane = async (
  work: (disk: SmallDisk, plane: Plane, load: (tag: string, options?: LoadOptions) => Load) => Promise<void>
): Promise<void> => {
  const loads: Load[] = []
  const disk = smallDisk(96)
  const plane = await startPlane('apiserver', {}, { folder: disk.path, config: SETTINGS })
  try {
    await plane.start()
    await plane.until('it is ready', async () => (await plane.call('GET', '/readyz')).status === 200)
    await makeNode(plane)
    await plane.until('some of the disk is held back', async () => new FileReserve(reserveFile(plane.home)).held() >= 12 * MIB)
    await work(disk, plane, (tag, options) => {
      const load = new Load(plane, tag, options)
      loads.push(load)
      load.start()
      return load
    })
  } finally {
    await Promise.all(loads.map((load) => load.stop()))
    await plane.remove()
    disk.remove()
  }
}

if (inOwnMounts(import.meta.filename)) {
  const all = suite('a full disk')
  const full = sideBySide(all, 2)

  full('in steps: creates first, then everything but deletes and what agents say; all of it comes back', () =>
    withPlane(async (disk, plane) => {
      for (const name of ['a', 'b', 'c']) assert.is((await create(plane, name)).status, 201)
      disk.fill(20 * MIB)
      await plane.until('the node is told', async () => (await condition(plane))?.status === 'True')
      assert.is((await create(plane, 'd')).status, 201, 'a warning refuses nothing')
      disk.fill(12 * MIB)
      await plane.until('creates are refused', async () => (await create(plane, `n${Math.random()}`)).status === 507)
      const refused = await create(plane, 'e')
      assert.match(refused.body, '"reason":"InsufficientStorage"')
      assert.match(messageOf(refused), /less than 16 MiB free: nothing new is stored.*reckon status/)
      assert.is((await patch(plane, `${CONFIGMAPS}/a`, { data: { small: 'x' } })).status, 200, 'a small change goes on')
      assert.is((await patch(plane, `${CONFIGMAPS}/a`, { data: { large: 'x'.repeat(5_000) } })).status, 507, 'one that grows does not')
      assert.is(
        (await plane.call('POST', CONFIGMAPS, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'dry' } }, { 'x-dry': '1' })).status,
        507
      )
      assert.is(
        (await plane.call('POST', `${CONFIGMAPS}?dryRun=All`, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'dry' } })).status,
        201,
        'a dry run stores nothing'
      )
      assert.equal(await heartbeat(plane), [200, 200])
      const ready = await plane.call('GET', '/readyz?verbose')
      assert.is(ready.status, 500)
      assert.match(ready.body, '[-]disk failed: reason withheld')
      assert.match(ready.body, '[+]log ok')
      assert.match((await plane.call('GET', '/readyz/disk')).body, /internal server error: the log's disk has less than 16 MiB free.* of /)
      assert.is((await plane.call('GET', '/readyz?exclude=disk')).body, 'ok')
      disk.fill(4 * MIB)
      await plane.until(
        'changes are refused',
        async () => (await patch(plane, `${CONFIGMAPS}/a`, { data: { small: String(Math.random()) } })).status === 507
      )
      assert.is((await remove(plane, 'a')).status, 200)
      assert.equal(await heartbeat(plane), [200, 200])
      await plane.until('the node is told', async () => (await condition(plane))?.message.includes('only deletes, status') === true)
      const notices = JSON.parse((await plane.call('GET', '/api/v1/namespaces/default/events')).body) as {
        items: { reason: string; type: string }[]
      }
      assert.ok(notices.items.some(({ reason, type }) => reason === 'LogDiskTakesDeletesOnly' && type === 'Warning'))
      disk.empty()
      const began = Date.now()
      await plane.until('creates are taken again', async () => (await create(plane, `m${Math.random()}`)).status === 201)
      assert.ok(Date.now() - began < 10_000, `it took ${Date.now() - began} ms`)
      await plane.until('the node is told', async () => (await condition(plane))?.status === 'False')
      await plane.until('it is ready', async () => (await plane.call('GET', '/readyz')).status === 200)
    })
  )

  full('filled to the last byte under load: the reserve is given up, nothing acknowledged is lost, and no client is told 500', () =>
    withPlane(async (disk, plane, begin) => {
      const load = begin('full', { bytes: 2_000 })
      assert.ok(await load.more(200, 20_000))
      const first = runningServer(plane.home)?.pid
      disk.fill(0)
      await plane.until('the reserve is given up', async () => new FileReserve(reserveFile(plane.home)).held() === 0)
      await plane.until('deletes and what agents say go on', async () => {
        const names = (JSON.parse((await plane.call('GET', `${CONFIGMAPS}?limit=1`)).body) as { items: { metadata: { name: string } }[] })
          .items
        return (
          (await remove(plane, names[0]?.metadata.name ?? '')).status === 200 && (await heartbeat(plane)).every((status) => status === 200)
        )
      })
      assert.is((await create(plane, 'late')).status, 507)
      await wait(2_000)
      disk.empty()
      await plane.until('creates are taken again', async () => (await create(plane, `m${Math.random()}`)).status === 201)
      assert.ok(await load.more(200, 20_000), 'the writers go on')
      await plane.until('the reserve is taken back', async () => new FileReserve(reserveFile(plane.home)).held() >= 12 * MIB)
      await load.stop()
      assert.equal(
        [...load.codes.keys()].filter((code) => ![507].includes(code)),
        [],
        `${JSON.stringify([...load.codes])} ${JSON.stringify([...load.unknown])}`
      )
      assert.ok((load.codes.get(507) ?? 0) > 0)
      const said = readFileSync(join(plane.home, 'log/nats-server.log'), 'utf8')
      if (/no space left on device/.test(said))
        assert.is.not(runningServer(plane.home)?.pid, first, 'a nats-server that met the end of its disk is another one now')
      assert.equal((await verdictOf(plane, [load])).faults, [])
    })
  )

  full('not even the reserve is left: everything is refused at once, with words, and it passes', () =>
    withPlane(async (disk, plane) => {
      for (let n = 0; n < 50; n++) assert.is((await create(plane, `c${n}`, 4_000)).status, 201)
      disk.fill(0)
      // Another program that takes whatever is set free.
      const greedy = setInterval(() => disk.fill(0), 20)
      try {
        await plane.until(
          'nothing is stored any more',
          async () => {
            const at = Date.now()
            const { status, body } = await patch(plane, `${CONFIGMAPS}/c1/../c2`, { data: { n: String(at) } }).then(() =>
              remove(plane, `c${Math.floor(Math.random() * 50)}`)
            )
            return status === 507 && /takes nothing more/.test(body) && Date.now() - at < 1_000
          },
          60_000
        )
        assert.is((await plane.call('GET', CONFIGMAPS)).status, 200, 'reads go on')
      } finally {
        clearInterval(greedy)
      }
      disk.empty()
      const began = Date.now()
      await plane.until('it goes on', async () => (await create(plane, `m${Math.random()}`)).status === 201, 20_000)
      assert.ok(Date.now() - began < 10_000, `it took ${Date.now() - began} ms`)
      assert.equal((await verdictOf(plane, [])).faults, [])
    })
  )

  all.run()
}
