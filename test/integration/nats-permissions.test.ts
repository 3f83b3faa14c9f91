/** Every NATS user against a real nats-server: it can do its own job, and nothing of another's. */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AckPolicy, DeliverPolicy, jetstream, type JetStreamManager, jetstreamManager } from '@nats-io/jetstream'
import { connect, type NatsConnection, PermissionViolationError } from '@nats-io/transport-node'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type ClusterConfig, loadOrCreateConfig } from '#ops/home.ts'
import { ensureNatsServer } from '#ops/nats/binary.ts'
import { natsOptions } from '#ops/nats/connect.ts'
import { startNatsServer, stopNatsServer } from '#ops/nats/server.ts'
import { ensureStreams, STREAMS } from '#ops/nats/streams.ts'
import { ENDPOINT_SLICES, SERVICES } from '#ops/nats/users.ts'
import { ensurePki } from '#ops/pki/pki.ts'

const permissions = suite('NATS permissions')

const home = mkdtempSync(join(tmpdir(), 'reckon-nats-'))
const open: NatsConnection[] = []
let config: ClusterConfig
let binary: string
let apiserver: NatsConnection
let jsm: JetStreamManager

const freePort = (): Promise<number> =>
  new Promise((done) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number }
      probe.close(() => done(port))
    })
  })

const as = async (user: string): Promise<NatsConnection> => {
  const connection = await connect({ ...natsOptions(home, config, user), waitOnFirstConnect: false, maxReconnectAttempts: 3 })
  open.push(connection)
  return connection
}

const start = () => startNatsServer({ home, config, binary, report: () => {}, nodes: ['n1', 'n2'] })

permissions.before(async () => {
  config = { ...(await loadOrCreateConfig(home, () => {})), natsPort: await freePort() }
  await ensurePki(home, config)
  binary = (await ensureNatsServer(() => {})).path
  await start()
  apiserver = await as('apiserver')
  jsm = await jetstreamManager(apiserver)
  await ensureStreams(jsm)
})

permissions.after(async () => {
  for (const connection of open) await connection.close()
  await stopNatsServer(home)
  rmSync(home, { recursive: true, force: true })
})

/** Resolves to the violation the server reports for a publish, or undefined when the round trip shows it went through. */
const violation = async (connection: NatsConnection, subject: string): Promise<string | undefined> => {
  const found = (async () => {
    for await (const status of connection.status()) {
      if (status.type === 'error' && status.error instanceof PermissionViolationError && status.error.subject === subject) return status.error.subject
    }
    return undefined
  })()
  connection.publish(subject, 'x')
  await connection.flush()
  // Errors come back before the answer to the flush's ping.
  return Promise.race([found, new Promise<undefined>((done) => setTimeout(() => done(undefined), 100))])
}

const refuses = async (connection: NatsConnection, subjects: readonly string[]): Promise<void> => {
  for (const subject of subjects) assert.is(await violation(connection, subject), subject, `may publish ${subject}`)
}

const denied = async (attempt: Promise<unknown>, what: string): Promise<void> => {
  try {
    await attempt
  } catch {
    return
  }
  assert.unreachable(`${what} went through`)
}

permissions('nobody gets in without a key', async () => {
  await denied(connect({ servers: `127.0.0.1:${config.natsPort}`, tls: { caFile: join(home, 'pki/ca.crt') }, reconnect: false }), 'an anonymous connection')
})

permissions('the streams are as defined, and ensuring them again changes nothing', async () => {
  const before = await Promise.all(STREAMS.map(({ name }) => jsm.streams.info(name)))
  await ensureStreams(jsm)
  const after = await Promise.all(STREAMS.map(({ name }) => jsm.streams.info(name)))
  assert.equal(after.map(({ config: { name, metadata: _, ...rest } }) => ({ name, rest })), before.map(({ config: { name, metadata: _, ...rest } }) => ({ name, rest })))
  const events = after[0]?.config
  assert.is(events?.deny_delete, true)
  assert.is(events?.allow_atomic, true)
  assert.is(events?.allow_direct, true)
  assert.is(events?.compression, 's2')
  assert.is(events?.max_age, 0)
})

