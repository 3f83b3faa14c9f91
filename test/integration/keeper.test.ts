/** Whatever keeps nats-server from running for a while: the API server says so, and goes on by itself when it is over. */
import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ensureNatsServer } from '#ops/nats/binary.ts'
import { connectNats } from '#ops/nats/connect.ts'
import { greets, runningServer } from '#ops/nats/server.ts'
import { storeFolder } from '#ops/nats/store.ts'
import { NatsIntents } from '#services/platform/NatsIntents.ts'
import { Load } from '#test/campaign/load.ts'
import { verdictOf } from '#test/campaign/verdict.ts'
import { startPlane, type Answered, type Plane } from '#test/support/plane.ts'
import { sideBySide } from '#test/support/sideBySide.ts'
import { inOwnMounts, smallDisk } from '#test/support/smallDisk.ts'

const CONFIGMAPS = '/api/v1/namespaces/default/configmaps'
const create = (plane: Plane, name: string): Promise<Answered> =>
  plane.call('POST', CONFIGMAPS, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } })
/** As clients do that are told to come back later; a server that hangs may take as long as a write is waited for. */
const insist = async (plane: Plane, name: string): Promise<Answered> => {
  for (;;) {
    const answer = await create(plane, name)
    if (answer.status !== 503) return answer
    assert.match(answer.body, 'this request stored nothing')
  }
}
const isReady = async (plane: Plane): Promise<boolean> => (await plane.call('GET', '/readyz')).status === 200

/** A program in nats-server's place that does what the file `mode` beside it says; nothing there: it is nats-server. */
const wrapper = async (folder: string): Promise<{ readonly path: string; mode(script: string | undefined): void }> => {
  const { path: real } = await ensureNatsServer(() => {})
  const path = join(folder, 'nats-server')
  const mode = join(folder, 'mode')
  writeFileSync(path, `#!/bin/sh\n[ "$1" = --version ] || { [ -f '${mode}' ] && . '${mode}'; }\nexec '${real}' "$@"\n`, { mode: 0o755 })
  return { path, mode: (script) => (script === undefined ? rmSync(mode, { force: true }) : writeFileSync(mode, script)) }
}

interface Scene {
  readonly plane: Plane
  /** The program in nats-server's place. */
  readonly path: string
  /** What nats-server does when it is started the next time. */
  mode(script: string | undefined): void
}

const scene = async (work: (scene: Scene) => Promise<void>): Promise<void> => {
  const folder = mkdtempSync(join(tmpdir(), 'reckon-program-'))
  const { path, mode } = await wrapper(folder)
  const plane = await startPlane('apiserver', { RECKON_NATS_SERVER: path })
  try {
    await plane.start()
    await plane.until('it is ready', () => isReady(plane))
    assert.is((await create(plane, 'before')).status, 201)
    await work({ plane, path, mode })
  } finally {
    await plane.remove()
    rmSync(folder, { recursive: true, force: true })
  }
}

/**
 * It takes a fraction of a second, on a machine with nothing else to do. What this is to tell it from is a wait for something that does not
 * come: an acknowledgement that died with its connection (five seconds), a pause before the next start (up to ten).
 */
const AT_ONCE_MS = 3_500
/** Until a killed server is started again and has read its files. */
const KILLED_MS = 1_000

/** From the moment nats-server answers until the next write is acknowledged, milliseconds. */
const afterAnswer = async (plane: Plane, write: Promise<Answered>): Promise<number> => {
  const deadline = Date.now() + 60_000
  while (!(await greets(plane.config))) {
    assert.ok(Date.now() < deadline, `nats-server does not come back\n${plane.log()}`)
    await wait(10)
  }
  const began = performance.now()
  assert.is((await write).status, 201)
  return performance.now() - began
}

/** What holds as long as it is away. */
const away = async (plane: Plane): Promise<void> => {
  await plane.until('it is not ready', async () => !(await isReady(plane)))
  const health = await plane.call('GET', '/readyz')
  assert.is(health.status, 500)
  assert.match(health.body, '[+]ping ok\n[-]log failed: reason withheld\n')
  assert.match((await plane.call('GET', '/readyz/log')).body, /internal server error: there is no connection to the log/)
  assert.is((await plane.call('GET', '/livez')).status, 500)
  assert.is((await plane.call('GET', `${CONFIGMAPS}/before`)).status, 200, 'reads go on')
  assert.is((await plane.call('GET', CONFIGMAPS)).status, 200)
}

