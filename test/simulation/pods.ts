/**
 * What must hold of pods, event by event: no node gets more than it has, no ReplicaSet more than it wants, and what a pod came to stays
 * so.
 */
import { at } from '#test/support/kinds.ts'
import type { Event } from '#events/Event.ts'
import { keyId } from '#events/Key.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { milliValue } from '#events/meta/Quantity.ts'
import type { Objects } from '#projections/Objects.ts'

type Facts = Omit<Event, 'object'>

const PODS = { group: '', resource: 'pods' }
const NODES = { group: '', resource: 'nodes' }
/** Events a controller may be behind: far more than its view is ever late. */
const BEHIND = 400
const RANK: Readonly<Record<string, number>> = { Pending: 0, Unknown: 0, Running: 1, Succeeded: 2, Failed: 2 }

interface Status {
  readonly phase?: string
  readonly containerStatuses?: readonly {
    readonly name: string
    readonly restartCount: number
    readonly state?: { readonly running?: { readonly startedAt: string } }
  }[]
}

interface Size {
  readonly sequence: number
  readonly replicas: number
}

const isOver = (pod: KubeObject): boolean => RANK[(pod['status'] as Status | undefined)?.phase ?? 'Pending'] === 2

const milliCpuOf = (pod: KubeObject): number =>
  (at(pod, 'spec.containers') as { resources?: { requests?: { cpu?: string } } }[]).reduce(
    (sum, { resources }) => sum + milliValue(resources?.requests?.cpu ?? 0),
    0
  )

/** Follows EVENTS in order, behind a fold of them. */
export class PodFaults {
  readonly #state: Objects
  /** By uid. */
  readonly #nodes = new Map<string, string>()
  readonly #statuses = new Map<string, Status>()
  readonly #sizes = new Map<string, Size[]>()

  constructor(state: Objects) {
    this.#state = state
  }
  faults({ key, deleted, source, verb }: Facts, sequence: number): string[] {
    if (deleted) return []
    if (key.group === 'apps' && key.resource === 'replicasets') this.#size(this.#state.get(key)?.object as KubeObject, sequence)
    if (key.group !== '' || key.resource !== 'pods') return []
    const pod = this.#state.get(key)?.object as KubeObject
    const id = keyId(key)
    const made = verb === 'create' && source === 'replicaset-controller' ? this.#tooMany(pod, sequence) : []
    return [...this.#bound(id, pod, sequence), ...made, ...this.#backwards(id, pod, sequence)]
  }
  #bound(id: string, pod: KubeObject, sequence: number): string[] {
    const uid = pod.metadata.uid as string
    const node = (at(pod, 'spec.nodeName') as string | undefined) ?? ''
    const before = this.#nodes.get(uid)
    if (node !== '') this.#nodes.set(uid, node)
    if (before !== undefined && before !== node)
      return [`pod ${id} was bound to ${before} and then to ${node === '' ? 'nothing' : node} (event ${sequence})`]
    if (before !== undefined || node === '') return []
    const has = at(this.#state.get({ ...NODES, namespace: '', name: node })?.object, 'status.allocatable.cpu') as string | undefined
    if (has === undefined) return []
    const others = [...this.#state.collection(PODS).values()].filter(
      ({ object }) => at(object, 'spec.nodeName') === node && !isOver(object)
    )
    const sum = others.reduce((total, { object }) => total + milliCpuOf(object), 0)
    return sum <= milliValue(has)
      ? []
      : [
          `event ${sequence} binds ${id} to ${node}: ${sum} thousandths of a CPU are taken there of ${milliValue(has)}, the node is overcommitted`
        ]
  }
  #size({ metadata, spec }: KubeObject, sequence: number): void {
    const uid = metadata.uid as string
    const list = this.#sizes.get(uid) ?? []
    this.#sizes.set(uid, [
      ...list.filter((size, n) => (list[n + 1]?.sequence ?? sequence) > sequence - BEHIND),
      { sequence, replicas: (at(spec, 'replicas') as number | undefined) ?? 1 }
    ])
  }
  /** Its controller has waited for what it asked for before it asks again: it never makes one more than it was ever to make. */
  #tooMany(pod: KubeObject, sequence: number): string[] {
    const owner = pod.metadata.ownerReferences?.find(({ controller }) => controller === true)
    const sizes = this.#sizes.get(owner?.uid ?? '')
    if (owner === undefined || sizes === undefined) return []
    const most = Math.max(...sizes.map(({ replicas }) => replicas))
    const active = [...this.#state.collection(PODS).indexed('owner', owner.uid)].filter(
      ({ object }) => object.metadata.deletionTimestamp === undefined && !isOver(object)
    )
    return active.length <= most
      ? []
      : [`event ${sequence} makes the ReplicaSet ${owner.name} ${active.length} pods, over its limit of ${most}`]
  }
  #backwards(id: string, pod: KubeObject, sequence: number): string[] {
    const uid = pod.metadata.uid as string
    const status = (pod['status'] ?? {}) as Status
    const before = this.#statuses.get(uid)
    this.#statuses.set(uid, status)
    if (before === undefined) return []
    const [was, is] = [before.phase ?? 'Pending', status.phase ?? 'Pending']
    const faults =
      (RANK[is] ?? 0) < (RANK[was] ?? 0) || (RANK[was] === 2 && is !== was)
        ? [`event ${sequence}: ${id} was ${was} and is ${is} again, its status went back`]
        : []
    for (const { name, restartCount, state } of before.containerStatuses ?? []) {
      const now = status.containerStatuses?.find((one) => one.name === name)
      if (now === undefined) continue
      if (now.restartCount < restartCount)
        faults.push(
          `event ${sequence}: ${name} of ${id} had restarted ${restartCount} times and now ${now.restartCount}, its status went back`
        )
      const [started, again] = [state?.running?.startedAt, now.state?.running?.startedAt]
      if (started !== undefined && again !== undefined && again < started)
        faults.push(`event ${sequence}: ${name} of ${id} runs since ${again}, and since ${started} before: its status went back`)
    }
    return faults
  }
}
