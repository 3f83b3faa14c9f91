/** Connections and views as scoped resources: what every component begins with. */
import type { NatsConnection } from '@nats-io/transport-node'
import * as Effect from 'effect/Effect'
import type * as Scope from 'effect/Scope'
import { streamOf } from '#events/scheme.ts'
import { ENDPOINT_SLICES, SERVICES } from '#ops/nats/users.ts'
import { connectNats } from '#ops/nats/connect.ts'
import type { ClusterConfig } from '#ops/home.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { View, Views, type Fold } from '#services/platform/View.ts'

/** Where a component runs. */
export interface Place {
  readonly home: string
  readonly config: ClusterConfig
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

/** The whole state, folded: EVENTS, NOTICES and PULSE. `folds` are kept up to date from the same followers. */
export const wholeViews = (
  place: Place,
  component: string,
  nats: NatsConnection,
  folds: (stream: View['stream']) => readonly Fold[] = () => []
): Effect.Effect<Views, Error, Scope.Scope> =>
  Effect.gen(function* () {
    const views: View[] = []
    for (const stream of ['EVENTS', 'NOTICES', 'PULSE'] as const) {
      const view = new View(stream, new JetStreamLog(nats, stream, stream === 'PULSE' ? { gapless: false, filter: LEASES } : {}), systemClock)
      for (const fold of folds(stream)) view.alsoFold(fold)
      views.push(yield* started(place, component, view))
    }
    return new Views(views, streamOf)
  })

/** Services and EndpointSlices only: all that kube-proxy and the DNS may see. */
export const endpointViews = (place: Place, component: string, user: string, nats: NatsConnection): Effect.Effect<Views, Error, Scope.Scope> =>
  Effect.gen(function* () {
    const parts = [
      ['services', SERVICES],
      ['endpointslices', ENDPOINT_SLICES]
    ] as const
    const views: View[] = []
    for (const [name, filter] of parts) {
      const log = new JetStreamLog(nats, 'EVENTS', { consumer: `${user}-${name}`, filter, gapless: false })
      views.push(yield* started(place, component, new View('EVENTS', log, systemClock, name)))
    }
    return new Views(views, ({ resource }) => resource)
  })