const all = suite('nats-server is kept')
const keeper = sideBySide(all, 3)

keeper('it exits at once for 8 seconds: a write waits for it, everything goes on at once', () =>
  scene(async ({ plane, mode }) => {
    mode('exit 1')
    await plane.killNats()
    setTimeout(() => mode(undefined), 8_000)
    const write = create(plane, 'during')
    await away(plane)
    const took = await afterAnswer(plane, write)
    assert.ok(took < AT_ONCE_MS, `${took} ms`)
    await plane.until('it is ready', () => isReady(plane), 10_000)
    const pauses = [...plane.log().matchAll(/it is started again(?: in (\S+) s)?$/gm)].map(([, pause]) => Number(pause ?? 0))
    assert.ok(pauses.length < 12, `it was started ${pauses.length} times in 8 s`)
    assert.equal(
      pauses,
      pauses.toSorted((a, b) => a - b),
      'pauses grow'
    )
  })
)

keeper('away for long: a write is refused in bounded time, and is not in the log', () =>
  scene(async ({ plane, mode }) => {
    mode('exit 1')
    await plane.killNats()
    await plane.until('it is seen', async () => !(await isReady(plane)))
    const began = Date.now()
    const [one, ...others] = await Promise.all(Array.from({ length: 40 }, (_, n) => create(plane, `w${n}`)))
    const took = Date.now() - began
    assert.ok(took > 10_000 && took < 40_000, `${took} ms`)
    for (const answer of [one as Answered, ...others]) {
      assert.is(answer.status, 503, answer.body)
      assert.match(answer.body, '"reason":"ServiceUnavailable"')
      assert.match(answer.body, 'this request stored nothing')
    }
    mode(undefined)
    await plane.until('it is ready', () => isReady(plane), 10_000)
    const { items } = JSON.parse((await plane.call('GET', CONFIGMAPS)).body) as { items: { metadata: { name: string } }[] }
    assert.equal(
      items.map(({ metadata }) => metadata.name),
      ['before']
    )
  })
)

keeper('it hangs: it is killed after a while, and started again', () =>
  scene(async ({ plane, path, mode }) => {
    mode(': > "$0.hangs"; exec sleep 600')
    await plane.killNats()
    await plane.until('it hangs', async () => existsSync(`${path}.hangs`))
    // The next one does not hang.
    mode(undefined)
    const write = insist(plane, 'during')
    await away(plane)
    const took = await afterAnswer(plane, write)
    assert.ok(took < AT_ONCE_MS, `${took} ms`)
    assert.match(plane.log(), /did nothing for 15 s, and was killed/)
  })
)

keeper('it lives for a second, again and again: the pauses grow, and writes get through in between', () =>
  scene(async ({ plane, mode }) => {
    // In its own session: it must not be mistaken for the server.
    mode("trap '' TERM; (sleep 1; kill -SEGV $$) >/dev/null 2>&1 &")
    await plane.killNats()
    const pausesTaken = (): readonly number[] =>
      [...plane.log().matchAll(/nats-server is gone: it ended with \S+; it is started again(?: in (\S+) s)?$/gm)].map(([, pause]) =>
        Number(pause ?? 0)
      )
    await plane.until('it was started some times', async () => pausesTaken().length >= 4, 60_000)
    mode(undefined)
    await plane.until(
      'it is ready',
      async () => (await create(plane, `n${Math.random()}`)).status === 201 && (await isReady(plane)),
      20_000
    )
    const pauses = pausesTaken()
    assert.ok((pauses.at(-1) as number) > (pauses[0] as number), `pauses: ${pauses.join(', ')}`)
  })
)

keeper('its port is taken by another program for a while', () =>
  scene(async ({ plane }) => {
    plane.signal('SIGSTOP')
    await plane.killNats()
    const held = new Set<Socket>()
    const squatter: Server = createServer((socket) => void held.add(socket.on('error', () => {})))
    await new Promise<void>((resolve) => {
      // The kernel takes its time with what a killed process had open.
      const listen = (): void => void squatter.listen(plane.config.natsPort, '127.0.0.1')
      squatter.on('error', () => setTimeout(listen, 20))
      squatter.on('listening', resolve)
      listen()
    })
    plane.signal('SIGCONT')
    const write = create(plane, 'during')
    await away(plane)
    await plane.until('it was met', async () => /address already in use/.test(plane.log()))
    // As its process' end would.
    for (const socket of held) socket.destroy()
    await new Promise((resolve) => squatter.close(resolve))
    const took = await afterAnswer(plane, write)
    assert.ok(took < AT_ONCE_MS, `${took} ms`)
  })
)

