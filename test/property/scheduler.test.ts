/**
 * Whatever is late, lost, refused or deleted between the scheduler and the API server: no node ever holds more than it
 * offers, no pod is bound twice, and in the end no pod waits that would fit.
 */
import { at, partAt, textAt } from '#test/support/kinds.ts'
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Intent, IntentResult } from '#events/Intent.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { conflict, notFound } from '#events/Refusal.ts'
import { requestsOf } from '#projections/Cluster.ts'
import { Objects, type Change } from '#projections/Objects.ts'
import type { Clock } from '#services/platform/Clock.ts'
import type { Views } from '#services/platform/Views.ts'
import { Scheduler } from '#services/scheduler/Scheduler.ts'
import { builtIns, kindOf } from '#test/support/builtIns.ts'
import { Model, node, pod } from '#test/support/model.ts'

const PODS = { group: '', resource: 'pods' }
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

class Rig {
  readonly model = new Model()
  readonly #seen = new Objects(builtIns)
  readonly #subscribers = new Set<(change: Change) => void>()
  readonly #decided = new Map<string, IntentResult>()
  readonly #bound = new Map<string, string>()
  #delivered = 0
  #timers: { at: number; task: () => void }[] = []
  pending: { intent: Intent; resolve: (result: IntentResult) => void; reject: (error: Error) => void }[] = []
  readonly errors: unknown[] = []
  readonly scheduler: Scheduler
  #random = 0.5
  #ids = 0

  constructor() {
    const clock: Clock = {
      now: () => this.model.now,
      after: (ms, task) => {
        const timer = { at: this.model.now + ms, task }
        this.#timers.push(timer)
        return { cancel: () => void (this.#timers = this.#timers.filter((other) => other !== timer)) }
      },
      random: () => (this.#random = (this.#random * 16_807.13) % 1),
      uuid: () => `intent-${++this.#ids}`
    }
    const view = {
      subscribe: (onChange: (change: Change) => void) => (
        this.#subscribers.add(onChange),
        { close: () => this.#subscribers.delete(onChange) }
      )
    }
    const views = {
      of: () => view,
      get: this.#seen.get.bind(this.#seen),
      collection: this.#seen.collection.bind(this.#seen)
    } as unknown as Views
    const submit = (intent: Intent): Promise<IntentResult> =>
      new Promise((resolve, reject) => void this.pending.push({ intent, resolve, reject }))
    this.scheduler = new Scheduler(views, { submit }, clock, (error) => this.errors.push(error))
  }
  deliver(count: number): void {
    for (; count > 0 && this.#delivered < this.model.changes.length; count--) {
      const { entry, type } = this.model.changes[this.#delivered++] as Change
      const change = this.#seen.apply({ ...entry.facts, deleted: type === 'DELETED' }, '', entry.object)
      if (change !== undefined) for (const subscriber of this.#subscribers) subscriber(change)
    }
  }
  decide(intent: Intent): IntentResult {
    const before = this.#decided.get(intent.id)
    if (before !== undefined) return before
    const result = this.#perform(intent)
    this.#decided.set(intent.id, result)
    return result
  }
  #perform(intent: Intent): IntentResult {
    const ok = (object: KubeObject): IntentResult => ({ ok: true, code: 201, object, sequence: this.model.objects.sequence })
    if (intent.subresource !== 'binding') return ok({ apiVersion: 'v1', kind: 'Event', metadata: {} })
    const kind = kindOf(PODS) as NonNullable<ReturnType<typeof kindOf>>
    const found = this.model.objects.get({ ...PODS, namespace: intent.namespace, name: intent.name })?.object
    if (found === undefined) return { ok: false, status: notFound(kind, intent.name).status }
    const uid = found.metadata.uid as string
    if (uid !== intent.object?.metadata.uid || found.metadata.deletionTimestamp !== undefined || at(found, 'spec.nodeName') !== undefined)
      return { ok: false, status: conflict(kind, intent.name, 'refused').status }
    assert.not(this.#bound.has(uid), `${intent.name} was bound twice`)
    this.#bound.set(uid, textAt(intent.object, 'target.name'))
    return ok(this.model.put({ ...found, spec: { ...partAt(found, 'spec'), nodeName: textAt(intent.object, 'target.name') } }))
  }
  /** `lost`: the answer; `dropped`: the question. */
  answer(at: number, how: 'ok' | 'lost' | 'dropped'): void {
    const [asked] = this.pending.splice(at % Math.max(1, this.pending.length), 1)
    if (asked === undefined) return
    const result = how === 'dropped' ? undefined : this.decide(asked.intent)
    if (how === 'ok' && result !== undefined) asked.resolve(result)
    else asked.reject(new Error('no answer'))
  }
  advance(ms: number): void {
    this.model.now += ms
    for (const timer of this.#timers.filter(({ at }) => at <= this.model.now)) {
      this.#timers = this.#timers.filter((other) => other !== timer)
      timer.task()
    }
  }
  /** What each node has left. */
  free(): Map<string, { cpu: number; pods: number }> {
    const free = new Map(
      this.model
        .list('Node')
        .map(({ metadata, status }) => [
          metadata.name as string,
          { cpu: Number(status?.allocatable?.['cpu']) * 1000, pods: Number(status?.allocatable?.['pods']) }
        ])
    )
    for (const object of this.model.list('Pod')) {
      const on = free.get(object['spec'].nodeName ?? '')
      if (on === undefined || at(object, 'status.phase') === 'Succeeded') continue
      on.cpu -= requestsOf(object)['cpu'] ?? 0
      on.pods -= 1
    }
    return free
  }
}

type Step =
  | { readonly do: 'pod'; readonly cpu: number }
  | { readonly do: 'node'; readonly cpu: number; readonly pods: number }
  | { readonly do: 'deliver'; readonly count: number }
  | { readonly do: 'answer'; readonly at: number; readonly how: 'ok' | 'lost' | 'dropped' }
  | { readonly do: 'advance'; readonly ms: number }
  | { readonly do: 'delete' | 'finish' | 'replace'; readonly at: number }

const small = fc.nat({ max: 20 })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('pod' as const), cpu: fc.integer({ min: 1, max: 12 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('node' as const), cpu: fc.integer({ min: 1, max: 3 }), pods: fc.integer({ min: 1, max: 6 }) })
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('deliver' as const), count: small }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('answer' as const),
      at: small,
      how: fc.constantFrom('ok' as const, 'ok' as const, 'lost' as const, 'dropped' as const)
    })
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.constantFrom(100, 1_000, 5_000) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('delete' as const, 'finish' as const, 'replace' as const), at: small }) }
)

