/** The index of the past in a home: it outlives kills at any moment, and is made anew when it is damaged, gone, or of another log. */
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { startPlane, type Plane } from '#test/support/plane.ts'

const historian = suite('the historian in a home')
const CONFIGMAPS = '/api/v1/namespaces/default/configmaps'

interface Written {
  readonly metadata: { readonly name: string; readonly resourceVersion: string }
  readonly data?: Record<string, string>
}

const ready = (plane: Plane): Promise<void> => plane.until('it is ready', async () => (await plane.call('GET', '/readyz')).status === 200)
/** What was at each version, as the answers to the writes said it. */
const told = new Map<number, string>()
const write = async (plane: Plane, value: string): Promise<boolean> => {
  const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'counter' }, data: { value } }
  const { status, body } =
    told.size === 0 ? await plane.call('POST', CONFIGMAPS, object) : await plane.call('PUT', `${CONFIGMAPS}/counter`, object)
  if (status !== 200 && status !== 201) return false
  told.set(Number((JSON.parse(body) as Written).metadata.resourceVersion), value)
  return true
}
/** Every version that was acknowledged reads as what was written. */
const check = async (plane: Plane): Promise<void> => {
  for (const [sequence, value] of told) {
    const path = `/at/${sequence}${CONFIGMAPS}/counter`
    // While an index is made anew the past is a matter of time.
    await plane.until(`${path} is answered`, async () => (await plane.call('GET', path)).status !== 503)
    const { status, body } = await plane.call('GET', path)
    assert.is(status, 200, body)
    assert.is((JSON.parse(body) as Written).data?.['value'], value, path)
  }
  const first = [...told.keys()][0] as number
  const { body } = await plane.call('GET', `/at/${first - 1}${CONFIGMAPS}`)
  assert.not.ok((JSON.parse(body) as { items: Written[] }).items.some(({ metadata }) => metadata.name === 'counter'))
}
const folderOf = (plane: Plane): string => join(plane.home, 'history')
const fileOf = (plane: Plane): string => join(folderOf(plane), readFileSync(join(folderOf(plane), 'EVENTS.current'), 'utf8').trim())

let plane: Plane
historian.before(async () => {
  plane = await startPlane('apiserver')
  await plane.start()
  await ready(plane)
})
historian.after(() => plane.remove())

historian('goes on after kill -9 in the middle of writes', async () => {
  for (let round = 0; round < 3; round++) {
    let writing = true
    const writer = (async () => {
      for (let n = 0; writing; n++) if (!(await write(plane, `${round}-${n}`).catch(() => false))) return
    })()
    await plane.until('some of it is written', async () => told.size > 40 * (round + 1))
    await plane.kill()
    writing = false
    await writer
    await plane.start()
    await ready(plane)
  }
  await check(plane)
  const files = readdirSync(folderOf(plane)).filter((name) => name.endsWith('.sqlite'))
  assert.is(files.length, 2, 'one index a stream, and the same one all along')
})
historian('keeps what it has to itself', () => {
  assert.is(statSync(folderOf(plane)).mode & 0o777, 0o700)
  for (const name of readdirSync(folderOf(plane))) assert.is(statSync(join(folderOf(plane), name)).mode & 0o777, 0o600, name)
})
historian('makes an index anew that is damaged, gone, or of another log', async () => {
  const was = fileOf(plane)
  for (const harm of ['garbage', 'gone', 'other'] as const) {
    await plane.kill()
    if (harm === 'gone') rmSync(folderOf(plane), { recursive: true })
    else if (harm === 'garbage') for (const name of [fileOf(plane), `${fileOf(plane)}-wal`]) writeFileSync(name, Buffer.alloc(16_384, 7))
    else {
      const { DatabaseSync } = await import('node:sqlite')
      const database = new DatabaseSync(fileOf(plane))
      database.exec("UPDATE place SET identity = 'another cluster'; UPDATE version SET version = version - 2")
      database.close()
    }
    await plane.start()
    await ready(plane)
    await check(plane)
    assert.is.not(fileOf(plane), was)
  }
})
historian('makes an index anew whose place has another hash than the log', async () => {
  await plane.kill()
  const was = fileOf(plane)
  const { DatabaseSync } = await import('node:sqlite')
  const database = new DatabaseSync(was)
  database.exec('UPDATE place SET hash = zeroblob(32)')
  database.close()
  await plane.start()
  await ready(plane)
  // It is seen with the next entry, which names the place its writer saw.
  assert.ok(await write(plane, 'after'))
  await plane.until('another index counts', async () => fileOf(plane) !== was)
  await check(plane)
  assert.is((await plane.call('GET', '/readyz')).status, 200)
})
historian.run()
