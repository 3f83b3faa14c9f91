/**
 * Claim: 200 clients that read nothing of a 10 MB list cost slices, not lists; they are cut off after a minute, and others are answered
 * meanwhile.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { openSession, openStream, openUnread, peakRss, probing, rssOf } from './clients.ts'
import { machine, startApi } from './support.ts'

const CLIENTS = 200
const OBJECTS = 100
const SIZE = 100_000
const LIST = '/api/v1/namespaces/default/configmaps'
const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io'

const api = await startApi()
console.log(`machine: ${machine()}`)
try {
  for (let n = 0; n < OBJECTS; n++)
    await api.call('POST', LIST, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: `large-${n}` },
      data: { key: Array.from({ length: SIZE / 10 }, () => Math.random().toString(36).slice(2, 12).padEnd(10, 'x')).join('') }
    })
  const { body } = await api.call('GET', LIST)
  await api.call('POST', '/api/v1/namespaces/kube-public/configmaps', {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'small' },
    data: { key: 'value' }
  })
  const small = '/api/v1/namespaces/kube-public/configmaps/small'
  await probing(api, small, wait(3_000))
  console.log(
    `a list of ${(body.length / 1e6).toFixed(1)} MB; ${CLIENTS} clients that do not read, each on its own HTTP/1.1 connection unless said otherwise`
  )
  const round = async (what: string, open: () => Promise<readonly { readonly closed: boolean }[]>): Promise<void> => {
    const before = rssOf(api)
    const run = async (): Promise<number> => {
      const clients = await open()
      const began = Date.now()
      while (clients.some(({ closed }) => !closed) && Date.now() - began < 120_000) await wait(500)
      return clients.some(({ closed }) => !closed) ? Number.NaN : (Date.now() - began) / 1000
    }
    const { result, peak } = await peakRss(api, probing(api, small, run()))
    console.log(
      `${what}: +${(peak - before).toFixed(0)} MiB at most (${(((peak - before) * 1024) / CLIENTS).toFixed(0)} KiB each), all cut off after ${result.result.toFixed(0)} s; ${result.text}`
    )
  }
  /** A socket that is paused does not see its end: asked by writing, it does. */
  const noticing = async (path: string, headers = ''): Promise<{ readonly closed: boolean }> => {
    const socket = await openUnread(api, path, headers)
    const state = { closed: false }
    const timer = setInterval(() => socket.write('\r\n'), 1_000)
    socket.removeAllListeners('error')
    for (const event of ['error', 'close', 'end'] as const) socket.on(event, () => ((state.closed = true), clearInterval(timer)))
    return state
  }
  const clients =
    (headers = '', path = LIST) =>
    (): Promise<{ readonly closed: boolean }[]> =>
      Promise.all(Array.from({ length: CLIENTS }, () => noticing(path, headers)))
  await round('list', clients())
  await round('list, gzip', clients('accept-encoding: gzip\r\n'))
  await round('table with objects', clients(`accept: ${TABLE}\r\n`, `${LIST}?includeObject=Object`))
  await round(
    'WatchList',
    clients('', `${LIST}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`)
  )
  await round('list, one HTTP/2 connection', async () => {
    const session = await openSession(api)
    return Promise.all(
      Array.from({ length: CLIENTS }, async () => {
        const stream = await openStream(session, LIST)
        const state = { closed: false }
        stream.removeAllListeners('error')
        for (const event of ['error', 'close', 'aborted'] as const) stream.on(event, () => (state.closed = true))
        return state
      })
    )
  })
} finally {
  await api.stop()
}
process.exit(0)
