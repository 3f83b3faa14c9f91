/**
 * The scheduler's loop: takes waiting pods in order, decides each on the cluster as it will be once everything in
 * flight is bound, and sends the binding without waiting for the ones before.
 */
import type { Intents } from '#events/Intent.ts'
import { resourceId } from '#events/Key.ts'
import type { Subscription } from '#events/Log.ts'
import { Cluster } from '#projections/Cluster.ts'
import type { Change, Entry } from '#projections/Objects.ts'
import type { Clock, Timer } from '../platform/Clock.ts'
import { causeOf } from '../platform/Controller.ts'
import type { Views } from '../platform/View.ts'
import { schedule } from './decide.ts'
import { SchedulingQueue } from './queue.ts'
import { podScheduledCondition, schedulingNotice } from './explain.ts'

const PODS = { group: '', resource: 'pods' }
const NODES = { group: '', resource: 'nodes' }
const NAME = 'default-scheduler'
/** Bindings in flight at once. */
const IN_FLIGHT = 256
/** Pods decided before others get a turn. */
const TURN = 128
/** A pod nothing helped is looked at again after this, whatever happens. */
const RETRY_UNSCHEDULABLE_MS = 60_000

export class Scheduler {
  readonly #views: Views
  readonly #intents: Intents
  readonly #clock: Clock
  readonly #onError: (error: unknown) => void
  readonly #cluster = new Cluster()
  readonly #queue = new SchedulingQueue()
  readonly #subscriptions: Subscription[] = []
  #timer: Timer | undefined
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
    for (const ref of [NODES, PODS]) for (const entry of this.#views.collection(ref).list()) this.#see({ type: 'ADDED', entry, previous: undefined })
    this.#subscriptions.push(this.#views.of(PODS).subscribe((change) => this.#see(change)))
    const tick = (): void => {
      this.#queue.wake(this.#clock.now(), RETRY_UNSCHEDULABLE_MS)
      this.#pump()
      this.#timer = this.#clock.after(1_000, tick)
    }
    this.#timer = this.#clock.after(1_000, tick)
  }
  stop(): void {
    this.#running = false
    this.#timer?.cancel()
    for (const subscription of this.#subscriptions) subscription.close()
  }
  #see(change: Change): void {
    const id = resourceId(change.entry.key)
    if (id !== '/pods' && id !== '/nodes') return
    this.#cluster.apply(change)
    if (id === '/nodes') this.#queue.clusterChanged()
    else {
      const { entry, type } = change
      const spec = entry.object['spec'] as { nodeName?: string; schedulerName?: string; priority?: number }
      const waiting = type !== 'DELETED' && (spec.nodeName ?? '') === '' && entry.object.metadata.deletionTimestamp === undefined && (spec.schedulerName ?? NAME) === NAME
      if (waiting) {
        // A pod's own status (our condition among it) changes nothing about where it fits.
        if (change.previous === undefined || !this.#queue.has(entry.id)) this.#queue.add(entry.id, spec.priority ?? 0, entry.sequence)
      } else this.#queue.remove(entry.id)
      if (type === 'DELETED') this.#queue.clusterChanged()
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
          this.#clock.after(0, () => this.#pump())
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
    if (entry === undefined || (entry.object['spec'].nodeName ?? '') !== '' || this.#cluster.isPlaced(id)) return
    const placement = schedule(this.#cluster, entry.object, { start: this.#start, random: this.#clock.random() })
    this.#start = (this.#start + 1) % Math.max(1, this.#cluster.names.length)
    this.#inFlight += 1
    const done = (): void => {
      this.#inFlight -= 1
      this.#pump()
    }
    if (placement.node === undefined) {
      this.#queue.unschedulable(id, this.#clock.now())
      this.#tell(entry, placement.message).catch(this.#onError).finally(done)
      return
    }
    this.#cluster.assume(id, entry.object, placement.node)
    this.#bind(entry, placement.node, placement.reasons)
      .catch((error: unknown) => {
        this.#cluster.forget(id)
        this.#queue.retry(id, this.#clock.now())
        this.#onError(error)
      })
      .finally(done)
  }
  async #bind(entry: Entry, node: string, reasons: Readonly<Record<string, unknown>>): Promise<void> {
    const { key, object } = entry
    const result = await this.#intents.submit({
      id: this.#clock.uuid(),
      verb: 'create',
      ref: PODS,
      version: 'v1',
      namespace: key.namespace,
      name: key.name,
      subresource: 'binding',
      object: { apiVersion: 'v1', kind: 'Binding', metadata: { name: key.name, namespace: key.namespace, uid: object.metadata.uid as string }, target: { apiVersion: 'v1', kind: 'Node', name: node } },
      source: NAME,
      cause: causeOf(entry),
      reasons
    })
    if (!result.ok) {
      const { reason, message } = result.status
      // Deleted, or bound by somebody else: the view will say so.
      if (reason === 'NotFound' || reason === 'Conflict') {
        const now = this.#views.get(key)
        if (now === undefined || (now.object['spec'].nodeName ?? '') === '') this.#cluster.forget(entry.id)
        if (now !== undefined && (now.object['spec'].nodeName ?? '') === '' && now.object.metadata.deletionTimestamp === undefined) this.#queue.retry(entry.id, this.#clock.now())
        return
      }
      throw new Error(`binding ${entry.id} to ${node} was refused: ${message}`)
    }
    await this.#notice(entry, 'Normal', 'Scheduled', `Successfully assigned ${key.namespace}/${key.name} to ${node}`)
  }
  /** Says on the pod why it waits: a condition, and a notice. */
  async #tell(entry: Entry, message: string): Promise<void> {
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
        reasons: { message }
      })
    await this.#notice(entry, 'Warning', 'FailedScheduling', message)
  }
  async #notice(entry: Entry, type: 'Normal' | 'Warning', reason: string, message: string): Promise<void> {
    await this.#intents.submit({ ...schedulingNotice(this.#views, entry, type, reason, message, this.#clock.now()), id: this.#clock.uuid(), source: NAME, cause: causeOf(entry) })
  }
}