keeper('an intent over NATS whose answer died with the connection is asked again at once, and decided once', () =>
  scene(async ({ plane }) => {
    const nats = await connectNats(plane.home, plane.config, 'admin')
    try {
      const intents = new NatsIntents(nats, { user: 'admin' })
      // It is on its way, and nobody answers.
      plane.signal('SIGSTOP')
      const began = performance.now()
      const asked = intents.submit({
        id: randomUUID(),
        verb: 'create',
        ref: { group: '', resource: 'configmaps' },
        version: 'v1',
        namespace: 'default',
        name: 'by-nats',
        source: 'test',
        object: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'by-nats' } }
      })
      await wait(300)
      await plane.killNats()
      plane.signal('SIGCONT')
      const result = await asked
      assert.ok(result.ok, JSON.stringify(result))
      assert.ok(performance.now() - began < 6_000, `${performance.now() - began} ms`)
      assert.equal((await verdictOf(plane, [])).faults, [])
    } finally {
      await nats.close()
    }
  })
)

keeper('killed under load, again and again: writes are acknowledged again within a second or so', async () => {
  const plane = await startPlane()
  const load = new Load(plane, 'kill')
  try {
    await plane.start()
    await plane.until('it is ready', () => isReady(plane))
    load.start()
    assert.ok(await load.more(200, 20_000))
    const outages: number[] = []
    for (let round = 0; round < 5; round++) {
      await wait(2_200)
      const began = performance.now()
      process.kill(runningServer(plane.home)?.pid ?? 0, 'SIGKILL')
      await wait(50)
      assert.ok(await load.more(50, 20_000))
      outages.push(load.outage(began - 20, performance.now()))
    }
    await load.stop()
    // An acknowledgement that dies with its connection was once waited for: five seconds, each time. Once may be the machine's.
    assert.ok(
      (outages.toSorted((a, b) => a - b)[2] as number) < AT_ONCE_MS + KILLED_MS,
      `outages: ${outages.map(Math.round).join(', ')} ms`
    )
    assert.equal((await verdictOf(plane, [load])).faults, [])
    assert.equal([...load.codes], [], 'a client was told of it')
  } finally {
    await load.stop()
    await plane.remove()
  }
})

if (inOwnMounts(import.meta.filename)) {
  const onDisk = (
    what: string,
    break_: (disk: ReturnType<typeof smallDisk>) => void,
    mend: (disk: ReturnType<typeof smallDisk>) => void
  ): void => {
    keeper(what, async () => {
      const disk = smallDisk(64)
      const plane = await startPlane()
      try {
        mkdirSync(storeFolder(plane.home), { recursive: true, mode: 0o700 })
        disk.moveTo(storeFolder(plane.home))
        await plane.start()
        await plane.until('it is ready', () => isReady(plane))
        assert.is((await create(plane, 'before')).status, 201)
        plane.signal('SIGSTOP')
        await plane.killNats()
        break_(disk)
        plane.signal('SIGCONT')
        const write = create(plane, 'during')
        await away(plane)
        await wait(2_000)
        mend(disk)
        const took = await afterAnswer(plane, write)
        assert.ok(took < AT_ONCE_MS, `${took} ms`)
        assert.equal((await verdictOf(plane, [])).faults, [])
        assert.is((await plane.call('GET', `${CONFIGMAPS}/before`)).status, 200)
        assert.not(
          existsSync(join(plane.home, 'nats/aside/before-start')) &&
            readFileSync(join(plane.home, 'ledger/EVENTS.json'), 'utf8').includes('damage'),
          'it was taken for damage'
        )
      } finally {
        await plane.remove().catch(() => {})
        disk.remove()
      }
    })
  }
  onDisk(
    'its store is read-only for a while',
    (disk) => disk.remount('ro'),
    (disk) => disk.remount('rw')
  )
  onDisk(
    "its store's disk is not there for a while: that is no lost log",
    (disk) => disk.unmount(),
    (disk) => disk.mount()
  )
  all.run()
}
