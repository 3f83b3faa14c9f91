/** Everything is tried as everyone, on a real nats-server: each user can do its own job, and nothing of another's. */
import { AckPolicy, DeliverPolicy, jetstream, type JetStreamManager, jetstreamManager } from '@nats-io/jetstream'
import { connect, headers as newHeaders, PermissionViolationError, type NatsConnection } from '@nats-io/transport-node'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { FollowAnswer } from '#events/Follow.ts'
import { natsOptions } from '#ops/nats/connect.ts'
import { ensureStreams, ledgerFolder, STREAMS } from '#ops/nats/streams.ts'
import { inboxPrefix, natsUsers } from '#ops/nats/users.ts'
import { serveFollows } from '#services/apiserver/door/follow.ts'
import { askedConsumers, askToFollow } from '#services/platform/jetstream/consumers.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { startNats, type TestNats } from '#test/support/nats.ts'

const permissions = suite('NATS permissions')

const NODES = ['n1', 'n2']
const USERS = natsUsers(NODES).map(({ name }) => name)
const NAMES = STREAMS.map(({ name }) => name)
/** A subject of every stream, and of every other thing that is published. */
const SUBJECTS = [
  'ev.core.pods.default.a',
  'ev.core.secrets.default.s',
  'base.core.secrets.default.s',
  'notice.core.events.default.e',
  'pulse.object.coordination%2Ek8s%2Eio.leases.kube-system.l',
  'bind.n1.default.a',
  'bind.n2.default.b',
  'audit.refused',
  'key.u1',
  '$O.keyframes.C.a',
  'report.n1.pod.default.a',
  'report.n2.pod.default.b',
  'pulse.node.n1',
  'pulse.node.n2'
]
/** What each user may write; nobody else anything. */
const WRITES: Readonly<Record<string, readonly string[]>> = {
  apiserver: SUBJECTS.filter((subject) => !/^(base|report|pulse\.node)\./.test(subject)),
  keeper: SUBJECTS.filter((subject) => /^(ev|base|notice|pulse\.object|audit|key)\./.test(subject)),
  'node-n1': ['report.n1.pod.default.a', 'pulse.node.n1'],
  'node-n2': ['report.n2.pod.default.b', 'pulse.node.n2']
}
const TRUSTED = ['apiserver', 'keeper']

let nats: TestNats
let jsm: JetStreamManager
let door: { close(): Promise<void> }
const open = new Map<string, NatsConnection>()

const as = async (user: string): Promise<NatsConnection> => {
  const known = open.get(user)
  if (known !== undefined) return known
  const connection = await nats.as(user)
  open.set(user, connection)
  return connection
}

permissions.before(async () => {
  nats = await startNats(NODES)
  jsm = await jetstreamManager(await as('apiserver'), { checkAPI: false })
  door = serveFollows({ connection: await as('apiserver'), onError: (error) => console.error(error) })
  for (const user of TRUSTED)
    for (const subject of (WRITES[user] ?? []).filter((one) => user === 'apiserver' || one.startsWith('base.')))
      await jetstream(await as(user)).publish(subject, `of ${subject}`)
})
permissions.after(async () => {
  await door.close()
  await nats.stop()
})

const ends = async (): Promise<Record<string, number>> =>
  Object.fromEntries(await Promise.all(NAMES.map(async (name) => [name, (await jsm.streams.info(name)).state.last_seq] as const)))

/** What a stream was given is stored some time after: the ends when they move no more. */
const settled = async (): Promise<Record<string, number>> => {
  for (let before = await ends(); ;) {
    await new Promise((resolve) => setTimeout(resolve, 50))
    const now = await ends()
    if (JSON.stringify(now) === JSON.stringify(before)) return now
    before = now
  }
}

/** The subjects stored in any stream while `work` ran. */
const stored = async (work: () => Promise<void>): Promise<string[]> => {
  const before = await ends()
  await work()
  const found: string[] = []
  for (const [name, last] of Object.entries(await settled()))
    for (let seq = (before[name] ?? 0) + 1; seq <= last; seq++) {
      const message = await jsm.direct.getMessage(name, { seq })
      if (message !== null) found.push(message.subject)
    }
  return found.sort()
}

