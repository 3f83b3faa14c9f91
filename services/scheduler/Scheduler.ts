/**
 * The scheduler's loop: takes waiting pods in order, decides each on the cluster as it will be once everything in
 * flight is bound, and sends the binding without waiting for the ones before.
 */
import { NAMESPACES, NODES, PODS } from '#events/collections.ts'
import type { Reasons } from '#events/Event.ts'
import type { Intent, IntentResult, Intents } from '#events/Intent.ts'
import type { ResourceRef } from '#events/Key.ts'
import type { Pod } from '#events/schema/generated/core.v1.ts'
import type { Subscription } from '#events/Log.ts'
import { same } from '#events/meta/faults.ts'
import { Cluster } from '#projections/Cluster.ts'
import { isChangeOf, type Change, type Entry } from '#projections/Objects.ts'
import { isPassing, Refusal } from '#events/Refusal.ts'
import { sleep, type Clock, type Timer } from '#services/platform/Clock.ts'
import { causeOf } from '#services/platform/decision.ts'
import type { Views } from '#services/platform/Views.ts'
import { schedule } from './decide.ts'
import { SchedulingQueue } from './queue.ts'
import { podScheduledCondition, schedulingNotice } from './explain.ts'

const NAME = 'default-scheduler'
/** Bindings in flight at once. */
const IN_FLIGHT = 256
/** Pods decided before others get a turn. */
const TURN = 128
/** A pod nothing helped is looked at again after this, whatever happens. */
const RETRY_UNSCHEDULABLE_MS = 60_000
/** Between asking again for a binding whose answer was lost. */
const FIRST_PAUSE_MS = 100
const LAST_PAUSE_MS = 5_000
const TICK_MS = 1_000

/** Without a node, wanted, not held back by gates, and ours. */
const isWaiting = ({ spec, metadata }: Pod): boolean =>
  (spec.nodeName ?? '') === '' &&
  metadata.deletionTimestamp === undefined &&
  (spec.schedulerName ?? NAME) === NAME &&
  (spec.schedulingGates ?? []).length === 0

const dependsOnPods = ({ spec }: Pod): boolean =>
  spec.affinity?.podAffinity !== undefined ||
  spec.affinity?.podAntiAffinity !== undefined ||
  (spec.topologySpreadConstraints ?? []).length > 0

export class Scheduler {
  readonly #views: Views
  readonly #intents: Intents
  readonly #clock: Clock
  readonly #onError: (error: unknown) => void
  readonly #cluster = new Cluster()
  readonly #queue = new SchedulingQueue()
  readonly #subscriptions: Subscription[] = []
  #timer: Timer | undefined
  #turn: Timer | undefined
  #inFlight = 0
  #start = 0
  #pumping = false
  #running = false

