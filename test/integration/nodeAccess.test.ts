/** Nodes come in while the cluster works and are cut off again, on a real nats-server; nobody else notices. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as tlsConnect } from 'node:tls'
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect, credsAuthenticator, type NatsConnection } from '@nats-io/transport-node'
import { execa } from 'execa'
import * as Effect from 'effect/Effect'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { pulseSubject, type Pulse } from '#events/node/messages.ts'
import { Place } from '#ops/components/place.ts'
import { podCIDRs, rememberedPodCIDRs } from '#ops/components/podCIDRs.ts'
import { readConfig, writeSecret, type ClusterConfig } from '#ops/home.ts'
import { connectNats, natsOptions } from '#ops/nats/connect.ts'
import { credentialsFile } from '#ops/nats/credentials.ts'
import { natsLogFile, runningServer } from '#ops/nats/server.ts'
import { storeFolder, streamsFolder } from '#ops/nats/store.ts'
import { inboxPrefix } from '#ops/nats/users.ts'
import { createNodeCredentials, installNode, listNodeCredentials, revokeNodeCredentials } from '#ops/nodes.ts'
import { pkiFile } from '#ops/pki/pki.ts'
import type { NodeBundle } from '#services/cli/Environment.ts'
import { askToFollow } from '#services/platform/jetstream/consumers.ts'
import { startNats, type TestNats } from '#test/support/nats.ts'
import { startPlane, type Plane } from '#test/support/plane.ts'

const access = suite('nodes come in and go')

let plane: Plane
let apiserver: NatsConnection
const folders: string[] = []
const open: NatsConnection[] = []

access.before(async () => {
  plane = await startPlane(
    'apiserver,controller-manager',
    {},
    { config: { settings: { nats: { listen: '0.0.0.0', names: ['127.0.0.1'] } } } }
  )
  await plane.start()
  await plane.until('it is ready', async () => (await plane.call('GET', '/readyz')).status === 200)
  apiserver = await connectNats(plane.home, plane.config, 'apiserver')
})
access.after(async () => {
  for (const connection of [...open, apiserver]) await connection.close()
  await plane.stop()
  await plane.remove()
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

/** Another machine's home, with what the cluster made for it. */
const join_ = async (node: string): Promise<string> => {
  const home = mkdtempSync(join(tmpdir(), 'reckon-node-'))
  folders.push(home)
  installNode(home, await createNodeCredentials(plane.home, plane.config, node))
  return home
}

const comeIn = async (home: string, user: string): Promise<NatsConnection> => {
  const connection = await connectNats(home, readConfig(home) as never, user, { waitOnFirstConnect: false, reconnect: false })
  open.push(connection)
  return connection
}

const refused = (home: string, user: string): Promise<string> =>
  comeIn(home, user).then(
    () => 'let in',
    (error: Error) => error.message
  )

