/** What must hold of nodes that are given up: the log heard nothing of them for their time, whatever anybody's clock says. */
import { decodeFacts, type Event } from '#events/Event.ts'
import type { LogEntry } from '#events/Log.ts'
import { NODES } from '#events/collections.ts'
import type { Node } from '#events/schema/generated/core.v1.ts'
import { conditionOf } from '#events/meta/Conditions.ts'
import type { Objects } from '#projections/Objects.ts'
import type { World } from './World.ts'

const GRACE_MS = 40_000
/** From the silence to the word of it: intents are lost and asked again, and what ends the silence may come first. */
const LATEST_MS = 120_000

/** Follows EVENTS in order. */
export class GivenUp {
  /** By node: when its Lease was renewed, by the log's own clock. */
  readonly #renewed = new Map<string, number[]>()

  constructor({ stored }: World) {
    for (const entry of stored.PULSE) {
      const { key, deleted } = decodeFacts('PULSE', entry)
      if (key.resource !== 'leases' || key.namespace !== 'kube-node-lease' || deleted) continue
      const times = this.#renewed.get(key.name) ?? []
      this.#renewed.set(key.name, [...times, entry.time])
    }
  }
  faults(before: Objects, { key, source }: Omit<Event, 'object'>, { sequence, text, time }: LogEntry): string[] {
    if (key.resource !== 'nodes' || key.group !== '' || source !== 'node-lifecycle-controller') return []
    const old = before.get({ ...NODES, namespace: '', name: key.name })?.object
    const now = JSON.parse(text) as Node
    if (old === undefined || conditionOf(old, 'Ready')?.status === 'Unknown' || conditionOf(now, 'Ready')?.status !== 'Unknown') return []
    const times = [...(this.#renewed.get(key.name) ?? []).filter((at) => at < time), time]
    const silences = times.slice(1).flatMap((at, n) => (at > time - LATEST_MS ? [at - (times[n] as number)] : []))
    const longest = Math.max(0, ...silences)
    return longest > GRACE_MS || times.length === 1
      ? []
      : [`event ${sequence} gives node ${key.name} up, which was silent for ${Math.round(longest)} ms at most`]
  }
}
