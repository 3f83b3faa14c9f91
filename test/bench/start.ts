/**
 * Claim: an API server's view is ready in under 2 seconds, whether a million or five million events lie behind its 20,000
 * objects; and what it holds does not grow with them. `--events 1000000,5000000 --objects 20000 --whole` (replays as well).
 */
import { builtIns } from '#test/support/builtIns.ts'
import { spawnSync } from 'node:child_process'
import { performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { connect } from '@nats-io/transport-node'
import { encodeEvent, type NewEvent } from '#events/Event.ts'
import { subjectOf } from '#events/Subject.ts'
import { loadSeal } from '#ops/log/keys.ts'
import { loadOrCreateConfig, writeSecret } from '#ops/home.ts'
import { natsOptions } from '#ops/nats/connect.ts'
import { ledgerFolder } from '#ops/nats/streams.ts'
import { Chain } from '#projections/Chain.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { FileLedger } from '#services/platform/ledger/FileLedger.ts'
import { MemoryLedger } from '#services/platform/ledger/Ledger.ts'
import { Integrity, MARK_EVERY } from '#services/platform/ledger/Integrity.ts'
import { sha256 } from '#services/platform/ledger/Seal.ts'
import { View } from '#services/platform/View.ts'
import { startNats } from '#test/support/nats.ts'
import { machine } from './support.ts'

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '100000,1000000' },
    objects: { type: 'string', default: '20000' },
    whole: { type: 'boolean', default: false },
    measure: { type: 'string' }
  }
})
const OBJECTS = Number(values.objects)
const BATCH = 500

const podEvent = (n: number, expected: number): NewEvent => {
  const name = `pod-${n % OBJECTS}`
  return {
    stream: 'EVENTS',
    key: { group: '', resource: 'pods', namespace: `team-${(n % OBJECTS) % 100}`, name },
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
      metadata: {
        name,
        namespace: `team-${(n % OBJECTS) % 100}`,
        uid: `uid-${n % OBJECTS}`,
        creationTimestamp: '2026-01-01T00:00:00Z',
        labels: {
          app: `app-${n % 100}`,
          'pod-template-hash': `hash-${(n % OBJECTS) % 2_000}`,
          round: String(Math.floor(n / OBJECTS) % 10)
        },
        ownerReferences: [
          {
            apiVersion: 'apps/v1',
            kind: 'ReplicaSet',
            name: `rs-${(n % OBJECTS) % 2_000}`,
            uid: `rs-uid-${(n % OBJECTS) % 2_000}`,
            controller: true
          }
        ]
      },
      spec: {
        nodeName: `node-${(n % OBJECTS) % 500}`,
        containers: [
          {
            name: 'web',
            image: 'reckon/demo:1',
            resources: { requests: { cpu: '10m', memory: '8Mi' } },
            ports: [{ containerPort: 8080, protocol: 'TCP' }]
          }
        ]
      },
      status: {
        phase: 'Running',
        podIP: '10.244.0.7',
        conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z' }],
        containerStatuses: [
          {
            name: 'web',
            ready: true,
            restartCount: n % 7,
            image: 'reckon/demo:1',
            state: { running: { startedAt: '2026-01-01T00:00:00Z' } }
          }
        ]
      }
    }
  }
}

/** In a process of its own: starts one view on the cluster in `home`, and says what that took. */
const measure = async (home: string, whole: boolean): Promise<void> => {
  const config = await loadOrCreateConfig(home, () => {})
  const connection = await connect(natsOptions(home, config, 'apiserver'))
  const log = new JetStreamLog(connection, 'EVENTS')
  // Who remembers nothing has to read it all.
  const ledger = whole ? new MemoryLedger('EVENTS', (await log.state()).identity ?? '') : new FileLedger(ledgerFolder(home), 'EVENTS')
  global.gc?.()
  const before = process.memoryUsage().rss
  const began = performance.now()
  const view = new View('EVENTS', log, systemClock, {
    api: builtIns,
    integrity: new Integrity({ seal: loadSeal(home), ledger, whole: true, expires: false })
  })
  await view.start()
  const ms = performance.now() - began
  const peak = process.resourceUsage().maxRSS / 1024
  global.gc?.()
  const { rss, heapUsed } = process.memoryUsage()
  const pods = view.objects.collection({ group: '', resource: 'pods' }).size
  console.log(
    `  ${whole ? 'every event' : 'newest    '}: ready in ${ms.toFixed(0)} ms, ${pods} objects; ${(heapUsed / 2 ** 20).toFixed(0)} MiB of heap, resident +${((rss - before) / 2 ** 20).toFixed(0)} MiB, at most ${peak.toFixed(0)} MiB in all`
  )
  process.exit(0)
}

if (values.measure !== undefined) await measure(values.measure, values.whole)

const nats = await startNats()
console.log(`machine: ${machine()}`)
try {
  writeSecret(`${nats.home}/config.json`, JSON.stringify(nats.config))
  const seal = loadSeal(nats.home)
  const log = new JetStreamLog(await nats.as('apiserver'), 'EVENTS')
  const ledger = new FileLedger(ledgerFolder(nats.home), 'EVENTS')
  const chain = new Chain(sha256)
  const heads = new Float64Array(OBJECTS)
  let written = 0
  for (const events of values.events.split(',').map(Number)) {
    const began = performance.now()
    for (; written < events; written += BATCH) {
      const appends = Array.from({ length: BATCH }, (_, at) => {
        const event = podEvent(written + at, heads[(written + at) % OBJECTS] as number)
        return seal.seal('EVENTS', { subject: subjectOf('EVENTS', event.key), ...encodeEvent(event), expected: event.expected }, undefined)
      })
      const result = await log.append(appends)
      if (!result.ok) throw new Error('the bench lost a race with itself')
      for (const [at, append] of appends.entries()) {
        heads[(written + at) % OBJECTS] = result.first + at
        chain.extend(result.first + at, seal.digest('EVENTS', append))
        if ((result.first + at) % MARK_EVERY === 0) ledger.mark({ sequence: result.first + at, hash: chain.head })
      }
      ledger.remember({ sequence: result.last, hash: chain.head })
    }
    const { bytes } = await log.state()
    console.log(
      `${events} events of ${OBJECTS} objects (${(bytes / 2 ** 30).toFixed(1)} GiB before compression), written in ${((performance.now() - began) / 1000).toFixed(0)} s`
    )
    for (const how of values.whole ? [[], ['--whole']] : [[]])
      spawnSync(process.execPath, ['--expose-gc', import.meta.filename, '--measure', nats.home, ...how], {
        stdio: 'inherit',
        env: { ...process.env, RECKON_HOME: nats.home }
      })
  }
  ledger.close()
} finally {
  await nats.stop()
}
process.exit(0)
