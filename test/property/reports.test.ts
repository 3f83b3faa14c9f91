/** Reports under everything at once: two API servers that die and come back, late and lost acknowledgements, a log that is away. */
import { at } from '#test/support/kinds.ts'
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { noticeReportSubject, podReportSubject } from '#events/node/messages.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import type { LogEntry } from '#events/Log.ts'
import { AppendUncertain } from '#events/Log.ts'
import { builtIns } from '#test/support/builtIns.ts'
import { bootstrap } from '#services/apiserver/bootstrap.ts'
import { ApiDecider } from '#services/apiserver/Decider.ts'
import { ReportIngest } from '#services/apiserver/nodes/ReportIngest.ts'
import { MemoryLog } from '#services/platform/MemoryLog.ts'
import { MemoryWorkQueue } from '#services/platform/MemoryWorkQueue.ts'
import { View } from '#services/platform/View.ts'
import { Views } from '#services/platform/Views.ts'
import { VirtualClock } from '#test/simulation/VirtualClock.ts'
import { accepted, ADMIN } from '#test/support/api.ts'

const PODS = { group: '', resource: 'pods' }
const NAMES = ['a', 'b', 'c']
const SETTINGS = { serviceCIDR: '10.96.0.0/16', nodePorts: [30000, 32767] as const }

/** The log, away for a while: appends reach it or do not, and nobody hears. */
class Unsteady extends MemoryLog {
  away = false
  override append(appends: Parameters<MemoryLog['append']>[0]): ReturnType<MemoryLog['append']> {
    return this.away ? Promise.reject(new AppendUncertain('away')) : super.append(appends)
  }
}

const cluster = async (seed: number) => {
  const clock = new VirtualClock(seed)
  const faults = { append: () => 1 + clock.random() * 5, deliver: () => 1 + clock.random() * 60, lose: () => clock.random() < 0.03 }
  const logs = {
    EVENTS: new Unsteady('EVENTS', clock, { faults }),
    NOTICES: new Unsteady('NOTICES', clock, { faults }),
    PULSE: new MemoryLog('PULSE', clock)
  }
  const queue = new MemoryWorkQueue(clock, { deliver: () => clock.random() * 30 })
  const errors: string[] = []
  const begin = async () => {
    let alive = true
    const list = (['EVENTS', 'NOTICES', 'PULSE'] as const).map(
      (stream) =>
        new View(
          stream,
          logs[stream].reachedBy(() => !alive),
          clock,
          { api: builtIns }
        )
    )
    const starting = Promise.all(list.map((view) => view.start()))
    await clock.run(5_000)
    await starting
    const views = new Views(list, builtIns)
    const decider = new ApiDecider({ views, clock, settings: SETTINGS })
    const ingest = new ReportIngest({
      views,
      decider,
      reports: queue.reachedBy(() => !alive),
      clock,
      onError: (error) => errors.push((error as Error).message)
    })
    ingest.start()
    return {
      views,
      decider,
      die: () => {
        alive = false
        void ingest.stop()
        for (const view of list) view.close()
      }
    }
  }
  return { clock, logs, queue, errors, begin }
}

const history = async (log: MemoryLog, subject: string): Promise<KubeObject[]> => {
  const found: LogEntry[] = []
  for (let sequence = 1; sequence <= (await log.lastSequence()); sequence++) {
    const entry = await log.get(sequence)
    if (entry?.subject === subject) found.push(entry)
  }
  return found.map(({ text }) => JSON.parse(text) as KubeObject)
}

const property = suite('reports, whatever happens')

property('no status goes back, the last one is there in the end, and every notice is counted once', () =>
  fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 2 ** 30 }), async (seed) => {
      const { clock, logs, queue, begin } = await cluster(seed)
      const settle = async <Value>(work: Promise<Value>): Promise<Value> => {
        let done = false
        void work.finally(() => (done = true))
        await clock.run(120_000, () => done)
        return work
      }
      const servers = [await begin(), await begin()]
      const [first] = servers as [Awaited<ReturnType<typeof begin>>]
      await settle(
        bootstrap({
          ...first,
          clock,
          apiAddress: '10.244.0.1',
          apiPort: 6443,
          serviceCIDR: '10.96.0.0/16',
          kubernetesIP: '10.96.0.1',
          dnsIP: '10.96.0.10',
          dnsAddress: '10.244.0.1',
          dnsPort: 10053
        })
      )
      const create = async (kind: string, name: string, more: object): Promise<KubeObject> =>
        accepted(
          await settle(
            first.decider.submit(
              {
                id: clock.uuid(),
                verb: 'create',
                ref: { group: '', resource: `${kind.toLowerCase()}s` },
                version: 'v1',
                namespace: 'default',
                name,
                source: 'test',
                object: { apiVersion: 'v1', kind, metadata: { name }, ...more }
              },
              ADMIN
            )
          )
        )
      await create('ServiceAccount', 'default', {})
      const uids = new Map<string, string>()
      for (const name of NAMES)
        uids.set(
          name,
          (await create('Pod', name, { spec: { nodeName: 'n1', containers: [{ name: 'web', image: 'web:1' }] } })).metadata.uid as string
        )

      const said = new Map(NAMES.map((name) => [name, 0]))
      let noticed = 0
      for (let step = 0; step < 80; step++) {
        const chance = clock.random()
        const name = NAMES[Math.floor(clock.random() * NAMES.length)] as string
        const uid = uids.get(name) as string
        if (chance < 0.6) {
          const count = (said.get(name) ?? 0) + 1
          said.set(name, count)
          queue.append(
            podReportSubject('n1', 'default', name),
            JSON.stringify({
              uid,
              status: { phase: 'Running', message: String(count) },
              cause: { eventId: 'e', ref: 'EVENTS:1', correlationId: 'c' }
            })
          )
        } else if (chance < 0.8) {
          noticed += 1
          const involvedObject = { kind: 'Pod', apiVersion: 'v1', namespace: 'default', name, uid }
          queue.append(
            noticeReportSubject('n1', 'default', name),
            JSON.stringify({ involvedObject, type: 'Normal', reason: 'BackOff', message: name, time: '2026-01-01T00:00:00.000Z' })
          )
        } else if (chance < 0.86) {
          const at = Math.floor(clock.random() * servers.length)
          servers[at]?.die()
          servers[at] = await begin()
        } else if (chance < 0.9) logs.EVENTS.away = !logs.EVENTS.away
        else if (chance < 0.94) logs.NOTICES.away = !logs.NOTICES.away
        await clock.run(clock.random() * 400)
      }
      logs.EVENTS.away = logs.NOTICES.away = false
      assert.ok(await clock.run(600_000, () => queue.left.length === 0), `${queue.left.length} reports are never done with`)
      for (const name of NAMES) {
        const seen = (await history(logs.EVENTS, `ev.core.pods.default.${name}`)).map((pod) => Number(at(pod, 'status.message') ?? 0))
        assert.equal(
          seen,
          seen.toSorted((a, b) => a - b),
          `the status of ${name} went back`
        )
        assert.is(seen.at(-1), said.get(name), `the last status of ${name}`)
      }
      await clock.run(1_000)
      const counted = servers[0]?.views
        .collection({ group: '', resource: 'events' })
        .list()
        .reduce((sum, { object }) => sum + (object['count'] as number), 0)
      assert.is(counted, noticed, `notices: ${counted} counted of ${noticed}`)
      assert.equal(servers[0]?.views.collection(PODS).size, NAMES.length)
    }),
    { numRuns: 150 }
  )
)
property.run()