const take = (rig: Rig, given: Step, n: number): void => {
  const { model } = rig
  const pods = model.list('Pod')
  switch (given.do) {
    case 'pod':
      model.put(pod(`pod-${n}`, {}, { cpu: `${given.cpu * 100}m` }))
      return
    case 'node':
      model.put(node(`node-${n}`, { cpu: String(given.cpu), pods: String(given.pods), memory: '64Gi' }))
      return
    case 'deliver':
      return rig.deliver(given.count)
    case 'answer':
      return rig.answer(given.at, given.how)
    case 'advance':
      return rig.advance(given.ms)
    default: {
      const chosen = pods[given.at % Math.max(1, pods.length)]
      if (chosen === undefined) return
      if (given.do === 'finish') {
        if (chosen['spec'].nodeName !== undefined) model.put({ ...chosen, status: { phase: 'Succeeded' } })
        return
      }
      model.gone(chosen)
      // Another pod under the same name.
      if (given.do === 'replace') model.put(pod(chosen.metadata.name as string, {}, { cpu: '300m' }))
    }
  }
}

const scheduler = suite('scheduler')
scheduler('never over-commits, never binds twice, leaves nothing that fits', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 80 }), async (steps) => {
      const rig = new Rig()
      rig.model.put(node('node-a', { cpu: '2', pods: '5', memory: '64Gi' }))
      rig.deliver(1)
      rig.scheduler.start()
      const check = (): void => {
        for (const [name, { cpu, pods }] of rig.free())
          assert.ok(cpu >= 0 && pods >= 0, `${name} is over-committed: ${cpu}m CPU and ${pods} pods left`)
      }
      for (const [n, given] of steps.entries()) {
        take(rig, given, n)
        await turn()
        check()
      }
      // No more faults: everything is delivered and answered.
      for (let quiet = 0, rounds = 0; quiet < 15 && rounds < 300; rounds++) {
        const idle = rig.pending.length === 0
        rig.deliver(1_000)
        while (rig.pending.length > 0) rig.answer(0, 'ok')
        rig.advance(5_000)
        await turn()
        check()
        quiet = idle && rig.pending.length === 0 ? quiet + 1 : 0
      }
      rig.scheduler.stop()
      const free = [...rig.free().values()]
      for (const object of rig.model.list('Pod'))
        if (object['spec'].nodeName === undefined)
          assert.not(
            free.some(({ cpu, pods }) => pods > 0 && cpu >= (requestsOf(object)['cpu'] ?? 0)),
            `${object.metadata.name} waits, though it would fit`
          )
    }),
    { numRuns: 150, seed: 20_300_101 }
  )
})
scheduler.run()
