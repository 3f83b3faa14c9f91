/** The scheduler and the controller manager as scoped resources: beside an API server, or alone, over NATS. */
import { readFileSync } from 'node:fs'
import * as Effect from 'effect/Effect'
import type * as Scope from 'effect/Scope'
import type { Intents, UserInfo } from '#events/Intent.ts'
import { clusterCIDRsOf, maskSizesOf } from '#ops/configuration.ts'
import { pkiFile } from '#ops/pki/pki.ts'
import { controllers, userNameOf, userOf } from '#services/controller-manager/controllers.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { Controller, Outrun } from '#services/platform/Controller.ts'
import { NatsIntents } from '#services/platform/NatsIntents.ts'
import type { Views } from '#services/platform/View.ts'
import { Scheduler } from '#services/scheduler/Scheduler.ts'
import type { RunningApiServer } from './apiserver.ts'
import { componentViews, connection, type Place } from './connection.ts'
import { led } from './leading.ts'

const SCHEDULER: UserInfo = { username: 'system:kube-scheduler', groups: ['system:authenticated'] }
const CONTROLLER_MANAGER: UserInfo = { username: 'system:kube-controller-manager', groups: ['system:authenticated'] }

/** In one process with the API server the intent takes no detour; user, rules and answers are the same. */
const direct = ({ decider }: RunningApiServer, user: UserInfo): Intents => ({ submit: (intent) => decider.submit(intent, user) })

export const scheduler = (place: Place, api: RunningApiServer | undefined): Effect.Effect<void, Error, Scope.Scope> =>
  Effect.gen(function* () {
    let views: Views
    let intents: Intents
    if (api === undefined) {
      const nats = yield* connection(place, 'scheduler')
      views = yield* componentViews(place, 'scheduler', nats)
      intents = new NatsIntents(nats, { user: 'scheduler' })
    } else [views, intents] = [api.views, direct(api, SCHEDULER)]
    yield* led(place, {
      name: 'kube-scheduler',
      component: 'default-scheduler',
      views,
      intents,
      own: api !== undefined,
      lead: (under) => {
        const running = new Scheduler(views, under(intents), systemClock, (error) => place.warn('scheduler', error))
        running.start()
        return running
      }
    })
  })

export const controllerManager = (place: Place, api: RunningApiServer | undefined): Effect.Effect<void, Error, Scope.Scope> =>
  Effect.gen(function* () {
    let views: Views
    let own: Intents
    let intentsFor: (controller: string) => Intents
    if (api === undefined) {
      const nats = yield* connection(place, 'controller-manager')
      views = yield* componentViews(place, 'controller-manager', nats)
      own = new NatsIntents(nats, { user: 'controller-manager' })
      intentsFor = (controller) => new NatsIntents(nats, { user: 'controller-manager', actAs: userNameOf(controller) })
    } else {
      views = api.views
      own = direct(api, CONTROLLER_MANAGER)
      intentsFor = (controller) => direct(api, userOf(controller))
    }
    const clusterCA = readFileSync(pkiFile(place.home, 'ca.crt'), 'utf8')
    yield* led(place, {
      name: 'kube-controller-manager',
      component: 'kube-controller-manager',
      views,
      intents: own,
      own: api !== undefined,
      lead: (under) => {
        const running = controllers({ clusterCA, nodeIpam: { clusterCIDRs: clusterCIDRsOf(place.config), maskSizes: maskSizesOf(place.config) } }).map((definition) => {
          const controller = new Controller(definition, views, under(intentsFor(definition.name)), systemClock, ({ error, key }) => {
            // Somebody else was faster: the controller looks again, which is what it is made for.
            if (!(error instanceof Outrun)) place.warn(`${definition.name} ${key}`, error)
          })
          controller.start()
          return controller
        })
        return { stop: () => running.forEach((controller) => controller.stop()) }
      }
    })
  })
