/** Who comes too much is told to come again, and keeps nobody else out; a body that does not come ends its request. */
import { documentOf } from '#test/support/kinds.ts'
import { connect, type TLSSocket } from 'node:tls'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { UserInfo } from '#events/Intent.ts'
import { Refusal } from '#events/Refusal.ts'
import { Gate, LIMITS, type Place } from '#services/apiserver/http/limits.ts'
import { closed, readAll, startHttp } from '#test/support/http.ts'
import { until } from '#test/support/until.ts'

const user = (username: string, ...groups: string[]): UserInfo => ({ username, groups: [...groups, 'system:authenticated'] })
const CONFIGMAPS = '/api/v1/namespaces/default/configmaps'
const WATCH = `${CONFIGMAPS}?watch=true`
const json = documentOf

const gate = suite('the gate')
const enter = (it: Gate, who: UserInfo, times: number, what: Parameters<Gate['enter']>[0] = 'reading'): Place[] =>
  Array.from({ length: times }, () => it.enter(what, who))
const full = (it: Gate, who: UserInfo, what: Parameters<Gate['enter']>[0] = 'reading'): string | undefined => {
  try {
    it.enter(what, who).release()
    return undefined
  } catch (error) {
    return (error as Refusal).status.message
  }
}
gate('lets a user have its share, and all of them together the total', () => {
  const it = new Gate({ ...LIMITS, reading: { total: 5, perUser: 3 } })
  const alice = enter(it, user('alice'), 3)
  assert.is(full(it, user('alice')), 'too many requests, please try again later: user "alice" has 3 requests in flight')
  enter(it, user('bob'), 1)
  assert.is(full(it, user('bob')), 'too many requests, please try again later: the server has 4 requests in flight')
  alice[0]?.release()
  alice[0]?.release()
  assert.is(full(it, user('carol')), undefined)
  enter(it, user('carol'), 1)
  assert.ok(full(it, user('alice')))
})
gate('nobody takes more than is left for the others: a few keep nobody out', () => {
  const it = new Gate(LIMITS)
  const took: number[] = []
  for (let n = 0; n < 8; n++) {
    let mine = 0
    for (; full(it, user(`u${n}`)) === undefined; mine++) it.enter('reading', user(`u${n}`))
    took.push(mine)
  }
  assert.equal(took, [200, 100, 50, 25, 13, 6, 3, 2])
})
gate('counts each class for itself', () => {
  const it = new Gate({
    ...LIMITS,
    reading: { total: 1, perUser: 1 },
    mutating: { total: 1, perUser: 1 },
    longRunning: { total: 1, perUser: 1 },
    logs: { total: 1, perUser: 1 }
  })
  for (const what of ['reading', 'mutating', 'longRunning', 'logs'] as const) {
    enter(it, user('alice'), 1, what)
    assert.ok(full(it, user('alice'), what))
  }
})
gate('keeps places for administrators, nodes and the control plane', () => {
  const it = new Gate({ ...LIMITS, reading: { total: 6, perUser: 2 } })
  enter(it, user('alice'), 2)
  enter(it, user('bob'), 2)
  for (const privileged of [user('system:node:n1', 'system:nodes'), user('system:apiserver'), user('system:kube-scheduler')])
    assert.is(full(it, privileged), undefined)
  // A node that runs wild keeps no other node out; an administrator may have all there is.
  enter(it, user('system:node:n1', 'system:nodes'), 2)
  assert.ok(full(it, user('system:node:n1', 'system:nodes')))
  assert.is(full(it, user('system:node:n2', 'system:nodes')), undefined)
  enter(it, user('kubernetes-admin', 'system:masters'), 4)
  assert.ok(full(it, user('kubernetes-admin', 'system:masters')))
})
gate('forgets users who hold nothing, and counts amounts', () => {
  const it = new Gate({ ...LIMITS, bodyBytes: { total: 100, perUser: 60 } })
  const place = it.enter('bodyBytes', user('alice'), 60)
  assert.throws(() => it.enter('bodyBytes', user('alice'), 1), /user "alice" has 60 bytes/)
  assert.throws(() => it.enter('bodyBytes', user('bob'), 41), /the server has 60 bytes/)
  place.release()
  it.enter('bodyBytes', user('alice'), 60)
})
gate.run()