permissions('the API server writes events and cannot delete the stream', async () => {
  const js = jetstream(apiserver)
  for (const subject of ['ev.core.pods.default.a', 'ev.core.services.default.web', 'ev.core.secrets.default.s', 'ev.discovery%2Ek8s%2Eio.endpointslices.default.web-1']) {
    assert.is((await js.publish(subject, '{}')).stream, 'EVENTS')
  }
  assert.is((await js.publish('notice.core.events.default.e', '{}')).stream, 'NOTICES')
  assert.is((await js.publish('pulse.object.coordination%2Ek8s%2Eio.leases.kube-system.l', '{}')).stream, 'PULSE')
  assert.is((await js.publish('bind.n1.default.a', '{}')).stream, 'BINDINGS')
  assert.is((await js.publish('bind.n2.default.b', '{}')).stream, 'BINDINGS')
  assert.is((await js.publish('audit.refused', '{}')).stream, 'AUDIT')
  await denied(apiserver.request('$JS.API.STREAM.DELETE.EVENTS', '', { timeout: 500 }), 'deleting EVENTS')
  await denied(apiserver.request('$JS.API.STREAM.PURGE.EVENTS', '', { timeout: 500 }), 'purging EVENTS')
  await refuses(apiserver, ['report.n1.pod.default.a', 'intent.admin', 'pulse.node.n1'])
})

permissions('a controller asks, is answered, reads events, and writes none', async () => {
  const doors = apiserver.subscribe('intent.>', { callback: (_, message) => void message.respond(message.subject) })
  await apiserver.flush()
  for (const user of ['scheduler', 'controller-manager', 'admin', 'node-n1']) {
    const connection = await as(user)
    assert.is((await connection.request(`intent.${user}`, '{}', { timeout: 2000 })).string(), `intent.${user}`)
    await refuses(connection, ['ev.core.pods.default.a', 'bind.n1.default.a', 'notice.core.events.default.e', 'intent.apiserver', user === 'admin' ? 'intent.scheduler' : 'intent.admin'])
    if (user === 'node-n1') continue
    await refuses(connection, ['report.n1.pod.default.a'])
    const consumer = await jetstream(connection).consumers.get('EVENTS')
    const first = await consumer.next({ expires: 2000 })
    assert.is(first?.subject, 'ev.core.pods.default.a')
    await denied(connection.request('$JS.API.CONSUMER.CREATE.BINDINGS.x', '{}', { timeout: 500 }), 'reading bindings')
  }
  doors.unsubscribe()
})

permissions('a person keeps a durable cursor', async () => {
  const connection = await as('admin')
  const manager = await jetstreamManager(connection)
  await manager.consumers.add('EVENTS', { durable_name: 'follow-mine', ack_policy: AckPolicy.Explicit, deliver_policy: DeliverPolicy.All })
  const consumer = await jetstream(connection).consumers.get('EVENTS', 'follow-mine')
  const first = await consumer.next({ expires: 2000 })
  assert.ok(await first?.ackAck())
  assert.is((await consumer.info()).ack_floor.stream_seq, 1)
  assert.ok(await manager.consumers.delete('EVENTS', 'follow-mine'))
})

permissions('an agent sees its own bindings and reports for its own node', async () => {
  const connection = await as('node-n1')
  const manager = await jetstreamManager(connection, { checkAPI: false })
  const of = (name: string, filter?: string) => ({
    name,
    ack_policy: AckPolicy.None,
    deliver_policy: DeliverPolicy.LastPerSubject,
    inactive_threshold: 10_000_000_000,
    ...(filter === undefined ? {} : { filter_subject: filter })
  })
  const info = await manager.consumers.add('BINDINGS', of('node-n1', 'bind.n1.>'))
  const consumer = jetstream(connection).consumers.getConsumerFromInfo(info)
  assert.is((await consumer.next({ expires: 2000 }))?.subject, 'bind.n1.default.a')
  assert.is(await consumer.next({ expires: 1000 }), null)
  for (const [name, filter] of [['node-n1', 'bind.n2.>'], ['node-n1', undefined], ['node-n2', 'bind.n2.>'], ['node-n1', 'bind.>']] as const) {
    await denied(manager.consumers.add('BINDINGS', of(name, filter)), `consumer ${name} with filter ${filter}`)
  }
  // A filter in the body that differs from the one in the subject is refused by the server.
  const body = JSON.stringify({ stream_name: 'BINDINGS', config: { ...of('node-n1'), filter_subject: 'bind.n2.>' } })
  const answer = await connection.request('$JS.API.CONSUMER.CREATE.BINDINGS.node-n1.bind.n1.>', body, { timeout: 1000 })
  assert.ok(answer.json<{ error?: unknown }>().error !== undefined)
  await denied(manager.streams.getMessage('BINDINGS', { last_by_subj: 'bind.n2.default.b' }), "reading another node's binding")
  await denied(manager.consumers.add('EVENTS', of('node-n1', 'ev.>')), 'an agent reading events')
  const js = jetstream(connection)
  assert.is((await js.publish('report.n1.pod.default.a', '{}')).stream, 'REPORTS')
  assert.is((await js.publish('pulse.node.n1', '{}')).stream, 'PULSE')
  await refuses(connection, ['report.n2.pod.default.b', 'pulse.node.n2', 'intent.node-n2', 'stream.n2.x', 'node.n1.logs'])
})