access('a node joins at run time, does its own work and nothing of others, and disturbs nobody', async () => {
  // What is under way while a node comes in: a fetch from a consumer, as the agents do it all day.
  const mine = await connectNats(plane.home, plane.config, `node-${plane.config.nodeName}`)
  open.push(mine)
  const { consumer } = await askToFollow(mine, `node-${plane.config.nodeName}`, { what: 'open', part: 'bindings', from: 1 })
  const { name } = consumer as { name: string }
  const fetched = new Promise<string>((resolve) =>
    mine.subscribe(`${inboxPrefix(`node-${plane.config.nodeName}`)}.fetch`, { callback: (_, message) => resolve(message.subject) })
  )
  mine.publish(`$JS.API.CONSUMER.MSG.NEXT.BINDINGS.${name}`, JSON.stringify({ batch: 1, expires: 20_000_000_000 }), {
    reply: `${inboxPrefix(`node-${plane.config.nodeName}`)}.fetch`
  })
  await mine.flush()

  const home = await join_('n9')
  const node = await comeIn(home, 'node-n9')
  node.subscribe('node.n9.>', { callback: (_, message) => void message.respond('here') })
  await node.flush()
  assert.is((await apiserver.request('node.n9.ping', '', { timeout: 2_000 })).string(), 'here')
  assert.is((await jetstream(node).publish('pulse.node.n9', '{}')).stream, 'PULSE')
  // Its consumer is made for it, and it can make none.
  const opened = await askToFollow(node, 'node-n9', { what: 'open', part: 'bindings', from: 1 })
  assert.is((opened.consumer?.['config'] as { filter_subject: string }).filter_subject, 'bind.n9.>')
  const jsm = await jetstreamManager(apiserver, { checkAPI: false })
  for (const subject of [
    '$JS.API.CONSUMER.CREATE.BINDINGS.evil',
    '$JS.API.CONSUMER.DELETE.BINDINGS.node-n9-bindings',
    '$JS.API.CONSUMER.MSG.NEXT.BINDINGS.node-other-bindings',
    'intent.admin',
    'bind.n9.default.x',
    'report.other.pod.default.x'
  ])
    assert.is(
      await node.request(subject, '{}', { timeout: 200 }).then(
        () => 'answered',
        () => 'nothing'
      ),
      'nothing',
      subject
    )
  assert.is(await jsm.consumers.info('BINDINGS', 'evil').catch(() => undefined), undefined)
  const proxy = await comeIn(home, 'kube-proxy-n9')
  assert.ok((await askToFollow(proxy, 'kube-proxy-n9', { what: 'open', part: 'services', from: 1 })).consumer)
  assert.equal(
    (await listNodeCredentials(plane.home, plane.config)).map((one) => one.node),
    ['n9', plane.config.nodeName].sort()
  )
  await createNodeCredentials(plane.home, plane.config, 'n9').then(
    () => assert.unreachable('a second n9'),
    (error: Error) => assert.match(error.message, 'has credentials already')
  )

  await jetstream(apiserver).publish(`bind.${plane.config.nodeName}.default.late`, 'x')
  assert.is(
    await Promise.race([fetched, new Promise((resolve) => setTimeout(() => resolve('lost'), 3_000).unref())]),
    `bind.${plane.config.nodeName}.default.late`,
    'a fetch of another user survives'
  )
})

