/** Claim: thousands of updates of one 900 KB ConfigMap, with watchers who read and watchers who do not, leave memory bounded. */
import { performance } from 'node:perf_hooks'
import { setTimeout as wait } from 'node:timers/promises'
import type { ClientHttp2Stream } from 'node:http2'
import { openSession, openStream, rssOf } from './clients.ts'
import { latencies, machine, startApi } from './support.ts'

const UPDATES = Number(process.argv[2] ?? 10_000)
const SIZE = 900_000
const READ = 5
const UNREAD = 20
const PATH = '/api/v1/namespaces/default/configmaps/large'
const WATCH = '/api/v1/namespaces/default/configmaps?watch=true'

const api = await startApi()
console.log(`machine: ${machine()}`)
try {
  const padding = 'lorem ipsum dolor '.repeat(SIZE / 18)
  const object = (n: number): unknown => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'large' },
    data: { n: String(n), key: padding }
  })
  await api.call('POST', '/api/v1/namespaces/default/configmaps', object(0))
  const first = Number(
    (JSON.parse((await api.call('GET', PATH)).body) as { metadata: { resourceVersion: string } }).metadata.resourceVersion
  )
  const session = await openSession(api)
  const count = (stream: ClientHttp2Stream): { lines: number } => {
    const seen = { lines: 0 }
    stream.on('data', (chunk: Buffer) => {
      for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) seen.lines += 1
    })
    return seen
  }
  const watching = async (): Promise<{ lines: number }> => count(await openStream(session, `${WATCH}&resourceVersion=${first}`))
  const readers = await Promise.all(Array.from({ length: READ }, watching))
  const unread = await openSession(api)
  const open = async (): Promise<void> => {
    const stream = await openStream(unread, `${WATCH}&resourceVersion=${first}`)
    stream.removeAllListeners('error')
    stream.on('error', () => {})
    // Cut off for not reading, it comes back and does not read again.
    stream.on('close', () => void open().catch(() => {}))
  }
  for (let n = 0; n < UNREAD; n++) await open()
  const began = performance.now()
  const before = rssOf(api)
  let peak = before
  const times: number[] = []
  for (let n = 1; n <= UPDATES; n++) {
    const from = performance.now()
    const { status, body } = await api.call('PUT', PATH, object(n))
    if (status !== 200) throw new Error(body.slice(0, 500))
    times.push(performance.now() - from)
    peak = Math.max(peak, rssOf(api))
    if (n % Math.ceil(UPDATES / 10) === 0)
      console.log(
        `${n} updates: resident ${rssOf(api).toFixed(0)} MiB (at most ${peak.toFixed(0)}), ${Math.round((n * 1000) / (performance.now() - began))}/s, ${latencies(times.splice(0))}`
      )
  }
  const late = await watching()
  const done = performance.now()
  while (readers.some(({ lines }) => lines < UPDATES) && performance.now() - done < 600_000) await wait(100)
  const caughtUp = (performance.now() - done) / 1000
  peak = Math.max(peak, rssOf(api))
  console.log(`from ${before.toFixed(0)} MiB to at most ${peak.toFixed(0)}, ${rssOf(api).toFixed(0)} at the end`)
  console.log(
    `lines read: ${readers.map(({ lines }) => lines).join(', ')} of ${UPDATES} by those who watched, the last one ${caughtUp.toFixed(0)} s after the last write; ${late.lines} in that time by one who came after all of it`
  )
} finally {
  await api.stop()
}
process.exit(0)
