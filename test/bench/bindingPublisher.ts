/**
 * Claim: a write costs what it changes. ConfigMaps are created, changed and deleted in a namespace without pods, and in
 * one with 3,000 (or as many as asked) that run and refer to other ConfigMaps; then the pods go. `--all`: with the controllers.
 */
import { performance } from 'node:perf_hooks'
import { machine, startApi, usageOf } from './support.ts'

const PODS = Number(process.argv.find((argument) => /^\d+$/.test(argument)) ?? 3_000)
const COUNT = 3_000
const CLIENTS = 64

const api = await startApi(process.argv.includes('--all') ? ['apiserver', 'controller-manager', 'scheduler'] : ['apiserver'])
const must = async (method: string, path: string, body?: unknown): Promise<void> => {
  const answer = await api.call(method, path, body)
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.body.slice(0, 300)}`)
}
const parallel = async (count: number, work: (n: number) => Promise<void>): Promise<void> => {
  let next = 0
  await Promise.all(
    Array.from({ length: CLIENTS }, async () => {
      while (next < count) await work(next++)
    })
  )
}
const measure = async (what: string, work: (n: number) => Promise<void>, count = COUNT): Promise<string> => {
  const [began, used] = [performance.now(), usageOf(api.process.pid as number).cpuMs]
  await parallel(count, work)
  const seconds = (performance.now() - began) / 1000
  // The process is done when it rests again: what a write sets off counts as well.
  for (
    let before = -1, now = usageOf(api.process.pid as number).cpuMs;
    now - before > 20;
    before = now, now = usageOf(api.process.pid as number).cpuMs
  )
    await new Promise((resolve) => setTimeout(resolve, 500))
  const cpu = (usageOf(api.process.pid as number).cpuMs - used) / count
  return `${what} ${Math.round(count / seconds)}/s (${cpu.toFixed(2)} ms of CPU each)`
}
const configMaps = async (namespace: string): Promise<string> => {
  const path = `/api/v1/namespaces/${namespace}/configmaps`
  const object = (n: number, value: string): object => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: `c${n}` },
    data: { key: value.repeat(40) }
  })
  return [
    await measure('creates', (n) => must('POST', path, object(n, 'value'))),
    await measure('updates', (n) => must('PUT', `${path}/c${n}`, object(n, 'other'))),
    await measure('deletes', (n) => must('DELETE', `${path}/c${n}`))
  ].join(', ')
}

console.log(`machine: ${machine()}`)
try {
  for (const name of ['quiet', 'busy']) {
    await must('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
    await api.call('POST', `/api/v1/namespaces/${name}/serviceaccounts`, {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 'default' }
    })
  }
  await must('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: 'bench' } })
  await must('POST', '/api/v1/namespaces/busy/configmaps', {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'shared' },
    data: { a: 'b' }
  })
  console.log(`a namespace without pods: ${await configMaps('quiet')}`)
  const began = performance.now()
  await parallel(PODS, (n) =>
    must('POST', '/api/v1/namespaces/busy/pods', {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `p${n}`, labels: { app: 'bench' } },
      spec: {
        nodeName: 'bench',
        containers: [
          {
            name: 'web',
            image: 'web:1',
            env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: `own-${n % 100}`, key: 'a', optional: true } } }],
            volumeMounts: [{ name: 'shared', mountPath: '/shared' }]
          }
        ],
        volumes: [{ name: 'shared', configMap: { name: 'shared' } }]
      }
    })
  )
  console.log(`${PODS} pods bound in ${((performance.now() - began) / 1000).toFixed(1)} s`)
  await new Promise((resolve) => setTimeout(resolve, 10_000))
  console.log(`a namespace with ${PODS} pods: ${await configMaps('busy')}`)
  const status = (n: number): Promise<void> =>
    must('PATCH', `/api/v1/namespaces/busy/pods/p${n}/status`, { status: { phase: 'Running', message: String(n) } })
  console.log(await measure('pods report', status, PODS))
  console.log(
    await measure('pods are deleted', (n) => must('DELETE', `/api/v1/namespaces/busy/pods/p${n}`, { gracePeriodSeconds: 0 }), PODS)
  )
} finally {
  await api.stop()
}
process.exit(0)