  constructor(views: Views, intents: Intents, clock: Clock, onError: (error: unknown) => void = () => {}) {
    this.#views = views
    this.#intents = intents
    this.#clock = clock
    this.#onError = onError
  }
  start(): void {
    this.#running = true
    const seen: readonly ResourceRef[] = [NAMESPACES, NODES, PODS]
    for (const ref of seen) for (const entry of this.#views.collection(ref).list()) this.#see({ type: 'ADDED', entry, previous: undefined })
    this.#subscriptions.push(this.#views.of(PODS).subscribe((change) => this.#see(change)))
    const tick = (): void => {
      this.#queue.wake(this.#clock.now(), RETRY_UNSCHEDULABLE_MS)
      this.#pump()
      this.#timer = this.#clock.after(TICK_MS, tick)
    }
    this.#timer = this.#clock.after(TICK_MS, tick)
  }
  stop(): void {
    this.#running = false
    this.#timer?.cancel()
    this.#turn?.cancel()
    for (const subscription of this.#subscriptions) subscription.close()
  }
  #see(change: Change): void {
    if (change.entry.key.group !== '') return
    const help = this.#cluster.apply(change)
    if (help !== 'none') this.#queue.clusterChanged(help)
    if (isChangeOf(PODS, change)) {
      const { entry, type, previous } = change
      if (type === 'DELETED' || !isWaiting(entry.object)) this.#queue.remove(entry.id)
      else {
        this.#queue.add(entry.id, entry.object.spec.priority ?? 0, entry.sequence)
        // A pod's own status (our condition among it) changes nothing about where it fits; its spec and labels may.
        if (
          previous !== undefined &&
          (!same(previous.object.spec, entry.object.spec) || !same(previous.object.metadata.labels, entry.object.metadata.labels))
        )
          this.#queue.podChanged(entry.id)
      }
    }
    this.#pump()
  }
  #pump(): void {
    if (this.#pumping || !this.#running) return
    this.#pumping = true
    queueMicrotask(() => {
      this.#pumping = false
      for (let turn = 0; this.#running && this.#inFlight < IN_FLIGHT; turn++) {
        if (turn === TURN) {
          this.#turn = this.#clock.after(0, () => this.#pump())
          return
        }
        const id = this.#queue.next(this.#clock.now())
        if (id === undefined) return
        this.#decide(id)
      }
    })
  }
  #decide(id: string): void {
    const at = id.indexOf('/')
    const entry = this.#views.get({ ...PODS, namespace: id.slice(0, at), name: id.slice(at + 1) })
    if (entry === undefined || !isWaiting(entry.object)) return
    // Its last binding was refused or got lost, and the pod is still without a node: that place is free again.
    this.#cluster.forget(id, entry.object.metadata.uid as string)
    const placement = schedule(this.#cluster, id, entry.object, { start: this.#start, random: this.#clock.random() })
    this.#start = (this.#start + placement.examined) % Math.max(1, this.#cluster.list.length)
    this.#inFlight += 1
    const done = (): void => {
      this.#inFlight -= 1
      this.#pump()
    }
    if (placement.node === undefined) {
      this.#queue.unschedulable(id, this.#clock.now(), dependsOnPods(entry.object))
      this.#tell(entry, placement.message, placement.reasons).catch(this.#onError).finally(done)
      return
    }
    this.#cluster.assume(placement.pod, placement.node)
    this.#bind(entry, placement.node, placement.reasons).catch(this.#onError).finally(done)
  }
  async #bind(entry: Entry<Pod>, node: string, reasons: Reasons): Promise<void> {
    const { key, object } = entry
    const intent: Intent = {
      id: this.#clock.uuid(),
      verb: 'create',
      ref: PODS,
      version: 'v1',
      namespace: key.namespace,
      name: key.name,
      subresource: 'binding',
      object: {
        apiVersion: 'v1',
        kind: 'Binding',
        metadata: { name: key.name, namespace: key.namespace, uid: object.metadata.uid as string },
        target: { apiVersion: 'v1', kind: 'Node', name: node }
      },
      source: NAME,
      cause: causeOf(entry),
      reasons
    }
    const result = await this.#submitUntilDecided(intent)
    if (result === undefined) return
    if (!result.ok) {
      // The place stays taken until the pod is looked at again: a binding we don't see yet may be what refused this one.
      // Unless it went, and another of its name came.
      if (this.#views.get(key)?.object.metadata.uid === object.metadata.uid) this.#queue.retry(entry.id, this.#clock.now())
      const { reason, message } = result.status
      if (reason !== 'NotFound' && reason !== 'Conflict')
        throw new Error(`binding ${entry.id} to ${node} was refused: ${message}`, { cause: Refusal.of(result.status) })
      return
    }
    await this.#notice(entry, 'Normal', 'Scheduled', `Successfully assigned ${key.namespace}/${key.name} to ${node}`)
  }
  /**
   * Asks again while the answer is lost: the same intent, which is decided once. Only then is it known whether the
   * place is taken. Undefined: the scheduler was stopped.
   */
  async #submitUntilDecided(intent: Intent): Promise<IntentResult | undefined> {
    let asked = intent
    for (let pause = FIRST_PAUSE_MS; this.#running; pause = Math.min(LAST_PAUSE_MS, pause * 2)) {
      try {
        const result = await this.#intents.submit(asked)
        if (result.ok || !isPassing(result.status)) return result
      } catch (error) {
        if (this.#running) this.#onError(error)
      }
      asked = { ...intent, again: true }
      await sleep(this.#clock, pause)
    }
    return undefined
  }
  /** Says on the pod why it waits: a condition, and a notice. */
  async #tell(entry: Entry<Pod>, message: string, reasons: Reasons): Promise<void> {
    const object = podScheduledCondition(entry.object, message, this.#clock.now())
    if (object !== undefined)
      await this.#intents.submit({
        id: this.#clock.uuid(),
        verb: 'update',
        ref: PODS,
        version: 'v1',
        namespace: entry.key.namespace,
        name: entry.key.name,
        subresource: 'status',
        object,
        source: NAME,
        cause: causeOf(entry),
        reasons: { message, ...reasons }
      })
    await this.#notice(entry, 'Warning', 'FailedScheduling', message)
  }
  async #notice(entry: Entry<Pod>, type: 'Normal' | 'Warning', reason: string, message: string): Promise<void> {
    await this.#intents.submit({
      ...schedulingNotice(this.#views, entry, type, reason, message, this.#clock.now()),
      id: this.#clock.uuid(),
      source: NAME,
      cause: causeOf(entry)
    })
  }
}