/** The answer's text, or undefined when none comes. */
const answer = async (connection: NatsConnection, subject: string, body: unknown = '', timeout = 150): Promise<string | undefined> =>
  connection.request(subject, typeof body === 'string' ? body : JSON.stringify(body), { timeout }).then(
    (message) => message.string(),
    () => undefined
  )

permissions('nobody gets in without a key', async () => {
  await connect({ ...natsOptions(nats.home, nats.config, 'admin'), authenticator: [], waitOnFirstConnect: false, reconnect: false }).then(
    () => assert.unreachable('an anonymous connection was let in'),
    () => {}
  )
})

permissions('the streams are as defined, and ensuring them again changes nothing', async () => {
  const settings = async () => (await Promise.all(NAMES.map((name) => jsm.streams.info(name)))).map(({ config }) => config)
  const before = await settings()
  assert.equal(await ensureStreams(await jetstreamManager(await as('keeper'), { checkAPI: false }), ledgerFolder(nats.home)), [])
  assert.equal(await settings(), before)
  const [events] = before
  assert.equal(
    [events?.deny_delete, events?.allow_atomic, events?.allow_direct, events?.compression, events?.max_age, events?.discard],
    [true, true, true, 's2', 0, 'new']
  )
  for (const { name, max_bytes } of before.slice(1))
    if (!['BASE', 'BINDINGS', 'KEYS'].includes(name)) assert.ok((max_bytes ?? 0) > 0, `${name} is bounded by bytes`)
})

