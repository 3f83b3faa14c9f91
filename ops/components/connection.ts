/** Connections and views as scoped resources: what every component begins with. */
import { join } from 'node:path'
import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import * as Effect from 'effect/Effect'
import type * as Scope from 'effect/Scope'
import type { Api } from '#events/Api.ts'
import { REPLICAS } from '#events/Follow.ts'
import type { ResourceRef } from '#events/Key.ts'
import { builtInApi } from '#events/scheme.ts'
import type { LogEntry } from '#events/Log.ts'
import { loadMasters, loadSeal } from '#ops/log/keys.ts'
import { ledgerFolder } from '#ops/nats/streams.ts'
import { takeLock } from '#ops/setup/lock.ts'
import { connectNats } from '#ops/nats/connect.ts'
import type { ClusterConfig } from '#ops/home.ts'
import { narrowedToEndpoints } from '#projections/Proxy.ts'
import { systemClock } from '#services/platform/Clock.ts'
import type { Appends } from '#services/platform/jetstream/Appends.ts'
import { askedConsumers } from '#services/platform/jetstream/consumers.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { FileLedger } from '#services/platform/ledger/FileLedger.ts'
import { Integrity, type IntegrityOptions } from '#services/platform/ledger/Integrity.ts'
import type { Seal } from '#services/platform/ledger/Seal.ts'
import { KEYS, ObjectKeys } from '#services/platform/secrets/ObjectKeys.ts'
import { Vault } from '#services/platform/secrets/Vault.ts'
import type { Fold, ViewOptions } from '#services/platform/folds.ts'
import { View, Views } from '#services/platform/View.ts'

/** Where a component runs. */
export interface Place {
  readonly home: string
  readonly config: ClusterConfig
  /** Where it is remembered how far the log went; the home's own by default. */
  readonly ledgers?: string
  /** Where the past is indexed; the home's own by default. */
  readonly history?: string
  /** Something in the background failed; the component goes on (or is about to be restarted). */
  readonly warn: (component: string, error: unknown) => void
  /** A component can't go on: the process ends and says why. */
  readonly fatal: (component: string, error: unknown) => void
}

/** PULSE holds the agents' pulses as well, which are no objects. */
const LEASES = 'pulse.object.>'

const DRAIN_MS = '3 seconds'

/** Connected as one of the cluster's users; drained when the scope closes. */
export const connection = (place: Place, user: string): Effect.Effect<NatsConnection, Error, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.tryPromise({ try: () => connectNats(place.home, place.config, user), catch: (cause) => new Error(`can't connect to NATS as ${user}: ${String(cause)}`, { cause }) }),
    (connected) => Effect.promise(() => connected.close()).pipe(Effect.timeout(DRAIN_MS), Effect.ignore)
  )

const started = (place: Place, component: string, view: View): Effect.Effect<View, Error, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.tryPromise({
      try: async () => {
        await view.start()
        view.onFailed = (error) => place.fatal(component, error)
        return view
      },
      catch: (cause) => (cause instanceof Error ? cause : new Error(String(cause)))
    }),
    () =>
      Effect.sync(() => {
        view.onFailed = () => {}
        view.close()
      })
  )

/** How a stream of objects is followed: which leave old entries behind, and whether every sequence comes by. */
const FOLLOWED: Readonly<Record<View['stream'], { readonly expires: boolean; readonly filter?: string }>> = {
  EVENTS: { expires: false },
  NOTICES: { expires: true },
  PULSE: { expires: true, filter: LEASES }
}

/** Checks a stream's entries for this home. */
export const integrityOf = (place: Place, component: string, seal: Seal, stream: string, options: Pick<IntegrityOptions, 'whole' | 'expires' | 'tail'>): Effect.Effect<Integrity, Error, Scope.Scope> =>
  Effect.gen(function* () {
    const ledger = yield* Effect.acquireRelease(
      Effect.try({ try: () => new FileLedger(place.ledgers ?? ledgerFolder(place.home), stream), catch: (cause) => (cause instanceof Error ? cause : new Error(String(cause))) }),
      (open) => Effect.sync(() => open.close())
    )
    const onForeign = ({ sequence, subject }: LogEntry): void =>
      place.warn(component, new Error(`${stream} ${sequence} (${subject}) was not written by this cluster's API server and is passed over; see \`reckon log quarantine\``))
    return new Integrity({ seal, ledger, ...options, onForeign })
  })

/** The keys of confidential objects, all of them known. */
const vault = (place: Place, component: string, seal: Seal, nats: NatsConnection): Effect.Effect<Vault, Error, Scope.Scope> =>
  Effect.gen(function* () {
    const integrity = yield* integrityOf(place, component, seal, KEYS, { whole: false, expires: true })
    const jsm = yield* Effect.tryPromise({ try: () => jetstreamManager(nats, { checkAPI: false }), catch: (cause) => new Error(String(cause), { cause }) })
    const keys = new ObjectKeys({
      log: new JetStreamLog(nats, KEYS, { gapless: false }),
      masters: loadMasters(place.home),
      clock: systemClock,
      integrity,
      onFailed: (error) => place.fatal(component, error),
      shred: async (sequence) => void (await jsm.streams.deleteMessage(KEYS, sequence, true))
    })
    return yield* Effect.acquireRelease(
      Effect.tryPromise({
        try: async () => {
          const settled = await new JetStreamLog(nats, 'EVENTS').lastSequence()
          await keys.start()
          return new Vault(keys, settled)
        },
        catch: (cause) => (cause instanceof Error ? cause : new Error(String(cause)))
      }),
      () => Effect.sync(() => keys.close())
    )
  })

