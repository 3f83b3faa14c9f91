/** Claim: 150,000 pods are listed and watched by slow readers in bounded memory, and others are answered meanwhile. */
import { performance } from 'node:perf_hooks'
import { setTimeout as wait } from 'node:timers/promises'
import { createMany, openSession, openStream, peakRss, probing, readSlowly, rssOf } from './clients.ts'
import { machine, startApi } from './support.ts'

const PODS = Number(process.argv[2] ?? 150_000)
const SLOW = 20
const BYTES_PER_SECOND = 1_000_000
const SECONDS = 40
const PODS_PATH = '/api/v1/pods'
const WATCH_LIST = `${PODS_PATH}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`

const pod = (n: number): unknown => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: `web-${n}`, labels: { app: `app-${n % 100}`, tier: 'web' } },
  spec: {
    containers: [
      {
        name: 'web',
        image: 'reckon/demo:1',
        resources: { requests: { cpu: '10m', memory: '8Mi' } },
        ports: [{ containerPort: 8080 }],
        env: [{ name: 'A', value: 'b' }]
      }
    ]
  }
})

const api = await startApi()
console.log(`machine: ${machine()}`)
try {
  const empty = rssOf(api)
  await api.call('POST', '/api/v1/namespaces/default/serviceaccounts', {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'default' }
  })
  await api.call('POST', '/api/v1/namespaces/default/configmaps', {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'small' },
    data: { key: 'value' }
  })
  const began = performance.now()
  await createMany(api, '/api/v1/namespaces/default/pods', PODS, pod)
  console.log(
    `${PODS} pods made in ${((performance.now() - began) / 1000).toFixed(0)} s; resident ${empty.toFixed(0)} → ${rssOf(api).toFixed(0)} MiB`
  )
  const small = '/api/v1/namespaces/default/configmaps/small'
  const session = await openSession(api)
  const round = async (what: string, run: () => Promise<string>): Promise<void> => {
    await wait(2_000)
    const before = rssOf(api)
    const { result, peak } = await peakRss(api, probing(api, small, run()))
    console.log(`${what}: ${result.result}; +${(peak - before).toFixed(0)} MiB at most; ${result.text}`)
  }
  const whole = async (path: string, headers: Record<string, string> = {}): Promise<string> => {
    const from = performance.now()
    let size = 0
    for await (const chunk of (await openStream(session, path, headers)) as AsyncIterable<Buffer>) size += chunk.length
    return `${(size / 1e6).toFixed(0)} MB in ${((performance.now() - from) / 1000).toFixed(1)} s`
  }
  await round('one quick reader', () => whole(PODS_PATH))
  await round('one quick reader, gzip', () => whole(PODS_PATH, { 'accept-encoding': 'gzip' }))
  await round('one quick reader, table', () => whole(PODS_PATH, { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' }))
  await round('one in a hundred by label', () => whole(`${PODS_PATH}?labelSelector=app%3Dapp-7`))
  await round('in pages of 500, while pods change', async () => {
    const from = performance.now()
    let next = ''
    let pages = 0
    do {
      await api.call('POST', '/api/v1/namespaces/default/pods', pod(8 * PODS + pages))
      const { body } = await api.call('GET', `${PODS_PATH}?limit=500${next === '' ? '' : `&continue=${next}`}`)
      next = (JSON.parse(body) as { metadata: { continue?: string } }).metadata.continue ?? ''
      pages += 1
    } while (next !== '')
    return `${pages} pages in ${((performance.now() - from) / 1000).toFixed(1)} s`
  })
  await round(`${SLOW} lists at ${BYTES_PER_SECOND / 1e6} MB/s each for ${SECONDS} s, while pods change`, async () => {
    const churn = new AbortController()
    const changing = (async () => {
      for (let n = 0; !churn.signal.aborted; n++) await api.call('POST', '/api/v1/namespaces/default/pods', pod(2 * PODS + n))
    })()
    const sizes = await Promise.all(
      Array.from({ length: SLOW }, async () => readSlowly(await openStream(await openSession(api), PODS_PATH), BYTES_PER_SECOND, SECONDS))
    )
    churn.abort()
    await changing
    return `${(sizes.reduce((sum, size) => sum + size, 0) / 1e6).toFixed(0)} MB read`
  })
  await round(`${SLOW} WatchLists at ${BYTES_PER_SECOND / 1e6} MB/s each for ${SECONDS} s, while pods change`, async () => {
    const churn = new AbortController()
    const changing = (async () => {
      for (let n = 0; !churn.signal.aborted; n++) await api.call('POST', '/api/v1/namespaces/default/pods', pod(4 * PODS + n))
    })()
    const sizes = await Promise.all(
      Array.from({ length: SLOW }, async () => readSlowly(await openStream(await openSession(api), WATCH_LIST), BYTES_PER_SECOND, SECONDS))
    )
    churn.abort()
    await changing
    return `${(sizes.reduce((sum, size) => sum + size, 0) / 1e6).toFixed(0)} MB read`
  })
} finally {
  await api.stop()
}
process.exit(0)
