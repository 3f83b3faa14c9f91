/** The NATS users as data: what must never be among their permissions, and the file that is made of them. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { callsClaims, logClaims, userClaims } from '#ops/nats/claims.ts'
import { renderNatsConf } from '#ops/nats/conf.ts'
import { listenHost, natsNames, serversOf } from '#ops/nats/reach.ts'
import { LOG_ACCOUNT, natsUsers } from '#ops/nats/users.ts'

const nats = suite('nats users')

const users = natsUsers(['n1', 'node.two'])
const others = users.filter((user) => user.account !== LOG_ACCOUNT)

nats('only who is in the account of the log may write events, notices, bindings and the audit', () => {
  for (const user of others) {
    for (const subject of user.publish) assert.not.match(subject, /^(ev|notice|bind|audit|>|\*)\b/, `${user.name}: ${subject}`)
  }
})

nats("nobody may publish another's intents", () => {
  for (const user of users) {
    for (const subject of user.publish.filter((one) => one.startsWith('intent'))) assert.is(subject, `intent.${user.name}`)
  }
})

nats('everyone has an inbox of its own, and no other', () => {
  for (const user of users) {
    assert.equal(
      user.subscribe.filter((subject) => subject.startsWith('_INBOX')),
      [`_INBOX_${user.name}.>`]
    )
  }
})

nats('no user may delete a stream, and only the keeper change or purge one', () => {
  for (const user of users)
    for (const subject of user.publish) {
      assert.not.match(subject, /STREAM\.(DELETE|SNAPSHOT|RESTORE)|^\$JS\.API\.>/)
      // The key of an erased Secret is overwritten on disk; no other entry ever is.
      if (/MSG\.DELETE/.test(subject)) assert.equal([user.name, subject], ['apiserver', '$JS.API.STREAM.MSG.DELETE.KEYS'])
      // What a node has reported too much of is let go by who works it off.
      if (user.name === 'apiserver' && /STREAM\.PURGE/.test(subject)) assert.is(subject, '$JS.API.STREAM.PURGE.REPORTS')
      else if (user.name !== 'keeper') assert.not.match(subject, /STREAM\.(CREATE|UPDATE|PURGE)/)
    }
})

nats("nobody but the API server and the keeper is in the log's account, and nobody shares an account", () => {
  assert.equal(
    users.filter(({ account }) => account === LOG_ACCOUNT).map(({ name }) => name),
    ['apiserver', 'keeper']
  )
  for (const { name, account } of users) if (account !== LOG_ACCOUNT) assert.is(account, name)
  // Who is outside makes no consumer: it would deliver wherever it is told, inside.
  for (const { account, publish } of users)
    if (account !== LOG_ACCOUNT) for (const subject of publish) assert.not.match(subject, /CONSUMER\.(CREATE|DURABLE)|STREAM\./)
})

nats('a node name with dots stays one token', () => {
  assert.ok(users.some((user) => user.name === 'node-node%2Etwo' && user.publish.includes('report.node%2Etwo.>')))
})

nats('the file quotes what it is given, names nobody and no secret', () => {
  const text = renderNatsConf({
    serverName: 's"x',
    host: '::1',
    port: 4222,
    storeDir: '/s',
    pidFile: '/p',
    logFile: '/l',
    certificateFile: '/c',
    keyFile: '/k',
    operator: 'e.y.J',
    systemAccount: 'ASYS',
    accountsDir: '/a'
  })
  assert.match(text, 'server_name: "s\\"x"')
  assert.match(text, 'host: "::1"\nport: 4222\n')
  assert.match(text, 'sync_interval: always')
  assert.match(text, 'min_version: "1.3"')
  assert.not.match(text, /no_auth_user|nkey|users/)
})

/** A pattern of subjects holds every subject of another one. */
const covers = (wide: string, narrow: string): boolean => {
  const [a, b] = [wide.split('.'), narrow.split('.')]
  for (const [at, token] of a.entries()) {
    if (token === '>') return b.length > at
    if (b[at] === undefined || b[at] === '>' || (token !== '*' && token !== b[at])) return false
  }
  return a.length === b.length
}

nats("each user reaches the log's account by single subjects that it offers, and reaches no other account", () => {
  const { exports = [], imports = [] } = logClaims('ACALLS').claims
  assert.equal(
    imports.map(({ subject, account }) => [subject, account]),
    [['node.>', 'ACALLS']]
  )
  for (const user of others) {
    const { claims } = userClaims(user, 'ALOG')
    for (const { subject, account, type } of claims.imports ?? []) {
      assert.is(account, 'ALOG')
      assert.is(exports.filter((one) => one.type === type && covers(one.subject, subject)).length, 1, `${user.name} reaches ${subject}`)
    }
    assert.equal([claims.default_permissions?.pub?.allow, claims.default_permissions?.sub?.allow], [user.publish, user.subscribe])
  }
})

nats('what nodes serve is between them and the log: each its own, and the log alone calls', () => {
  const { claims } = callsClaims([
    { key: 'AN2', subject: 'node.n2.>' },
    { key: 'AN1', subject: 'node.n1.>' }
  ])
  assert.equal(
    claims.imports?.map(({ subject, account }) => [subject, account]),
    [
      ['node.n1.>', 'AN1'],
      ['node.n2.>', 'AN2']
    ]
  )
  for (const user of others)
    for (const { subject } of userClaims(user, 'ALOG').claims.exports ?? []) assert.is(subject, `node.${user.name.slice('node-'.length)}.>`)
})

nats('where it listens, and how it is reached', () => {
  const listening = (listen?: string) => ({
    natsPort: 4222,
    ...(listen === undefined ? {} : { settings: { nats: { listen, names: ['log.example'] } } })
  })
  assert.is(listenHost(listening()), '127.0.0.1')
  assert.equal(
    ['0.0.0.0', '::', '10.0.0.7', 'fd00::7'].map((listen) => serversOf(listening(listen))),
    [['127.0.0.1:4222'], ['[::1]:4222'], ['10.0.0.7:4222'], ['[fd00::7]:4222']]
  )
  assert.equal(serversOf({ ...listening(), natsURLs: ['tls://a.example:4222', 'nats://[fd00::1]:4223'] }), [
    'a.example:4222',
    '[fd00::1]:4223'
  ])
  assert.equal(
    [natsNames(listening()), natsNames(listening('0.0.0.0')), natsNames(listening('10.0.0.7'))],
    [['127.0.0.1'], ['log.example'], ['log.example', '10.0.0.7']]
  )
})

nats.run()
