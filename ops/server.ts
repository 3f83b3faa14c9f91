/**
 * A cluster's process: nats-server's keeper and the components, all of them by default, or those that are named.
 * Effect owns their lifetimes: what began first ends last, whatever ends the process.
 */
import { pathToFileURL } from 'node:url'
import * as NodeRuntime from '@effect/platform-node/NodeRuntime'
import * as Deferred from 'effect/Deferred'
import * as Effect from 'effect/Effect'
import type * as Scope from 'effect/Scope'
import { loadOrCreateConfig, resolveHome } from './home.ts'
import { apiserver, type RunningApiServer } from './components/apiserver.ts'
import type { Place } from './components/connection.ts'
import { controllerManager, scheduler } from './components/control.ts'
import { ensureNatsServer } from './nats/binary.ts'
import { startNatsServer, type NatsServer } from './nats/server.ts'
import { ensurePki } from './pki/pki.ts'

export const COMPONENTS = ['apiserver', 'scheduler', 'controller-manager', 'kubelet', 'kube-proxy', 'dns'] as const
export type Component = (typeof COMPONENTS)[number]

const say = (line: string): void => void process.stdout.write(`${new Date().toISOString()} ${line}\n`)
const messageOf = (error: unknown): string => (error instanceof Error ? `${error.message}` : String(error))

/** Keeps nats-server running: it is adopted when it runs, and started again when it dies. */
const natsKeeper = (home: string, config: Place['config']): Effect.Effect<void, Error, Scope.Scope> =>
  Effect.gen(function* () {
    const start = Effect.tryPromise({
      try: async () => startNatsServer({ home, config, binary: (await ensureNatsServer(say)).path, report: say }),
      catch: (cause) => new Error(messageOf(cause), { cause })
    })
    const first = yield* start
    const keep = (server: NatsServer): Effect.Effect<never, Error> =>
      Effect.promise(() => server.exited).pipe(
        Effect.tap(() => Effect.sync(() => say('nats-server is gone; starting it again'))),
        Effect.andThen(() => start.pipe(Effect.retry({ times: 5 }))),
        Effect.flatMap(keep)
      )
    yield* Effect.forkScoped(keep(first))
  })

/** Runs the components until the process is told to end. */
export const run = (home: string, components: readonly Component[]): Effect.Effect<void, Error, Scope.Scope> =>
  Effect.gen(function* () {
    const config = yield* Effect.promise(() => loadOrCreateConfig(home, say))
    yield* Effect.promise(() => ensurePki(home, config))
    const failed = yield* Deferred.make<never, Error>()
    const place: Place = {
      home,
      config,
      warn: (component, error) => say(`${component}: ${messageOf(error)}`),
      fatal: (component, error) => {
        say(`${component} can't go on: ${messageOf(error)}`)
        Effect.runFork(Deferred.fail(failed, error instanceof Error ? error : new Error(String(error))))
      }
    }
    const has = (component: Component): boolean => components.includes(component)
    if (has('apiserver')) yield* natsKeeper(home, config)
    let api: RunningApiServer | undefined
    if (has('apiserver')) api = yield* apiserver(place)
    if (has('controller-manager')) yield* controllerManager(place, api)
    if (has('scheduler')) yield* scheduler(place, api)
    if (has('kubelet') || has('kube-proxy') || has('dns')) {
      const { agent } = yield* Effect.promise(() => import('./components/agent.ts'))
      yield* agent(place, components)
    }
    say(`running: ${components.join(', ')}`)
    yield* Deferred.await(failed)
  })

export const runComponents = (home: string, components: readonly Component[]): void =>
  NodeRuntime.runMain(Effect.scoped(run(home, components)), {
    teardown: (exit, done) => done(exit._tag === 'Success' || exit.cause.reasons.every((reason) => reason._tag === 'Interrupt') ? 0 : 1)
  })

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const option = (name: string): string | undefined => {
    const at = process.argv.indexOf(name)
    return at < 0 ? undefined : process.argv[at + 1]
  }
  const named = option('--components')?.split(',') as Component[] | undefined
  runComponents(option('--home') ?? resolveHome(), named ?? COMPONENTS)
}
