/**
 * Claim: an API server's view is ready in under 2 seconds, whether a million or five million events lie behind its 20,000
 * objects, and whatever was deleted before; and what it holds does not grow with them. `--events 1000000,5000000 --objects 20000 --whole`
 * (replays as well); `--names 500000` (so many pods come and go besides, and it is measured without a keyframe and with one).
 */
import { builtIns } from '#test/support/builtIns.ts'
import { spawnSync } from 'node:child_process'
import { loadavg } from 'node:os'
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
import { KeyframeStore } from '#services/historian/KeyframeStore.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { ObjectStoreKeyframes } from '#services/platform/jetstream/ObjectStoreKeyframes.ts'
import { FileLedger } from '#services/platform/ledger/FileLedger.ts'
import { MemoryLedger } from '#services/platform/ledger/Ledger.ts'
import { Integrity, MARK_EVERY } from '#services/platform/ledger/Integrity.ts'
import { sha256 } from '#services/platform/ledger/Seal.ts'
import { encodeKeyframe } from '#services/platform/past/Keyframe.ts'
import { View } from '#services/platform/View.ts'
import { startNats } from '#test/support/nats.ts'
import { machine } from './support.ts'

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '100000,1000000' },
    objects: { type: 'string', default: '20000' },
    whole: { type: 'boolean', default: false },
    names: { type: 'string', default: '0' },
    keyframe: { type: 'boolean', default: false },
    measure: { type: 'string' }
  }
})
const OBJECTS = Number(values.objects)
const BATCH = 500

const podEvent = (n: number, expected: number, name = `pod-${n % OBJECTS}`, deleted = false): NewEvent => {
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
    deleted,
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
const measure = async (home: string, whole: boolean, resumes: boolean): Promise<void> => {
  const config = await loadOrCreateConfig(home, () => {})
  const connection = await connect(natsOptions(home, config, 'apiserver'))
  const log = new JetStreamLog(connection, 'EVENTS')
  // Who remembers nothing has to read it all.
  const ledger = whole ? new MemoryLedger('EVENTS', (await log.state()).identity ?? '') : new FileLedger(ledgerFolder(home), 'EVENTS')
  const seal = loadSeal(home)
  const onRefused = (sequence: number, why: string): void => console.log(`  ${sequence}: ${why}`)
  const keyframes = new KeyframeStore({
    stream: 'EVENTS',
    keyframes: new ObjectStoreKeyframes(connection),
    seal,
    clock: systemClock,
    onRefused
  })
  global.gc?.()
  const before = process.memoryUsage().rss
  const began = performance.now()
  const view = new View('EVENTS', log, systemClock, {
    api: builtIns,
    integrity: new Integrity({ seal, ledger, whole: true, expires: false }),
    ...(resumes
      ? { keyframe: (state, upTo) => keyframes.newest(state, 1, upTo), onUnused: (error) => console.log(`  ${String(error)}`) }
      : {})
  })
  await view.start()
  const ms = performance.now() - began
  const peak = process.resourceUsage().maxRSS / 1024
  global.gc?.()
  const { rss, heapUsed } = process.memoryUsage()
  const pods = view.objects.collection({ group: '', resource: 'pods' }).size
  console.log(
    `  ${whole ? 'every event' : resumes ? 'keyframe   ' : 'newest     '}: ready in ${ms.toFixed(0)} ms, ${pods} objects; ${(heapUsed / 2 ** 20).toFixed(0)} MiB of heap, resident +${((rss - before) / 2 ** 20).toFixed(0)} MiB, at most ${peak.toFixed(0)} MiB in all`
  )
  process.exit(0)
}

if (values.measure !== undefined) await measure(values.measure, values.whole, values.keyframe)

const measured = (home: string, hows: readonly (readonly string[])[]): void => {
  for (const how of hows)
    spawnSync(process.execPath, ['--expose-gc', import.meta.filename, '--measure', home, ...how], {
      stdio: 'inherit',
      env: { ...process.env, RECKON_HOME: home }
    })
}

const nats = await startNats()
console.log(`machine: ${machine()}; load ${loadavg()[0]?.toFixed(1)}`)
try {
  writeSecret(`${nats.home}/config.json`, JSON.stringify(nats.config))
  const seal = loadSeal(nats.home)
  const connection = await nats.as('apiserver')
  const log = new JetStreamLog(connection, 'EVENTS')
  const ledger = new FileLedger(ledgerFolder(nats.home), 'EVENTS')
  const chain = new Chain(sha256)
  const heads = new Map<string, number>()
  let last = 0
  const write = async (events: readonly NewEvent[]): Promise<void> => {
    const appends = events.map((event) =>
      seal.seal('EVENTS', { subject: subjectOf('EVENTS', event.key), ...encodeEvent(event), expected: event.expected }, undefined)
    )
    const result = await log.append(appends)
    if (!result.ok) throw new Error('the bench lost a race with itself')
    for (const [at, append] of appends.entries()) {
      heads.set((events[at] as NewEvent).key.name, result.first + at)
      chain.extend(result.first + at, seal.digest('EVENTS', append))
      if ((result.first + at) % MARK_EVERY === 0) ledger.mark({ sequence: result.first + at, hash: chain.head })
    }
    last = result.last
    ledger.remember({ sequence: last, hash: chain.head })
  }
  const update = (n: number): NewEvent => podEvent(n, heads.get(`pod-${n % OBJECTS}`) ?? 0)
  let written = 0
  for (const events of values.events.split(',').map(Number)) {
    const began = performance.now()
    for (; written < events; written += BATCH) await write(Array.from({ length: BATCH }, (_, at) => update(written + at)))
    const { bytes } = await log.state()
    console.log(
      `${events} events of ${OBJECTS} objects (${(bytes / 2 ** 30).toFixed(1)} GiB before compression), written in ${((performance.now() - began) / 1000).toFixed(0)} s`
    )
    measured(nats.home, values.whole ? [[], ['--whole']] : [[]])
  }
  const names = Number(values.names)
  const half = BATCH / 2
  for (let n = 0; n < names; n += half) {
    // What comes with one batch goes with the next; and what stays changes now and then.
    const coming = Array.from({ length: half }, (_, at) => podEvent(n + at, 0, `gone-${n + at}`))
    const going = n === 0 ? [] : Array.from({ length: half }, (_, at) => n - half + at)
    await write([...coming, ...going.map((at) => podEvent(at, heads.get(`gone-${at}`) as number, `gone-${at}`, true)), update(n / half)])
    for (const at of going) heads.delete(`gone-${at}`)
    // As a historian would have: not of the very end, and some tens of thousands of events before it.
    if (n !== Math.floor((names * 0.95) / half) * half) continue
    const { identity = '', epoch } = await log.state()
    const standing = [...heads].map(([name, version]) => {
      const { namespace } = podEvent(Number(name.split('-')[1]), 0).key
      return { collection: '/pods', id: `${namespace}/${name}`, version }
    })
    const place = { stream: 'EVENTS', identity, epoch, quarantined: [], sequence: last, hash: chain.head, time: Date.now() }
    await new ObjectStoreKeyframes(connection).put('EVENTS', last, await encodeKeyframe({ ...place, standing }, seal))
  }
  if (names > 0) {
    console.log(`${last} events, ${names} names come and gone since; load ${loadavg()[0]?.toFixed(1)}`)
    measured(nats.home, [[], ['--keyframe'], [], ['--keyframe']])
  }
  ledger.close()
} finally {
  await nats.stop()
}
process.exit(0)
