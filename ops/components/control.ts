/** The scheduler and the controller manager as layers: beside an API server, or alone, over NATS. */
import { readFileSync } from 'node:fs'
import * as Context from 'effect/Context'
import * as Effect from 'effect/Effect'
import * as Layer from 'effect/Layer'
import type { Intents, UserInfo } from '#events/Intent.ts'
import { clusterCIDRsOf, maskSizesOf } from '#ops/configuration.ts'
import { pkiFile } from '#ops/pki/pki.ts'
import { controllers, userNameOf, userOf } from '#services/controller-manager/controllers.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { Controller, Outrun } from '#services/platform/Controller.ts'
import { NatsIntents } from '#services/platform/NatsIntents.ts'
import type { Views } from '#services/platform/Views.ts'
import { Scheduler } from '#services/scheduler/Scheduler.ts'
import { ApiServer } from './apiserver.ts'
import { componentViews, connection } from './connection.ts'
import { led } from './leading.ts'
import { Place } from './place.ts'

/** By their users on NATS. */
const USERS = {
  scheduler: { username: 'system:kube-scheduler', groups: ['system:authenticated'] },
  'controller-manager': { username: 'system:kube-controller-manager', groups: ['system:authenticated'] }
} as const satisfies Record<string, UserInfo>

type Led = keyof typeof USERS

/** In one process with the API server the intent takes no detour; user, rules and answers are the same. */
const beside = (component: Led) =>
  Effect.map(ApiServer, ({ views, decider }) => {
    const as = (user: UserInfo): Intents => ({ submit: (intent) => decider.submit(intent, user) })
    return { views, own: true, intents: as(USERS[component]), intentsOf: (controller: string) => as(userOf(controller)) }
  })

const overNats = (component: Led) =>
  Effect.gen(function* () {
    const nats = yield* connection(component)
    const views = yield* componentViews(component, nats)
    const intentsOf = (controller: string): Intents => new NatsIntents(nats, { user: component, actAs: userNameOf(controller) })
    return { views, own: false, intents: new NatsIntents(nats, { user: component }), intentsOf }
  })

/** What a component sees of the cluster, and whom it asks. */
export class Access extends Context.Service<
  Access,
  {
    readonly views: Views
    /** In the home's own process. */
    readonly own: boolean
    /** As the component itself. */
    readonly intents: Intents
    /** As one of the controllers. */
    readonly intentsOf: (controller: string) => Intents
  }
>()('reckon/ops/Access') {
  static readonly beside = (component: Led) => Layer.effect(Access, beside(component))
  static readonly overNats = (component: Led) => Layer.effect(Access, overNats(component))
}

export const scheduler = Layer.effectDiscard(
  Effect.gen(function* () {
    const { warn } = yield* Place
    const { views, own, intents } = yield* Access
    yield* led({
      name: 'kube-scheduler',
      component: 'default-scheduler',
      views,
      intents,
      own,
      lead: (under) => {
        const running = new Scheduler(views, under(intents), systemClock, (error) => warn('scheduler', error))
        running.start()
        return running
      }
    })
  })
)

export const controllerManager = Layer.effectDiscard(
  Effect.gen(function* () {
    const { home, config, warn } = yield* Place
    const { views, own, intents, intentsOf } = yield* Access
    const clusterCA = readFileSync(pkiFile(home, 'ca.crt'), 'utf8')
    const nodeIpam = { clusterCIDRs: clusterCIDRsOf(config), maskSizes: maskSizesOf(config) }
    yield* led({
      name: 'kube-controller-manager',
      component: 'kube-controller-manager',
      views,
      intents,
      own,
      lead: (under) => {
        const running = controllers({ clusterCA, nodeIpam }).map((definition) => {
          const controller = new Controller(definition, views, under(intentsOf(definition.name)), systemClock, ({ error, key }) => {
            // Somebody else was faster: the controller looks again, which is what it is made for.
            if (!(error instanceof Outrun)) warn(`${definition.name} ${key}`, error)
          })
          controller.start()
          return controller
        })
        return { stop: () => running.forEach((controller) => controller.stop()) }
      }
    })
  })
)
