/** The NATS users as data: what must never be among their permissions, and the file that is made of them. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { renderNatsConf } from '#ops/nats/conf.ts'
import { LOG_ACCOUNT, natsUsers } from '#ops/nats/users.ts'

const nats = suite('nats users')

const users = natsUsers(['n1', 'node.two'])
const others = users.filter((user) => user.account !== LOG_ACCOUNT)

nats('only who is in the account of the log may write events, notices, bindings and the audit', () => {
  for (const user of others) {
    for (const subject of user.publish) assert.not.match(subject, /^(ev|notice|bind|audit|>|\*)\b/, `${user.name}: ${subject}`)
  }
})

nats('nobody may publish another\'s intents', () => {
  for (const user of users) {
    for (const subject of user.publish.filter((one) => one.startsWith('intent'))) assert.is(subject, `intent.${user.name}`)
  }
})

nats('everyone has an inbox of its own, and no other', () => {
  for (const user of users) {
    assert.equal(user.subscribe.filter((subject) => subject.startsWith('_INBOX')), [`_INBOX_${user.name}.>`])
  }
})

nats('no user may delete a stream, and only the keeper change or purge one', () => {
  for (const user of users)
    for (const subject of user.publish) {
      assert.not.match(subject, /STREAM\.(DELETE|SNAPSHOT|RESTORE)|^\$JS\.API\.>/)
      // The key of an erased Secret is overwritten on disk; no other entry ever is.
      if (/MSG\.DELETE/.test(subject)) assert.equal([user.name, subject], ['apiserver', '$JS.API.STREAM.MSG.DELETE.KEYS'])
      if (user.name !== 'keeper') assert.not.match(subject, /STREAM\.(CREATE|UPDATE|PURGE)/)
    }
})

nats("nobody but the API server and the keeper is in the log's account, and nobody shares an account", () => {
  assert.equal(users.filter(({ account }) => account === LOG_ACCOUNT).map(({ name }) => name), ['apiserver', 'keeper'])
  for (const { name, account } of users) if (account !== LOG_ACCOUNT) assert.is(account, name)
  // Who is outside makes no consumer: it would deliver wherever it is told, inside.
  for (const { account, publish } of users) if (account !== LOG_ACCOUNT) for (const subject of publish) assert.not.match(subject, /CONSUMER\.(CREATE|DURABLE)|STREAM\./)
})

nats('a node name with dots stays one token', () => {
  assert.ok(users.some((user) => user.name === 'node-node%2Etwo' && user.publish.includes('report.node%2Etwo.>')))
})

nats('the file quotes what it is given and names no secret', () => {
  const text = renderNatsConf({
    serverName: 's"x',
    port: 4222,
    storeDir: '/s',
    pidFile: '/p',
    logFile: '/l',
    certificateFile: '/c',
    keyFile: '/k',
    users: users.map((user) => ({ ...user, publicKey: 'UABC' }))
  })
  assert.match(text, 'server_name: "s\\"x"')
  assert.match(text, 'sync_interval: always')
  assert.match(text, 'min_version: "1.3"')
  assert.not.match(text, 'no_auth_user')
  assert.is(text.match(/nkey: "UABC"/g)?.length, users.length)
})

nats.run()
