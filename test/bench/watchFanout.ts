/**
 * Claim: an event reaches a thousand watchers within some ten milliseconds. The watchers are another process's: over HTTP/2
 * as client-go has them (250 to a connection), or each with an HTTP/1.1 connection of its own.
 *
 * Beside kube-apiserver, and with client-go: `withApi.ts <program> …` runs any client against a control plane of its own
 * (KUBECONFIG is set); the same program against kube-apiserver with etcd, in the same minute, is the other half.
 */
import { fork } from 'node:child_process'
import { performance } from 'node:perf_hooks'
import { setTimeout as wait } from 'node:timers/promises'
import { openSession, openStream, openUnread } from './clients.ts'
import { latencies, machine, startApi, usageOf, type Api } from './support.ts'

const LOADS = [
  { watchers: 1_000, rate: 50, writes: 500 },
  { watchers: 200, rate: 100, writes: 1_000 }
]
const PATH = '/api/v1/namespaces/default/configmaps'
const PER_CONNECTION = 250

interface Order {
  readonly api: Pick<Api, 'home' | 'config'>
  readonly watchers: number
  readonly http2: boolean
  readonly from: string
}

/** The other process: watches, and takes the time when a line is there. */
const watchHere = async ({ api, watchers, http2, from }: Order): Promise<void> => {
  const delays: number[] = []
  const onChunk = (chunk: Buffer): void => {
    const now = Date.now()
    // Latin-1 is enough for numbers, and a line that is cut in two is counted with its second half.
    for (const [, at] of chunk.toString('latin1').matchAll(/"sent":"(\d+)"/g)) delays.push(now - Number(at))
  }
  const path = `${PATH}?watch=true&resourceVersion=${from}`
  for (let n = 0; n < watchers;) {
    if (http2) {
      const session = await openSession(api as Api)
      for (let at = 0; at < PER_CONNECTION && n < watchers; at++, n++) (await openStream(session, path)).on('data', onChunk)
    } else {
      const socket = await openUnread(api as Api, path)
      socket.on('data', onChunk)
      socket.resume()
      n += 1
    }
  }
  process.on('message', () => {
    process.send?.(delays, () => process.exit(0))
  })
  process.send?.('ready')
}

const run = async (api: Api, { watchers, rate, writes }: (typeof LOADS)[number], http2: boolean): Promise<void> => {
  const { body } = await api.call('GET', `${PATH}?limit=1`)
  const from = (JSON.parse(body) as { metadata: { resourceVersion: string } }).metadata.resourceVersion
  const child = fork(import.meta.filename, [
    JSON.stringify({ api: { home: api.home, config: api.config }, watchers, http2, from } satisfies Order)
  ])
  await new Promise((resolve) => child.once('message', resolve))
  await wait(1_000)
  const before = usageOf(api.process.pid as number).cpuMs
  const asked: Promise<unknown>[] = []
  const began = performance.now()
  for (let n = 0; n < writes; n++) {
    asked.push(
      api.call('POST', PATH, {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { generateName: 'c-' },
        data: { sent: String(Date.now()), page: 'hello world, this is a small config map' }
      })
    )
    await wait(Math.max(0, ((n + 1) * 1000) / rate - (performance.now() - began)))
  }
  await Promise.all(asked)
  const seconds = (performance.now() - began) / 1000
  await wait(2_000)
  const cpu = usageOf(api.process.pid as number).cpuMs - before
  const delays = await new Promise<number[]>((resolve) => {
    child.once('message', (told) => resolve(told as number[]))
    child.send('stop')
  })
  console.log(
    `${String(watchers).padStart(4)} watchers over ${http2 ? 'HTTP/2  ' : 'HTTP/1.1'}, ${(writes / seconds).toFixed(0)} writes/s: ${delays.length} of ${watchers * writes} lines, ${latencies(delays)} from before the write; ` +
      `${((cpu * 1000) / Math.max(1, delays.length)).toFixed(1)} µs of the server per line`
  )
}

const order = process.argv[2]
if (order !== undefined && process.send !== undefined) await watchHere(JSON.parse(order) as Order)
else {
  const api = await startApi(['apiserver', 'scheduler', 'controller-manager'])
  console.log(`machine: ${machine()}`)
  try {
    for (const http2 of [true, false]) for (const load of LOADS) await run(api, load, http2)
  } finally {
    await api.stop()
  }
  process.exit(0)
}
