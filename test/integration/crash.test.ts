/** `kill -9` of the API server and of nats-server under write load: what was acknowledged is there, once, and the fold equals a replay. */
import { at } from '#test/support/kinds.ts'
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { isGuard } from '#events/guard.ts'
import { decodeFacts } from '#events/Event.ts'
import { keyId } from '#events/Key.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { loadOrCreateConfig, writeSecret, type ClusterConfig } from '#ops/home.ts'
import { ensureNatsServer } from '#ops/nats/binary.ts'
import { connectNats } from '#ops/nats/connect.ts'
import { runningServer, stopNatsServer } from '#ops/nats/server.ts'
import { ensurePki, pkiFile } from '#ops/pki/pki.ts'
import { Objects } from '#projections/Objects.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { freePort } from '#test/support/ports.ts'
import { builtIns } from '#test/support/builtIns.ts'

const WRITERS = 32
const ROUNDS = 2
const SERVER = join(import.meta.dirname, '../../ops/server.ts')

const home = mkdtempSync(join(tmpdir(), 'reckon-crash-'))
let config: ClusterConfig
let server: ChildProcess
let agent: Agent

const startServer = (): void => {
  server = spawn(process.execPath, [SERVER, '--home', home, '--components', 'apiserver'], {
    stdio: 'ignore',
    env: { ...process.env, RECKON_HOME: home }
  })
}

const call = (method: string, path: string, body?: unknown, type = 'application/json'): Promise<{ status: number; body: string }> =>
  new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body)
    const made = request(
      {
        host: '127.0.0.1',
        port: config.apiPort,
        agent,
        method,
        path,
        timeout: 15_000,
        headers: text === undefined ? {} : { 'content-type': type, 'content-length': Buffer.byteLength(text) }
      },
      (response) => {
        let answer = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => (answer += chunk))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: answer }))
        response.on('error', reject)
      }
    )
    made.on('timeout', () => made.destroy(new Error('timed out')))
    made.on('error', reject)
    made.end(text)
  })

const ready = async (): Promise<void> => {
  const deadline = Date.now() + 30_000
  while (
    !(await call('GET', '/readyz').then(
      ({ status }) => status === 200,
      () => false
    ))
  ) {
    if (Date.now() > deadline) throw new Error('the API server does not come back')
    await wait(50)
  }
}

const crash = suite('kill -9 under write load')

crash.before(async () => {
  const made = await loadOrCreateConfig(home, () => {})
  config = { ...made, natsPort: await freePort(), apiPort: await freePort() }
  writeSecret(join(home, 'config.json'), JSON.stringify(config))
  await ensurePki(home, config)
  await ensureNatsServer(() => {})
  const [ca, cert, key] = ['ca.crt', 'admin.crt', 'admin.key'].map((name) => readFileSync(pkiFile(home, name)))
  agent = new Agent({ keepAlive: true, maxSockets: 64, ca: ca as Buffer, cert: cert as Buffer, key: key as Buffer })
  startServer()
  await ready()
})
crash.after(async () => {
  agent.destroy()
  const gone = new Promise((resolve) => server.once('exit', resolve))
  server.kill('SIGTERM')
  await gone
  await stopNatsServer(home)
  rmSync(home, { recursive: true, force: true })
})

crash('loses no acknowledged write and stores none twice', async () => {
  /** Object name → the newest value and version that was acknowledged. */
  const acknowledged = new Map<string, { value: number; version: number }>()
  let writing = true
  let unknown = 0
  const writer = async (number: number): Promise<void> => {
    for (let n = 0; writing; n++) {
      const name = `w${number}-${n}`
      for (let value = 1; value <= 3 && writing; value++) {
        const path = '/api/v1/namespaces/default/configmaps'
        try {
          const { status, body } =
            value === 1
              ? await call('POST', path, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { value: '1' } })
              : await call('PATCH', `${path}/${name}`, { data: { value: String(value) } }, 'application/merge-patch+json')
          if (status === 200 || status === 201)
            acknowledged.set(name, { value, version: Number((JSON.parse(body) as KubeObject).metadata.resourceVersion) })
          else {
            unknown += 1
            break
          }
        } catch {
          // Nobody said whether it is stored: either is right. The next object is another one.
          unknown += 1
          await wait(50)
          break
        }
      }
    }
  }
  const writers = Array.from({ length: WRITERS }, (_, number) => writer(number))
  for (let round = 0; round < ROUNDS; round++) {
    await wait(1_000)
    const gone = new Promise((resolve) => server.once('exit', resolve))
    server.kill('SIGKILL')
    await gone
    startServer()
    await ready()
    await wait(1_000)
    const nats = runningServer(home)
    assert.ok(nats !== undefined)
    process.kill(nats?.pid ?? 0, 'SIGKILL')
    await wait(300)
    await ready()
    // Writing works again before the next blow.
    const before = acknowledged.size
    const deadline = Date.now() + 20_000
    while (acknowledged.size < before + WRITERS && Date.now() < deadline) await wait(50)
    assert.ok(acknowledged.size >= before + WRITERS, 'writes are acknowledged again after nats-server was killed')
  }
  writing = false
  await Promise.all(writers)
  await ready()
  assert.ok(acknowledged.size > 200, `only ${acknowledged.size} writes were acknowledged: that is no load`)
  assert.ok(unknown > 0, 'nothing was in flight when the processes were killed')

  // A replay of the whole log, by a reader of its own.
  const connection = await connectNats(home, config, 'keeper')
  try {
    const log = new JetStreamLog(connection, 'EVENTS')
    const replay = new Objects(builtIns)
    const heads = new Map<string, number>()
    const ids = new Set<string>()
    const faults: string[] = []
    await new Promise<void>((resolve, reject) => {
      const subscription = log.follow({
        from: 1,
        onEntries: (entries) => {
          for (const entry of entries) {
            const facts = decodeFacts('EVENTS', entry)
            const id = keyId(facts.key)
            // A guard follows the object it holds, and not the guard before it.
            if (!isGuard(facts.key) && facts.expected !== (heads.get(id) ?? 0))
              faults.push(`${id}: event ${facts.sequence} follows ${facts.expected}, the last was ${heads.get(id)}`)
            if (ids.has(facts.id)) faults.push(`intent ${facts.id} is in the log twice`)
            ids.add(facts.id)
            heads.set(id, facts.sequence)
            replay.apply(facts, entry.text)
          }
        },
        onCaughtUp: () => {
          subscription.close()
          resolve()
        },
        onFailed: reject
      })
    })
    assert.equal(faults, [])
    const configMaps = replay.collection({ group: '', resource: 'configmaps' })
    for (const [name, { value, version }] of acknowledged) {
      const found = configMaps.get('default', name)
      assert.ok(found !== undefined, `${name} was acknowledged and is not in the log`)
      assert.ok(
        Number(at(found?.object, 'data.value')) >= value,
        `${name} was acknowledged with ${value}, the log has ${at(found?.object, 'data.value')}`
      )
      assert.is((await log.get(version))?.subject, `ev.core.configmaps.default.${name}`)
    }
    // What the server answers is that replay.
    const { items } = JSON.parse((await call('GET', '/api/v1/namespaces/default/configmaps')).body) as { items: KubeObject[] }
    assert.equal(
      items.map(({ metadata }) => `${metadata.name}@${metadata.resourceVersion}`),
      configMaps.list('default').map(({ key, sequence }) => `${key.name}@${sequence}`)
    )
    assert.equal(items[0], configMaps.list('default')[0]?.object)
  } finally {
    await connection.close()
  }
})
crash.run()