for (const user of USERS) {
  permissions(`${user} writes only what is its own, however it tries`, async () => {
    const connection = await as(user)
    const allowed = WRITES[user] ?? []
    const plain = await stored(async () => {
      for (const subject of SUBJECTS) connection.publish(subject, 'mine')
      await connection.flush()
    })
    assert.equal(plain, [...allowed].sort())
    if (TRUSTED.includes(user)) return
    // The server's own answers, and other components', sent to a subject that a stream stores.
    const asked = [
      '$JS.API.INFO',
      ...NAMES.flatMap((name) => [
        `$JS.API.STREAM.INFO.${name}`,
        `$JS.API.DIRECT.GET.${name}`,
        `$JS.API.STREAM.MSG.GET.${name}`,
        `$JS.API.CONSUMER.LIST.${name}`,
        `$JS.API.CONSUMER.MSG.NEXT.${name}.${user}-events`
      ]),
      `intent.${user}`,
      `follow.${user}`,
      `gone.${user}`,
      `erase.${user}`,
      ...allowed
    ]
    const byReply = await stored(async () => {
      for (const subject of asked)
        for (const reply of ['ev.core.configmaps.default.evil', 'notice.core.events.default.evil', 'bind.n2.default.evil'])
          connection.publish(subject, JSON.stringify({ seq: 1, batch: 1, what: 'state', part: 'events' }), { reply })
      await connection.flush()
      await (await as('apiserver')).flush()
    })
    assert.equal([...new Set(byReply)], [...allowed].sort(), 'answers are stored where the asker wanted them')
    // A push consumer on whatever stream, delivering into another.
    const pushed = await stored(async () => {
      for (const name of NAMES) {
        const config = { name: 'evil', deliver_subject: 'ev.core.configmaps.default.pushed', deliver_policy: 'all', ack_policy: 'none' }
        for (const subject of [
          `$JS.API.CONSUMER.CREATE.${name}`,
          `$JS.API.CONSUMER.CREATE.${name}.evil`,
          `$JS.API.CONSUMER.DURABLE.CREATE.${name}.evil`
        ])
          connection.publish(subject, JSON.stringify({ stream_name: name, config }), { reply: `${inboxPrefix(user)}.x` })
      }
      await connection.flush()
      await (await as('apiserver')).flush()
    })
    assert.equal(pushed, [])
    for (const name of NAMES) assert.is(await jsm.consumers.info(name, 'evil').catch(() => undefined), undefined)
  })

  permissions(`${user} can't touch a stream's settings or contents`, async () => {
    const connection = await as(user)
    const before = await Promise.all(NAMES.map(async (name) => JSON.stringify((await jsm.streams.info(name)).config)))
    const held = await ends()
    for (const name of NAMES) {
      const may =
        user === 'keeper'
          ? []
          : ([
              ['STREAM.UPDATE', { ...(await jsm.streams.info(name)).config, max_msgs: 1 }],
              ['STREAM.PURGE', '']
            ] as const)
      // A key that has to go is overwritten on disk: the one thing that can be taken away.
      const shreds = user === 'apiserver' && name === 'KEYS'
      for (const [what, body] of [
        ...may,
        ['STREAM.DELETE', ''],
        ...(shreds ? [] : ([['STREAM.MSG.DELETE', { seq: 1 }]] as const)),
        ['STREAM.SNAPSHOT', { deliver_subject: `${inboxPrefix(user)}.s` }],
        ['STREAM.RESTORE', {}],
        ['CONSUMER.DELETE', '']
      ] as const)
        connection.publish(
          `$JS.API.${what}.${name}${what === 'CONSUMER.DELETE' ? '.other' : ''}`,
          typeof body === 'string' ? body : JSON.stringify(body),
          { reply: `${inboxPrefix(user)}.x` }
        )
    }
    connection.publish('$JS.API.STREAM.CREATE.MINE', JSON.stringify({ name: 'MINE', subjects: ['mine.>'] }), {
      reply: `${inboxPrefix(user)}.x`
    })
    await connection.flush()
    assert.equal(await Promise.all(NAMES.map(async (name) => JSON.stringify((await jsm.streams.info(name)).config))), before)
    assert.equal(await ends(), held)
    for (const name of NAMES)
      if (name !== 'REPORTS' && name !== 'PULSE') assert.ok((await jsm.streams.info(name)).state.messages > 0, `${name} was emptied`)
  })

  permissions(`${user} asks and follows as itself only`, async () => {
    const connection = await as(user)
    const heard: string[] = []
    const listening = (await as('apiserver')).subscribe('intent.*', {
      callback: (_, message) => (heard.push(message.subject), void message.respond('heard'))
    })
    await (await as('apiserver')).flush()
    for (const other of USERS) {
      const expected = other === user && !TRUSTED.includes(user) && !/^(kube-proxy|dns)-/.test(user)
      assert.is((await answer(connection, `intent.${other}`, {}, expected ? 2_000 : 100)) === 'heard', expected, `intent.${other}`)
    }
    listening.unsubscribe()
    assert.ok(
      heard.every((subject) => subject === `intent.${user}`),
      heard.join()
    )
    for (const other of USERS) {
      if (other === user || TRUSTED.includes(other)) continue
      assert.is(await answer(connection, `follow.${other}`, { what: 'state', part: 'events' }), undefined, `follow.${other}`)
    }
    const asked: string[] = []
    const gone = (await as('apiserver')).subscribe('gone.*', {
      callback: (_, message) => (asked.push(message.subject), void message.respond('heard'))
    })
    await (await as('apiserver')).flush()
    for (const other of USERS) {
      const expected = other === user && user.startsWith('node-')
      assert.is((await answer(connection, `gone.${other}`, { pods: [] }, expected ? 2_000 : 100)) === 'heard', expected, `gone.${other}`)
    }
    gone.unsubscribe()
    const erased: string[] = []
    const erase = (await as('apiserver')).subscribe('erase.*', {
      callback: (_, message) => (erased.push(message.subject), void message.respond('heard'))
    })
    await (await as('apiserver')).flush()
    for (const other of USERS) {
      const expected = other === user && user === 'admin'
      assert.is((await answer(connection, `erase.${other}`, {}, expected ? 2_000 : 100)) === 'heard', expected, `erase.${other}`)
    }
    erase.unsubscribe()
    assert.ok(
      erased.every((subject) => subject === 'erase.admin'),
      erased.join()
    )
    assert.ok(
      asked.every((subject) => subject === `gone.${user}`),
      asked.join()
    )
  })

  permissions(`${user} hears only what is its own`, async () => {
    const own: Readonly<Record<string, readonly string[]>> = {
      apiserver: ['intent.>', 'follow.>', 'gone.>', 'erase.*', 'pulse.node.*', 'stream.*.*.up'],
      'node-n1': ['node.n1.>', 'stream.n1.*.down'],
      'node-n2': ['node.n2.>', 'stream.n2.*.down']
    }
    const subjects = [
      '>',
      '*',
      'ev.>',
      'notice.>',
      'bind.>',
      'audit.>',
      'report.>',
      'intent.>',
      'follow.>',
      'gone.>',
      'erase.*',
      'pulse.node.*',
      'stream.*.*.up',
      '_R_.>',
      '$SYS.>',
      '$JS.>',
      'node.n1.>',
      'node.n2.>',
      'stream.n1.*.down',
      'stream.n2.*.down',
      ...USERS.filter((other) => other !== user).map((other) => `_INBOX_${other}.>`)
    ]
    for (const subject of subjects) {
      const connection = await nats.as(user)
      const refused = new Promise<boolean>((resolve) =>
        connection.subscribe(subject, { callback: (error) => resolve(error instanceof PermissionViolationError) })
      )
      await connection.flush()
      const verdict = await Promise.race([refused, new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 30))])
      assert.is(verdict, !(own[user] ?? []).includes(subject), `${user} listening on ${subject}`)
      await connection.close()
    }
  })
}

