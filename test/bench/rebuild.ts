/** Claim: 100,000 events of a real stream are folded in under 2 seconds when a process starts. */
import { performance } from 'node:perf_hooks'
import { encodeEvent, type NewEvent } from '#events/Event.ts'
import { builtIns } from '#test/support/builtIns.ts'
import { subjectOf } from '#events/Subject.ts'
import { History } from '#projections/History.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { View, Views } from '#services/platform/View.ts'
import { startNats } from '../support/nats.ts'
import { machine } from './support.ts'

const EVENTS = 100_000
const OBJECTS = 20_000

const podEvent = (n: number, expected: number): NewEvent => {
  const name = `pod-${n % OBJECTS}`
  return {
    stream: 'EVENTS',
    key: { group: '', resource: 'pods', namespace: 'default', name },
    id: `id-${n}`,
    type: 'reckon.pod.updated.v1',
    source: 'bench',
    time: '2026-01-01T00:00:00.000Z',
    user: 'bench',
    correlationId: 'bench',
    verb: 'update',
    deleted: false,
    expected,
    object: {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'default', uid: `uid-${n % OBJECTS}`, creationTimestamp: '2026-01-01T00:00:00Z', labels: { app: `app-${n % 100}`, round: String(Math.floor(n / OBJECTS)) } },
      spec: { nodeName: `node-${n % 50}`, containers: [{ name: 'web', image: 'reckon/demo:1', resources: { requests: { cpu: '10m', memory: '8Mi' } }, ports: [{ containerPort: 8080, protocol: 'TCP' }] }] },
      status: { phase: 'Running', podIP: '10.244.0.7', conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z' }], containerStatuses: [{ name: 'web', ready: true, restartCount: n % 7, image: 'reckon/demo:1', state: { running: { startedAt: '2026-01-01T00:00:00Z' } } }] }
    }
  }
}

const nats = await startNats()
console.log(`machine: ${machine()}`)
try {
  const log = new JetStreamLog(await nats.as('apiserver'), 'EVENTS')
  const heads = new Map<string, number>()
  for (let n = 0; n < EVENTS; n += 500) {
    const events = Array.from({ length: 500 }, (_, at) => podEvent(n + at, heads.get(`pod-${(n + at) % OBJECTS}`) ?? 0))
    const result = await log.append(events.map((event) => ({ subject: subjectOf('EVENTS', event.key), ...encodeEvent(event), expected: event.expected })))
    if (!result.ok) throw new Error('the bench lost a race with itself')
    for (const [at, event] of events.entries()) heads.set(event.key.name, result.first + at)
  }
  for (const [what, withHistory] of [
    ['objects and window', false],
    ['objects, window and history', true]
  ] as const) {
    const view = new View('EVENTS', new JetStreamLog(await nats.as('apiserver'), 'EVENTS'), systemClock, { api: builtIns })
    if (withHistory) view.alsoFold(new History('EVENTS'))
    const views = new Views([view], builtIns)
    const before = process.memoryUsage().rss
    const began = performance.now()
    await view.start()
    const ms = performance.now() - began
    const pods = views.collection({ group: '', resource: 'pods' }).size
    console.log(`${what}: ${EVENTS} events of ${OBJECTS} objects folded in ${ms.toFixed(0)} ms (${Math.round(EVENTS / ms)} k events/s), ${pods} objects, +${((process.memoryUsage().rss - before) / 2 ** 20).toFixed(0)} MiB`)
    view.close()
  }
} finally {
  await nats.stop()
}
process.exit(0)
