/** Claim: watches that begin tens of thousands of events ago are read from the log in bounded memory, and leave nothing behind. */
import { performance } from 'node:perf_hooks'
import { setTimeout as wait } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import { connectNats } from '#ops/nats/connect.ts'
import { createMany, openSession, openStream, peakRss, probing, rssOf } from './clients.ts'
import { machine, startApi } from './support.ts'

const EVENTS = Number(process.argv[2] ?? 40_000)
const WATCHES = 20
const PATH = '/api/v1/namespaces/default/configmaps'
const SMALL = '/api/v1/namespaces/kube-public/configmaps/small'

const api = await startApi()
console.log(`machine: ${machine()}`)
try {
  await api.call('POST', '/api/v1/namespaces/kube-public/configmaps', {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'small' },
    data: { key: 'value' }
  })
  await createMany(api, PATH, EVENTS, (n) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: `c-${n}` },
    data: { key: 'value'.repeat(100) }
  }))
  const nats = await connectNats(api.home, api.config, 'admin')
  const consumers = async (): Promise<number> =>
    (await (await jetstreamManager(nats, { checkAPI: false })).streams.info('EVENTS')).state.consumer_count
  await wait(3_000)
  const before = { rss: rssOf(api), consumers: await consumers() }
  const session = await openSession(api)
  const read = async (): Promise<{ lines: number; close(): void }> => {
    const stream = await openStream(session, `${PATH}?watch=true&resourceVersion=2`)
    const seen = { lines: 0, close: () => stream.close(8) }
    stream.removeAllListeners('error')
    stream.on('error', () => {})
    stream.on('data', (chunk: Buffer) => {
      for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) seen.lines += 1
    })
    return seen
  }
  const reading = async (): Promise<string> => {
    const began = performance.now()
    const watches = await Promise.all(Array.from({ length: WATCHES }, read))
    while (watches.some(({ lines }) => lines < EVENTS)) await wait(50)
    const ms = performance.now() - began
    for (const { close } of watches) close()
    return `all ${EVENTS} events each in ${(ms / 1000).toFixed(1)} s`
  }
  const { result, peak } = await peakRss(api, probing(api, SMALL, reading()))
  console.log(`${WATCHES} watches from resourceVersion 2: ${result.result}; +${(peak - before.rss).toFixed(0)} MiB at most; ${result.text}`)
  const unread = await peakRss(
    api,
    (async () => {
      const idle = await openSession(api)
      const streams = await Promise.all(
        Array.from({ length: 10 * WATCHES }, () => openStream(idle, `${PATH}?watch=true&resourceVersion=2`))
      )
      await wait(5_000)
      for (const stream of streams) stream.close(8)
    })()
  )
  console.log(`${10 * WATCHES} that do not read: +${(unread.peak - before.rss).toFixed(0)} MiB at most`)
  await wait(5_000)
  console.log(`closed: +${(rssOf(api) - before.rss).toFixed(0)} MiB, ${(await consumers()) - before.consumers} consumers left behind`)
  await nats.close()
} finally {
  await api.stop()
}
process.exit(0)