/**
 * The whole state, folded from the log's own account and checked entry by entry. `folds` are kept up to date from the same
 * followers. Fails with LogDamaged when a stream is not what this home remembers of it.
 */
export const wholeViews = (place: Place, component: string, nats: NatsConnection, appends: Appends, folds: (stream: View['stream']) => readonly Fold[]): Effect.Effect<Views, Error, Scope.Scope> =>
  Effect.gen(function* () {
    const views: View[] = []
    const api = builtInApi()
    const seal = loadSeal(place.home)
    const keys = yield* vault(place, component, seal, nats)
    for (const stream of ['EVENTS', 'NOTICES', 'PULSE'] as const) {
      const { expires, filter } = FOLLOWED[stream]
      const integrity = yield* integrityOf(place, component, seal, stream, { whole: filter === undefined, expires })
      const log = new JetStreamLog(nats, stream, { appends, ...(filter === undefined ? {} : { gapless: false, filter }) })
      const view = new View(stream, log, systemClock, { api, integrity, expires, vault: keys })
      for (const fold of folds(stream)) view.alsoFold(fold)
      views.push(yield* started(place, component, view))
    }
    return new Views(views, api)
  })

type Part = readonly [stream: View['stream'], part: string]

/** Which of the processes of a user this is: the first place in the home that nobody has. Another one may follow the same parts at the same time. */
const replica = (place: Place, user: string): Effect.Effect<number, Error, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.try({
        try: () => {
          for (let number = 0; number < REPLICAS; number++) {
            try {
              return { number, giveBack: takeLock(join(place.home, `run/${user}.${number}.lock`), user) }
            } catch (error) {
              if (number === REPLICAS - 1) throw new Error(`${REPLICAS} processes of ${user} run in ${place.home} already; more are not known to NATS`, { cause: error })
            }
          }
          throw new Error(`there is no place for ${user}`)
        },
        catch: (cause) => cause as Error
      }),
      ({ giveBack }) => Effect.sync(giveBack)
    ),
    ({ number }) => number
  )

/** Parts of the log that the API server hands out to this user, each as a view of its own. `partOf`: where a kind's objects are. */
const partViews = (
  place: Place,
  component: string,
  user: string,
  nats: NatsConnection,
  parts: readonly Part[],
  partOf: (ref: ResourceRef, api: Api) => string,
  { replica: number = 0, ...more }: Pick<ViewOptions, 'narrow' | 'parsedBytes'> & { readonly replica?: number } = {}
): Effect.Effect<Views, Error, Scope.Scope> => {
  const api = builtInApi()
  const views = Effect.forEach(parts, ([stream, part]) => {
    const log = new JetStreamLog(nats, stream, { consumers: askedConsumers(nats, user, part, undefined, number), gapless: false })
    const onPassed = ({ sequence, subject }: LogEntry): void => place.warn(component, new Error(`${stream} ${sequence} (${subject}) can't be read and is passed over`))
    return started(place, component, new View(stream, log, systemClock, { api, name: part, expires: FOLLOWED[stream].expires, onPassed, ...more }))
  })
  return Effect.map(views, (made) => new Views(made, api, (ref) => partOf(ref, api)))
}

const PART_OF: Readonly<Record<View['stream'], string>> = { EVENTS: 'events', NOTICES: 'notices', PULSE: 'pulse' }

/** What the scheduler and the controllers see when they run in a process of their own. */
export const componentViews = (place: Place, user: 'scheduler' | 'controller-manager', nats: NatsConnection): Effect.Effect<Views, Error, Scope.Scope> => {
  const leases = user === 'scheduler' ? 'leases' : PART_OF.PULSE
  return Effect.flatMap(replica(place, user), (number) =>
    partViews(place, user, user, nats, [['EVENTS', PART_OF.EVENTS], ['NOTICES', PART_OF.NOTICES], ['PULSE', leases]], (ref, api) => (api.streamOf(ref) === 'PULSE' ? leases : PART_OF[api.streamOf(ref)]), { replica: number })
  )
}

/** On a node the same few Services are looked at, when they change or are asked for. */
const NODE_PARSED = 1024 * 1024

/** Services and EndpointSlices only: all that kube-proxy and the DNS may see. */
export const endpointViews = (place: Place, component: string, user: string, nats: NatsConnection): Effect.Effect<Views, Error, Scope.Scope> =>
  partViews(place, component, user, nats, [['EVENTS', 'services'], ['EVENTS', 'endpointslices']], ({ resource }) => resource, { narrow: narrowedToEndpoints, parsedBytes: NODE_PARSED })