/** Which stream's entries a user can read one by one; all of it, however it asks. */
const READS: Readonly<Record<string, readonly string[]>> = {
  apiserver: NAMES,
  keeper: NAMES,
  admin: ['EVENTS', 'BASE', 'NOTICES', 'PULSE', 'AUDIT']
}

for (const user of USERS)
  permissions(`${user} reads no entry it was not given`, async () => {
    const connection = await as(user)
    for (const name of NAMES) {
      const last = (await jsm.streams.info(name)).state.last_seq
      const body = await answer(connection, `$JS.API.DIRECT.GET.${name}`, { seq: last })
      assert.is(body !== undefined && body !== '', (READS[user] ?? []).includes(name), `${name} entry by entry`)
      if (!TRUSTED.includes(user))
        assert.not.match(
          (await answer(connection, `$JS.API.STREAM.MSG.GET.${name}`, { seq: last })) ?? '',
          /"subject"/,
          `${name} by the stream's interface`
        )
    }
    if (TRUSTED.includes(user) || user === 'admin') return
    // Somebody else's consumer: fetching from it would be reading on their behalf.
    await jsm.consumers.add('EVENTS', { name: 'others-events', ack_policy: AckPolicy.None, deliver_policy: DeliverPolicy.All })
    assert.is(await answer(connection, '$JS.API.CONSUMER.MSG.NEXT.EVENTS.others-events', { batch: 1, no_wait: true }), undefined)
    await jsm.consumers.delete('EVENTS', 'others-events')
  })

/** Every user's parts, and the subjects that come by them. */
const PARTS: readonly (readonly [user: string, part: string, stream: string, subjects: RegExp])[] = [
  ['scheduler', 'events', 'EVENTS', /^ev\.core\.((pods|nodes|namespaces)\.|configmaps\.kube-system\.kube-scheduler$)/],
  ['scheduler', 'notices', 'NOTICES', /^notice\./],
  ['scheduler', 'leases', 'PULSE', /^pulse\.object\.coordination%2Ek8s%2Eio\.leases\.kube-system\./],
  ['controller-manager', 'events', 'EVENTS', /^ev\./],
  ['controller-manager', 'notices', 'NOTICES', /^notice\./],
  ['controller-manager', 'pulse', 'PULSE', /^pulse\.object\./],
  ['node-n1', 'bindings', 'BINDINGS', /^bind\.n1\./],
  ['node-n2', 'bindings', 'BINDINGS', /^bind\.n2\./],
  ...['kube-proxy-n1', 'dns-n2'].flatMap((user) => [
    [user, 'services', 'EVENTS', /^ev\.core\.services\./] as const,
    [user, 'endpointslices', 'EVENTS', /^ev\.discovery%2Ek8s%2Eio\.endpointslices\./] as const
  ])
]

/** The subjects of all that is in a part now. */
const follow = (connection: NatsConnection, user: string, part: string, stream: string): Promise<string[]> =>
  new Promise((resolve, reject) => {
    const found: string[] = []
    const log = new JetStreamLog(connection, stream, { consumers: askedConsumers(connection, user, part), gapless: false })
    const subscription = log.follow({
      from: 1,
      onEntries: (entries) => void found.push(...entries.map(({ subject }) => subject)),
      onCaughtUp: () => (subscription.close(), resolve(found)),
      onFailed: reject
    })
  })