permissions('the API server works off reports and hears pulses', async () => {
  const pulses: string[] = []
  apiserver.subscribe('pulse.node.*', { callback: (_, message) => void pulses.push(message.subject) })
  await apiserver.flush()
  const js = jetstream(await as('node-n2'))
  await js.publish('report.n2.pod.default.b', '{}')
  await js.publish('pulse.node.n2', '{}')
  await jsm.consumers.add('REPORTS', { durable_name: 'apiserver', ack_policy: AckPolicy.Explicit, deliver_policy: DeliverPolicy.All })
  const consumer = await jetstream(apiserver).consumers.get('REPORTS', 'apiserver')
  const first = await consumer.next({ expires: 2000 })
  assert.ok(await first?.ackAck())
  await apiserver.flush()
  assert.equal(pulses, ['pulse.node.n2'])
})

permissions('the API server calls an agent, which answers', async () => {
  const connection = await as('node-n1')
  connection.subscribe('node.n1.>', { callback: (_, message) => void message.respond('here') })
  await connection.flush()
  assert.is((await apiserver.request('node.n1.exec', '', { timeout: 2000 })).string(), 'here')
  const heard: string[] = []
  apiserver.subscribe('stream.n1.>', { callback: (_, message) => void heard.push(message.string()) })
  await apiserver.flush()
  connection.publish('stream.n1.1.out', 'bytes')
  await connection.flush()
  await apiserver.flush()
  assert.equal(heard, ['bytes'])
})

permissions('an agent cannot listen on another node or another inbox', async () => {
  for (const subject of ['node.n2.>', 'stream.n2.>', '_INBOX_apiserver.>', 'intent.>', '>']) {
    const connection = await as('node-n1')
    const answer = new Promise<Error | null>((done) => connection.subscribe(subject, { callback: (error) => done(error) }))
    await connection.flush()
    assert.instance(await answer, PermissionViolationError, subject)
  }
})

permissions('kube-proxy and dns read services and endpoint slices and nothing else', async () => {
  for (const user of ['kube-proxy-n1', 'dns-n1']) {
    const connection = await as(user)
    const manager = await jetstreamManager(connection, { checkAPI: false })
    for (const [part, filter, subject] of [
      ['services', SERVICES, 'ev.core.services.default.web'],
      ['endpointslices', ENDPOINT_SLICES, 'ev.discovery%2Ek8s%2Eio.endpointslices.default.web-1']
    ] as const) {
      const info = await manager.consumers.add('EVENTS', { name: `${user}-${part}`, ack_policy: AckPolicy.None, deliver_policy: DeliverPolicy.LastPerSubject, filter_subject: filter, mem_storage: true })
      const consumer = jetstream(connection).consumers.getConsumerFromInfo(info)
      assert.is((await consumer.next({ expires: 2000 }))?.subject, subject)
      assert.ok(await manager.consumers.delete('EVENTS', `${user}-${part}`))
    }
    await denied(manager.consumers.add('EVENTS', { name: `${user}-services`, filter_subject: 'ev.core.secrets.>', ack_policy: AckPolicy.None }), 'reading secrets')
    await denied(manager.streams.getMessage('EVENTS', { last_by_subj: 'ev.core.secrets.default.s' }), 'reading a secret directly')
    await refuses(connection, ['ev.core.services.default.web', 'intent.admin', `intent.${user}`])
  }
})

permissions('a running server is adopted; a killed one comes back with its messages', async () => {
  const first = await start()
  assert.is(first.adopted, true)
  process.kill(first.pid, 'SIGKILL')
  await first.exited
  const second = await start()
  assert.is(second.adopted, false)
  assert.is((await (await jetstreamManager(await as('apiserver'))).streams.info('EVENTS')).state.messages, 4)
})

permissions.run()