const limits = suite('limits')
limits('a request too much is 429, says when to come again, and there is room when another one ends', async () => {
  const http = await startHttp({ longRunning: { total: 4, perUser: 2 } })
  try {
    const session = await http.session('alice')
    const watches = [await http.stream(session, WATCH), await http.stream(session, WATCH)]
    const refused = await http.call('GET', WATCH, { user: 'alice' })
    assert.is(refused.status, 429)
    assert.is(refused.headers['retry-after'], '1')
    const status = json(refused.body)
    assert.is(status.reason, 'TooManyRequests')
    assert.equal(status.details, { retryAfterSeconds: 1 })
    // Other classes and other users are not concerned.
    assert.is((await http.call('GET', CONFIGMAPS, { user: 'alice' })).status, 200)
    const bob = await http.stream(await http.session('bob'), WATCH)
    assert.is(bob.status, 200)
    assert.is((await http.call('GET', WATCH, { user: 'bob' })).status, 429)
    const admin = await http.stream(await http.session('admin'), WATCH)
    assert.is(admin.status, 200)
    const end = closed(watches[0]!.body)
    watches[0]!.body.close()
    await end
    let again = 429
    for (let tries = 0; again === 429 && tries < 100; tries++) again = (await http.stream(session, WATCH)).status
    assert.is(again, 200)
  } finally {
    await http.stop()
  }
})
limits('health and version are answered however full it is; requests that end make room', async () => {
  const http = await startHttp({ reading: { total: 0, perUser: 0 } })
  try {
    assert.is((await http.call('GET', CONFIGMAPS)).status, 429)
    assert.is((await http.call('GET', '/api')).status, 429)
    for (const path of ['/healthz', '/livez', '/readyz', '/version']) assert.is((await http.call('GET', path)).status, 200)
  } finally {
    await http.stop()
  }
  const one = await startHttp({ reading: { total: 1, perUser: 1 } })
  try {
    for (let n = 0; n < 5; n++) assert.is((await one.call('GET', CONFIGMAPS)).status, 200)
  } finally {
    await one.stop()
  }
})
limits('exec counts as long-running', async () => {
  const http = await startHttp({ longRunning: { total: 0, perUser: 0 } })
  try {
    const answer = await http.call('GET', '/api/v1/namespaces/default/pods/p/exec?command=sh&stdin=true', {
      headers: {
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-protocol': 'v5.channel.k8s.io',
        'sec-websocket-version': '13',
        'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA=='
      }
    })
    assert.is(answer.status, 429)
    assert.is(answer.headers['retry-after'], '1')
  } finally {
    await http.stop()
  }
})
limits('a refused request over HTTP/1.1 and HTTP/2 leaves the connection usable', async () => {
  const http = await startHttp({ mutating: { total: 0, perUser: 0 } })
  try {
    const session = await http.session()
    for (let n = 0; n < 3; n++) {
      const body = session.request({ ':path': CONFIGMAPS, ':method': 'POST', 'content-type': 'application/json' })
      body.end('x'.repeat(200_000))
      const status = await new Promise((resolve) => body.on('response', (headers) => resolve(headers[':status'])))
      assert.is(status, 429)
      assert.is(json(await readAll(body)).reason, 'TooManyRequests')
    }
    assert.is((await http.stream(session, CONFIGMAPS)).status, 200)
  } finally {
    await http.stop()
  }
})
limits.run()

const bodies = suite('bodies')
/** A raw connection with a request whose body does not come. */
const half = async (
  http: Awaited<ReturnType<typeof startHttp>>,
  length: number,
  sent: string
): Promise<{ socket: TLSSocket; received: () => string }> => {
  const socket = connect({ host: '127.0.0.1', port: http.port, ...http.credentials('alice') })
  let text = ''
  socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
  socket.on('error', () => {})
  await new Promise<void>((resolve) => socket.once('secureConnect', () => resolve()))
  socket.write(`POST ${CONFIGMAPS} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n${sent}`)
  return { socket, received: () => text }
}
bodies('a body that does not come ends its request with 408, and its bytes are free again', async () => {
  const http = await startHttp({ bodyBytes: { total: 1_000_000, perUser: 1_000_000 }, bodyMs: 60_000 })
  try {
    const { socket, received } = await half(http, 1_000_000, '{"')
    const make = (): ReturnType<typeof http.call> =>
      http.call('POST', CONFIGMAPS, { user: 'alice', body: JSON.stringify({ metadata: { name: `c${Math.random()}` } }) })
    let status = 0
    await until('its bytes are taken', () => (void make().then((answer) => (status = answer.status)), status === 429))
    await http.clock.run(61_000)
    await closed(socket)
    assert.match(received(), /^HTTP\/1.1 408 /)
    assert.match(received(), /did not arrive within 60 s/)
    await until('its bytes are free', () => (void make().then((answer) => (status = answer.status)), status === 201))
    // Over HTTP/2, too.
    const stream = (await http.session('alice')).request({ ':path': CONFIGMAPS, ':method': 'POST', 'content-type': 'application/json' })
    stream.write('{"')
    const answered = new Promise((resolve) => stream.on('response', (headers) => resolve(headers[':status'])))
    await new Promise((resolve) => setTimeout(resolve, 100))
    await http.clock.run(61_000)
    assert.is(await answered, 408)
    await closed(stream.resume())
  } finally {
    await http.stop()
  }
})
bodies('one that is too large is refused before it is read, told or not', async () => {
  const http = await startHttp()
  try {
    const { socket, received } = await half(http, 4_000_000, '')
    await until('an answer', () => received().includes('413'))
    socket.destroy()
    const stream = (await http.session('alice')).request({ ':path': CONFIGMAPS, ':method': 'POST', 'content-type': 'application/json' })
    const answered = new Promise((resolve) => stream.on('response', (headers) => resolve(headers[':status'])))
    stream.on('error', () => {})
    stream.end(Buffer.alloc(3_500_000, 'x'))
    assert.is(await answered, 413)
  } finally {
    await http.stop()
  }
})
bodies('watches live on while bodies time out', async () => {
  const http = await startHttp({ bodyMs: 1_000 })
  try {
    const { body } = await http.stream(await http.session(), WATCH)
    body.resume()
    await http.clock.run(120_000)
    assert.is(body.closed, false)
  } finally {
    await http.stop()
  }
})
bodies.run()