access('what a home is given is for its node alone, and no key of the cluster is in it', async () => {
  const files = readdirSync(folders[0] as string, { recursive: true, encoding: 'utf8' }).filter((file) => /\.\w+$|k\d+$/.test(file))
  assert.equal(
    files.map((file) => file.replace(/^.*\//, '')).sort(),
    ['ca.crt', 'config.json', 'dns-n9.creds', 'k1', 'kube-proxy-n9.creds', 'node-n9.creds', 'node.json'].sort()
  )
  assert.match(await refused(folders[0] as string, 'apiserver'), 'no credentials for apiserver')
})

access("nobody gets in without TLS by the cluster's authority, from wherever", async () => {
  const { natsPort } = plane.config
  const creds = credsAuthenticator(new Uint8Array(readFileSync(credentialsFile(plane.home, 'admin'))))
  for (const options of [
    { ...natsOptions(plane.home, plane.config, 'admin'), tls: null },
    { ...natsOptions(plane.home, plane.config, 'admin'), tls: {} },
    { ...natsOptions(plane.home, plane.config, 'admin'), authenticator: [] }
  ])
    await connect({ ...options, waitOnFirstConnect: false, reconnect: false }).then(
      (connection) => connection.close().then(() => assert.unreachable('let in')),
      () => {}
    )
  // Another authority's word is not taken, whoever the client is.
  await connect({
    servers: `127.0.0.1:${natsPort}`,
    tls: { ca: readFileSync(pkiFile(plane.home, 'admin.crt'), 'utf8') },
    authenticator: creds,
    waitOnFirstConnect: false,
    reconnect: false
  }).then(
    (connection) => connection.close().then(() => assert.unreachable('let in')),
    () => {}
  )
  // What answers has a certificate with this machine's names, by the cluster's authority; and old TLS is refused.
  const greeted = (maxVersion: 'TLSv1.2' | 'TLSv1.3'): Promise<string> =>
    new Promise((resolve) => {
      const raw = createConnection({ port: natsPort, host: '127.0.0.1' }, () =>
        raw.once('data', () => {
          const secure = tlsConnect({ socket: raw, ca: readFileSync(pkiFile(plane.home, 'ca.crt')), host: '127.0.0.1', maxVersion }, () =>
            resolve(secure.getPeerCertificate().subject.CN)
          )
          secure.on('error', (error) => resolve(`refused: ${error.message}`))
        })
      )
    })
  assert.is(await greeted('TLSv1.3'), 'nats-server')
  assert.match(await greeted('TLSv1.2'), /^refused/)
})

/** As the agent says of itself before it has a network. */
const pulse = (node: string): Pulse => ({
  node,
  time: '2030-01-01T00:00:00.000000Z',
  podCIDR: '',
  labels: {},
  addresses: [{ type: 'Hostname', address: node }],
  capacity: {},
  allocatable: {},
  nodeInfo: {},
  conditions: [{ type: 'Ready', status: 'False', reason: 'KubeletNotReady', message: 'waiting' }]
})
const givenTo = (home: string, node: string, config = readConfig(home) as ClusterConfig): Promise<readonly string[]> =>
  podCIDRs(() => pulse(node)).pipe(
    Effect.provideService(Place, { home, config, warn: () => {}, fatal: (_, error) => assert.unreachable(String(error)) }),
    Effect.scoped,
    Effect.runPromise
  )

access('each node is given a part of the pod network of its own, remembers it, and no other node takes it', async () => {
  const homes = await Promise.all(['p1', 'p2', 'p3'].map(join_))
  const given = await Promise.all(homes.map((home, at) => givenTo(home, `p${at + 1}`)))
  const [prefix] = plane.config.podCIDR.split('.0.0/')
  assert.equal(
    given.map((cidrs) => cidrs.length),
    [1, 1, 1]
  )
  assert.is(new Set(given.flat()).size, 3)
  for (const [cidr = ''] of given) assert.match(cidr, new RegExp(`^${prefix}\\.\\d+\\.0/24$`))
  for (const [at, [cidr]] of given.entries()) {
    const { spec } = JSON.parse((await plane.call('GET', `/api/v1/nodes/p${at + 1}`)).body) as {
      spec: { podCIDR: string; podCIDRs: string[] }
    }
    assert.equal([spec.podCIDR, spec.podCIDRs], [cidr, [cidr]])
  }
  // It is asked once; with nobody there to answer it goes on with what it was given, and its pods keep their addresses.
  const home = homes[0] as string
  assert.equal(
    await givenTo(home, 'p1', { ...(readConfig(home) as ClusterConfig), natsURLs: [`tls://127.0.0.1:${plane.config.natsPort}`] }),
    given[0]
  )
  assert.equal(rememberedPodCIDRs(home), given[0])
  // A home that brought its own keeps it, and asks nobody.
  assert.equal(
    await givenTo(home, 'p1', { ...(readConfig(home) as ClusterConfig), nodePodCIDR: '10.1.2.0/24', natsURLs: ['tls://127.0.0.1:1'] }),
    ['10.1.2.0/24']
  )
  // Whose Node is deleted leaves it to the next; a node can't bring along another's.
  assert.is((await plane.call('DELETE', '/api/v1/nodes/p2')).status, 200)
  assert.equal(await givenTo(await join_('p4'), 'p4'), given[1])
  const thief = await comeIn(await join_('p5'), 'node-p5')
  await jetstream(thief).publish(pulseSubject('p5'), JSON.stringify({ ...pulse('p5'), podCIDR: given[0]?.[0] }))
  await plane.until('p5 has its own', async () => {
    const { spec } = JSON.parse((await plane.call('GET', '/api/v1/nodes/p5')).body) as { spec?: { podCIDRs?: string[] } }
    return spec?.podCIDRs !== undefined && !given.flat().includes(spec.podCIDRs[0] as string)
  })
})

access('credentials outlast nats-server, killed or not', async () => {
  await plane.killNats()
  await plane.until('nats-server is back', () => Promise.resolve(runningServer(plane.home) !== undefined))
  await plane.until('the node comes in again', async () => (await refused(folders[0] as string, 'node-n9')) === 'let in')
  await plane.until('the API server has come in, too', async () => (await apiserver.flush(), true))
  const node = await comeIn(folders[0] as string, 'node-n9')
  node.subscribe('node.n9.>', { callback: (_, message) => void message.respond('again') })
  await node.flush()
  assert.is((await apiserver.request('node.n9.ping', '', { timeout: 5_000 })).string(), 'again')
})

access('certificates are read anew without a connection being lost, and accounts stay what they are', async () => {
  const node = await comeIn(folders[0] as string, 'node-n9')
  const log = (): number => readFileSync(natsLogFile(plane.home), 'utf8').split('Reloaded server configuration').length
  const before = log()
  process.kill((runningServer(plane.home) as { pid: number }).pid, 'SIGHUP')
  await plane.until('it has read them', () => Promise.resolve(log() > before))
  await node.flush()
  assert.is(node.isClosed(), false)
  assert.is((await jetstream(node).publish('pulse.node.n9', '{}')).stream, 'PULSE')
  assert.is(await refused(folders[0] as string, 'kube-proxy-n9'), 'let in')
})

access('by the command line: made into a file for its owner, listed, taken back', async () => {
  const reckon = (...words: readonly string[]) =>
    execa(process.execPath, [join(import.meta.dirname, '../../ops/main.ts'), 'node', 'credentials', ...words], {
      env: { RECKON_HOME: plane.home },
      reject: false
    })
  const file = join(folders[0] as string, 'n20.json')
  const made = await reckon('create', 'n20', '--file', file)
  assert.is(made.exitCode, 0, made.stderr)
  assert.is(statSync(file).mode & 0o777, 0o600)
  const home = mkdtempSync(join(tmpdir(), 'reckon-node-'))
  folders.push(home)
  installNode(home, JSON.parse(readFileSync(file, 'utf8')) as NodeBundle)
  assert.is(await refused(home, 'node-n20'), 'let in')
  assert.match((await reckon('list')).stdout, /^n20 +\d{4}-/m)
  // A file that is there already is not written over, and then nobody may come in by credentials that nobody has.
  const twice = await reckon('create', 'n21', '--file', file)
  assert.equal([twice.exitCode, /revoked again/.test(twice.stderr)], [1, true])
  assert.not.match((await reckon('list')).stdout, 'n21')
  assert.match((await reckon('create', 'n20')).stderr, 'node "n20" has credentials already')
  assert.match((await reckon('create', 'N 20')).stderr, 'is no node name')
  assert.match((await reckon('revoke', plane.config.nodeName)).stderr, 'is this machine')
  assert.match((await reckon('revoke', 'n20')).stdout, 'node "n20" is cut off')
  assert.match(await refused(home, 'node-n20'), /Authorization|authenticat/i)
  // Another authority than the one that is pinned is not believed.
  const bundle = JSON.parse(readFileSync(file, 'utf8')) as NodeBundle
  assert.throws(
    () => installNode(home, { ...bundle, ca: readFileSync(pkiFile(plane.home, 'admin.crt'), 'utf8') }),
    /not the one that was named/
  )
})

access('a revoked node is cut off at once and can not come back; the others stay', async () => {
  const home = folders[0] as string
  const users = ['node-n9', 'kube-proxy-n9', 'dns-n9']
  const connections = await Promise.all(users.map((user) => comeIn(home, user)))
  const other = await connectNats(plane.home, plane.config, 'admin')
  open.push(other)
  const begun = performance.now()
  const ended = Promise.all(connections.map((connection) => connection.closed())).then(() => performance.now() - begun)
  assert.is(await revokeNodeCredentials(plane.home, plane.config, 'n9'), true)
  const took = await Promise.race([ended, new Promise<number>((resolve) => setTimeout(() => resolve(Number.NaN), 10_000).unref())])
  assert.ok(took < 4_000, `${took} ms`)
  for (const user of users) assert.match(await refused(home, user), /Authorization|authenticat/i, user)
  assert.ok((await askToFollow(other, 'admin', { what: 'state', part: 'EVENTS' })).state)
  assert.is(other.isClosed(), false)
  assert.is(await revokeNodeCredentials(plane.home, plane.config, 'n9'), false)
  await apiserver.request('node.n9.ping', '', { timeout: 1_000 }).then(
    () => assert.unreachable('a node that is gone answers'),
    () => {}
  )
  // Not after a restart either; one of that name can be let in anew, by other keys.
  await plane.killNats()
  await plane.until('nats-server is back', async () => (await apiserver.flush().then(() => runningServer(plane.home))) !== undefined)
  assert.match(await refused(home, 'node-n9'), /Authorization|authenticat/i)
  assert.is(await refused(await join_('n9'), 'node-n9'), 'let in')
  assert.match(await refused(home, 'node-n9'), /Authorization|authenticat/i)
})

access('a node whose object is deleted is cut off, also when nobody looked at the moment; one that is still joining is not', async () => {
  const [home, early] = [await join_('n7'), await join_('joining')]
  const register = async (name: string): Promise<void> =>
    assert.is((await plane.call('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name } })).status, 201)
  await register('n7')
  const node = await comeIn(home, 'node-n7')
  assert.is((await plane.call('DELETE', '/api/v1/nodes/n7')).status, 200)
  await node.closed()
  assert.match(await refused(home, 'node-n7'), /Authorization|authenticat/i)
  assert.is(await refused(early, 'node-joining'), 'let in')
  // Let in again by the same name, and the process starts anew: the deletion of before is not its own.
  const again = await join_('n7')
  await plane.kill()
  await plane.start()
  await plane.until('it is ready', async () => (await plane.call('GET', '/readyz')).status === 200)
  assert.equal([await refused(again, 'node-n7'), await refused(early, 'node-joining')], ['let in', 'let in'])
})

/** The administrator comes in and reaches the streams. */
const askAdmin = async (nats: TestNats): Promise<boolean> =>
  (await (await nats.as('admin')).request('$JS.API.DIRECT.GET.EVENTS', JSON.stringify({ seq: 1 }), { timeout: 2_000 })).string() === 'kept'

access('a home of before is brought over: its keys, and its log', async () => {
  const nats = await startNats(['n1'])
  try {
    await jetstream(await nats.as('apiserver')).publish('ev.core.configmaps.default.a', 'kept')
    const before = { ...nats, folder: streamsFolder(nats.home) }
    await nats.halt()
    // As it was: the log's folder by its name, bare keys, no operator.
    renameSync(join(before.folder, '..'), join(storeFolder(nats.home), 'jetstream/LOG'))
    const seeds: Record<string, string> = {}
    for (const file of readdirSync(join(nats.home, 'nats/creds'))) {
      const path = join(nats.home, 'nats/creds', file)
      const [seed = ''] = /SU[A-Z2-7]{56}/.exec(readFileSync(path, 'utf8')) ?? []
      seeds[file.replace('.creds', '')] = seed
      rmSync(path)
      writeSecret(path.replace('.creds', '.nk'), seed)
    }
    for (const gone of ['operator', 'accounts', 'nats.conf']) rmSync(join(nats.home, 'nats', gone), { recursive: true })
    await nats.restart()
    const jsm = await jetstreamManager(await nats.as('apiserver'), { checkAPI: false })
    assert.is((await jsm.direct.getMessage('EVENTS', { seq: 1 }))?.string(), 'kept')
    assert.is(existsSync(join(storeFolder(nats.home), 'jetstream/LOG')), false)
    for (const [user, seed] of Object.entries(seeds))
      if (user !== 'accountant') assert.match(readFileSync(credentialsFile(nats.home, user), 'utf8'), seed)
    assert.equal(
      readdirSync(join(nats.home, 'nats/creds')).filter((file) => file.endsWith('.nk')),
      ['accountant.nk'].filter(() => false)
    )
    // An operator's keys that were lost let nobody in by the old ones, and the log stays.
    const oldKeeper = new Uint8Array(readFileSync(credentialsFile(nats.home, 'keeper')))
    await nats.halt()
    rmSync(join(nats.home, 'nats/operator'), { recursive: true })
    await nats.restart()
    assert.is((await (await jetstreamManager(await nats.as('apiserver'), { checkAPI: false })).streams.info('EVENTS')).state.last_seq, 1)
    await connect({
      ...natsOptions(nats.home, nats.config, 'keeper'),
      authenticator: credsAuthenticator(oldKeeper),
      waitOnFirstConnect: false,
      reconnect: false
    }).then(
      (connection) => connection.close().then(() => assert.unreachable('let in by a lost operator')),
      (error: Error) => assert.match(error.message, /Authorization|authenticat/i)
    )
    assert.is(await askAdmin(nats), true)
  } finally {
    await nats.stop()
  }
})

access.run()
