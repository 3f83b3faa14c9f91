/** What a controller is to the loop that runs it: what it watches, how it decides, and what a decision says. Plain data and functions. */
import type { Api } from '#events/Api.ts'
import type { Cause, Intent } from '#events/Intent.ts'
import type { ResourceRef } from '#events/Key.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import type { Status } from '#events/Refusal.ts'
import type { Change, Entry, ObjectsView } from '#projections/Objects.ts'

/** An intent as a decision states it: the loop adds id, source and cause. */
export type Ask = Omit<Intent, 'id' | 'source' | 'cause'> & { readonly cause?: Cause }

export interface Decision {
  readonly asks: readonly Ask[]
  /** Look at the key again after this long, whether or not something changes. */
  readonly requeueAfterMs?: number
}

export interface DecideContext {
  /** What the cluster serves. */
  readonly api: Api
  /** Milliseconds since the epoch. */
  readonly now: number
  /** In [0, 1): drawn once per decision, for jitter and choice. */
  readonly random: number
}

export interface ControllerWatch<Some extends KubeObject = KubeObject> {
  readonly ref: ResourceRef<Some>
  /** The keys a change concerns. `previous` helps when a selector stops matching. A method, so that every watch is a `ControllerWatch`. */
  keys(change: Change<Some>, view: ObjectsView, api: Api): readonly string[]
}

/** A watch whose changes are of the collection's type: an object literal in a list would be given the type of any object. */
export const watch = <Some extends KubeObject>(ref: ResourceRef<Some>, keys: ControllerWatch<Some>['keys']): ControllerWatch => ({
  ref,
  keys
})

export interface ControllerDefinition {
  /** `deployment-controller` */
  readonly name: string
  /** Of what is served, where that depends on it: the garbage collector looks at everything. */
  readonly watches: readonly ControllerWatch[] | ((api: Api) => readonly ControllerWatch[])
  /** Plain and synchronous: `decide.ts` of the controller's folder. */
  decide(view: ObjectsView, key: string, context: DecideContext): Decision
  /** What to ask for when an ask was refused for good: a condition or a notice that tells users. Plain, too. */
  refused?(view: ObjectsView, key: string, refusal: Refused, context: DecideContext): readonly Ask[]
}

export const watchesOf = ({ watches }: ControllerDefinition, api: Api): readonly ControllerWatch[] =>
  typeof watches === 'function' ? watches(api) : watches

/** An ask the decider turned down, for a reason that is not only that the state moved on. */
export class Refused extends Error {
  override readonly name = 'Refused'
  readonly ask: Ask
  readonly status: Status
  constructor(ask: Ask, status: Status) {
    super(status.message ?? 'refused')
    this.ask = ask
    this.status = status
  }
}

export const NOTHING: Decision = { asks: [] }

/** The cause an entry's latest event is for what follows from it. */
export const causeOf = (entry: Entry): Cause => ({
  eventId: entry.facts.id,
  ref: `${entry.facts.stream}:${entry.sequence}`,
  correlationId: entry.facts.correlationId
})