permissions('each user follows its parts, sees what is in them, and nothing else', async () => {
  const js = jetstream(await as('apiserver'))
  for (const subject of [
    'ev.core.services.default.web',
    'ev.core.configmaps.kube-system.kube-scheduler',
    'ev.core.configmaps.kube-system.other',
    'ev.discovery%2Ek8s%2Eio.endpointslices.default.web-1',
    'ev.core.nodes._.n1',
    'ev.core.namespaces._.default',
    'bind.n1.default.c',
    'bind.n2.default.c'
  ])
    await js.publish(subject, 'x')
  for (const [user, part, stream, subjects] of PARTS) {
    const connection = await as(user)
    const all = await follow(connection, user, part, stream)
    assert.ok(all.length > 0, `${user} sees nothing in ${part}`)
    assert.equal(
      all.filter((subject) => !subjects.test(subject)),
      [],
      `${user} in ${part}`
    )
  }
})

permissions("a part that is not a user's own is refused, and so is a filter of its own", async () => {
  for (const [user, part] of [
    ['scheduler', 'pulse'],
    ['node-n1', 'events'],
    ['kube-proxy-n1', 'bindings'],
    ['dns-n1', 'events'],
    ['scheduler', 'EVENTS'],
    ['node-n1', 'constructor'],
    ['controller-manager', '__proto__']
  ] as const)
    await askToFollow(await as(user), user, { what: 'open', part, from: 1 }).then(
      () => assert.unreachable(`${user} may follow ${part}`),
      (error: Error) => assert.match(error.message, /may not follow|must match/)
    )
  const { consumer } = (await askToFollow(await as('kube-proxy-n1'), 'kube-proxy-n1', {
    what: 'open',
    part: 'services',
    from: 1,
    filter: 'ev.core.secrets.>'
  })) as FollowAnswer
  assert.is((consumer?.['config'] as { filter_subject: string }).filter_subject, 'ev.core.services.>')
  await askToFollow(await as('scheduler'), 'scheduler', { what: 'cursor', part: 'events', start: { at: 'start' } }).then(
    () => assert.unreachable('a component gets a cursor'),
    (error: Error) => assert.match(error.message, /may not follow/)
  )
  await askToFollow(await as('scheduler'), 'scheduler', { what: 'end', part: 'events', consumer: 'kube-proxy-n1-services' }).then(
    () => assert.unreachable("a component ends another's consumer"),
    (error: Error) => assert.match(error.message, /may not end/)
  )
})

permissions('malformed requests to follow are answered with what is wrong', async () => {
  const connection = await as('admin')
  for (const body of [
    '',
    '7',
    'null',
    '{"part":"EVENTS"}',
    '{"what":"open","part":"a b","from":1}',
    '{"what":"open","part":"EVENTS","from":"x"}',
    '{"what":"cursor","part":"EVENTS","start":{}}',
    `{"what":"state","part":"${'x'.repeat(9_000)}"}`
  ]) {
    const text = await answer(connection, 'follow.admin', body, 2_000)
    assert.is((JSON.parse(text ?? '{}') as { status?: { code?: number } }).status?.code, body.length > 9_000 ? 413 : 400, body.slice(0, 40))
  }
})

permissions('a person keeps a durable cursor', async () => {
  const connection = await as('admin')
  const opened = await askToFollow(connection, 'admin', { what: 'cursor', part: 'EVENTS', name: 'mine', start: { at: 'start' } })
  const consumer = jetstream(connection).consumers.getConsumerFromInfo(opened.consumer as never)
  const first = await consumer.next({ expires: 2000 })
  assert.ok(await first?.ackAck())
  assert.is((await jsm.consumers.info('EVENTS', 'follow-mine')).ack_floor.stream_seq, 1)
  await askToFollow(connection, 'admin', { what: 'end', part: 'EVENTS', consumer: 'follow-mine' })
  assert.is(await jsm.consumers.info('EVENTS', 'follow-mine').catch(() => undefined), undefined)
})

