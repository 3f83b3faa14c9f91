/**
 * What must hold of those who are elected: a Lease is taken from nobody who may still have it, and no write of a term stands behind the
 * next one's beginning.
 */
import { decodeFacts, type Event } from '#events/Event.ts'
import { keyId } from '#events/Key.ts'
import { leaseKey, markerKey, type Term } from '#events/coordination/term.ts'
import { ELECTED } from './Control.ts'
import { rootOf, type World } from './World.ts'

type Facts = Omit<Event, 'object'>

const MARKERS = new Map(ELECTED.map((name) => [keyId(markerKey(name)), name]))
/** Follows EVENTS in order. */
export class Terms {
  readonly #asked: ReadonlyMap<string, Term>
  /** By Lease: where the present term began. */
  readonly #began = new Map<string, number>()

  constructor(world: World) {
    this.#asked = world.terms
  }
  faults(facts: Facts, sequence: number): string[] {
    const lease = MARKERS.get(keyId(facts.key))
    if (lease !== undefined) this.#began.set(lease, sequence)
    const term = this.#asked.get(rootOf(facts.id))
    const began = term === undefined ? 0 : (this.#began.get(term.lease) ?? 0)
    return term === undefined || term.sequence >= began
      ? []
      : [
          `event ${sequence} (${facts.verb} ${keyId(facts.key)}) is of a term of ${term.lease} that began at ${term.sequence}; the next one had begun at ${began}`
        ]
  }
}

interface Held {
  readonly holder: string
  readonly at: number
  readonly ms: number
}

/** By the log's own clock; who waits may have one that runs faster. */
export const checkLeases = ({ stored, mixture }: World): string[] => {
  const faults: string[] = []
  const last = new Map<string, Held>()
  const wanted = new Map(ELECTED.map((name) => [keyId(leaseKey(name)), name]))
  for (const entry of stored.PULSE) {
    const facts = decodeFacts('PULSE', entry)
    const name = wanted.get(keyId(facts.key))
    if (name === undefined) continue
    const { holderIdentity: holder = '', leaseDurationSeconds: seconds = 0 } = (
      JSON.parse(entry.text) as { spec: { holderIdentity?: string; leaseDurationSeconds?: number } }
    ).spec
    const before = last.get(name)
    if (
      before !== undefined &&
      before.holder !== '' &&
      holder !== '' &&
      holder !== before.holder &&
      entry.time - before.at < before.ms * (1 - 3 * mixture.drift)
    )
      faults.push(
        `${holder} took the Lease ${name} ${Math.round(entry.time - before.at)} ms after ${before.holder} had renewed it for ${before.ms} ms`
      )
    last.set(name, { holder, at: entry.time, ms: seconds * 1000 })
  }
  return faults
}

/** Somebody leads in the end, and one only. */
export const unled = ({ api }: World): string[] =>
  ELECTED.filter((name) => (api?.views.get(leaseKey(name))?.object['spec']?.holderIdentity ?? '') === '').map(
    (name) => `nobody has the Lease ${name}`
  )
