/** The health endpoints: kube-apiserver's paths, words and codes; and what the checks themselves see. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ShutdownCheck } from '#services/apiserver/health.ts'
import { faultsOf, healthAnswer, PING, type Health } from '#services/apiserver/http/health.ts'

let broken = ''
const checks: Health = {
  livez: [PING],
  healthz: [PING, { name: 'log', check: async () => {} }],
  readyz: [
    PING,
    { name: 'log', check: async () => void (await (broken === '' ? undefined : Promise.reject(new Error(broken)))) },
    {
      name: 'disk',
      check: () => {
        if (broken !== '') throw new Error('no room')
      }
    },
    { name: 'informer-sync', check: () => {} }
  ]
}
const ask = async (url: string): Promise<string | undefined> => {
  const [path = '', query = ''] = url.split('?')
  const answer = await healthAnswer(checks, path, new URLSearchParams(query))
  return answer === undefined ? undefined : `${answer.code} ${answer.text}`
}

const health = suite('health')
health.before.each(() => void (broken = ''))

health('one word when all is well', async () => {
  for (const path of ['/livez', '/readyz', '/healthz', '/readyz/log', '/readyz/ping', '/livez/ping']) assert.is(await ask(path), '200 ok')
  assert.is((await healthAnswer(checks, '/readyz', new URLSearchParams()))?.headers['content-type'], 'text/plain; charset=utf-8')
  assert.is((await healthAnswer(checks, '/readyz', new URLSearchParams()))?.headers['x-content-type-options'], 'nosniff')
})
health('each check on a line when asked', async () => {
  assert.is(await ask('/readyz?verbose'), '200 [+]ping ok\n[+]log ok\n[+]disk ok\n[+]informer-sync ok\nreadyz check passed\n')
  assert.is(await ask('/livez?verbose=true'), '200 [+]ping ok\nlivez check passed\n')
})
health('a failure is always told line by line, and its reason only to who asks for it', async () => {
  broken = 'there is no connection to the log'
  assert.is(
    await ask('/readyz'),
    '500 [+]ping ok\n[-]log failed: reason withheld\n[-]disk failed: reason withheld\n[+]informer-sync ok\nreadyz check failed\n'
  )
  assert.is(await ask('/readyz/log'), '500 internal server error: there is no connection to the log\n')
  assert.is(await ask('/readyz/disk'), '500 internal server error: no room\n')
  assert.is(await ask('/readyz/ping'), '200 ok')
  assert.is(await ask('/livez'), '200 ok')
  assert.equal(await faultsOf(checks.readyz), ['log: there is no connection to the log', 'disk: no room'])
})
health('checks can be left out, and what is not there can not', async () => {
  broken = 'x'
  assert.is(await ask('/readyz?exclude=log&exclude=disk'), '200 ok')
  assert.is(
    await ask('/readyz?exclude=log'),
    '500 [+]ping ok\n[+]log excluded: ok\n[-]disk failed: reason withheld\n[+]informer-sync ok\nreadyz check failed\n'
  )
  broken = ''
  assert.is(
    await ask('/readyz?verbose&exclude=etcd&exclude=a&exclude=log'),
    '200 [+]ping ok\n[+]log excluded: ok\n[+]disk ok\n[+]informer-sync ok\nwarn: some health checks cannot be excluded: no matches for "a","etcd"\nreadyz check passed\n'
  )
})
health('an unknown check is a page that is not there', async () => {
  for (const path of ['/readyz/etcd', '/readyz/', '/livez/log', '/readyzz', '/readyz/log/x', '/foo', '/readyz/__proto__', '/__proto__'])
    assert.is(await ask(path), undefined, path)
})
health('not ready once the end has begun', async () => {
  const shutdown = new ShutdownCheck()
  assert.equal(await faultsOf([shutdown]), [])
  shutdown.begin()
  assert.equal(await faultsOf([shutdown]), ['shutdown: process is shutting down'])
})
health.run()