permissions('of what was kept when history was compacted, each user sees its own parts too', async () => {
  const keeper = await jetstreamManager(await as('keeper'), { checkAPI: false })
  const kept = ['ev.core.pods.default.old', 'ev.core.secrets.default.old', 'ev.core.services.default.old']
  for (const [at, subject] of kept.entries()) {
    const headers = newHeaders()
    headers.set('reckon-sequence', String(at + 1))
    await jetstream(await as('keeper')).publish(`base${subject.slice(2)}`, 'x', { headers })
  }
  const { config } = await keeper.streams.info('EVENTS')
  await keeper.streams.update('EVENTS', { ...config, metadata: { ...config.metadata, 'reckon.floor': '3' } })
  await keeper.streams.purge('EVENTS', { seq: 4 })
  for (const [user, part, stream, subjects] of PARTS) {
    if (stream !== 'EVENTS') continue
    const found = await follow(await as(user), user, part, stream)
    assert.equal(
      found.filter((subject) => subject.endsWith('.old')),
      kept.filter((subject) => subjects.test(subject)),
      `${user} in ${part}`
    )
  }
  assert.equal(
    (await follow(await as('admin'), 'admin', 'EVENTS', 'EVENTS')).filter((subject) => subject.endsWith('.old')),
    kept
  )
})

permissions('one node has its share of connections, and shuts nobody out', async () => {
  const mine: NatsConnection[] = []
  const another = (user: string): Promise<NatsConnection> =>
    connect({ ...natsOptions(nats.home, nats.config, user), waitOnFirstConnect: false, reconnect: false })
  let refused = ''
  while (refused === '' && mine.length < 100)
    await another('node-n1').then(
      (connection) => mine.push(connection),
      (error: Error) => (refused = error.message)
    )
  assert.match(refused, /maximum account active connections exceeded/i)
  await (await another('node-n2')).close()
  for (const connection of mine) await connection.close()
})
permissions('the API server works off reports, hears pulses and calls an agent, which answers', async () => {
  const apiserver = await as('apiserver')
  const node = await as('node-n2')
  const pulses: string[] = []
  apiserver.subscribe('pulse.node.*', { callback: (_, message) => void pulses.push(message.subject) })
  await apiserver.flush()
  const { seq } = await jetstream(node).publish('report.n2.pod.default.b', '{}')
  assert.is((await jetstream(node).publish('pulse.node.n2', '{}')).stream, 'PULSE')
  await jsm.consumers.add('REPORTS', {
    durable_name: 'apiserver',
    ack_policy: AckPolicy.Explicit,
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: seq
  })
  const first = await (await jetstream(apiserver).consumers.get('REPORTS', 'apiserver')).next({ expires: 2000 })
  assert.ok(await first?.ackAck())
  await apiserver.flush()
  assert.equal(pulses, ['pulse.node.n2'])
  node.subscribe('node.n2.>', { callback: (_, message) => void message.respond('here') })
  const heard: string[] = []
  node.subscribe('stream.n2.*.down', { callback: (_, message) => void heard.push(message.string()) })
  apiserver.subscribe('stream.*.*.up', { callback: (_, message) => void heard.push(message.string()) })
  await Promise.all([node.flush(), apiserver.flush()])
  assert.is((await apiserver.request('node.n2.exec', '', { timeout: 2000 })).string(), 'here')
  node.publish('stream.n2.1.up', 'up')
  apiserver.publish('stream.n2.1.down', 'down')
  await Promise.all([node.flush(), apiserver.flush()])
  await Promise.all([node.flush(), apiserver.flush()])
  assert.equal(heard.sort(), ['down', 'up'])
})

permissions('a running server is adopted; a killed one comes back with its messages', async () => {
  const before = await ends()
  await nats.restart()
  assert.is(nats.server().adopted, true)
  process.kill(nats.server().pid, 'SIGKILL')
  await nats.server().exited
  await nats.restart()
  assert.is(nats.server().adopted, false)
  const again = await jetstreamManager(await nats.as('apiserver'), { checkAPI: false })
  for (const [name, last] of Object.entries(before)) assert.is((await again.streams.info(name)).state.last_seq, last, name)
})

permissions.run()
