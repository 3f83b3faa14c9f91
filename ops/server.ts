/**
 * A cluster's process: nats-server's keeper and the components, all of them by default, or those that are named.
 * Effect owns their lifetimes: what began first ends last, whatever ends the process.
 */
import { pathToFileURL } from 'node:url'
import * as NodeRuntime from '@effect/platform-node/NodeRuntime'
import * as Deferred from 'effect/Deferred'
import * as Effect from 'effect/Effect'
import * as Schedule from 'effect/Schedule'
import type * as Scope from 'effect/Scope'
import { LogDamaged, type Damage } from '#events/Log.ts'
import { loadOrCreateConfig, readConfig, resolveHome } from './home.ts'
import { apiserver, type RunningApiServer } from './components/apiserver.ts'
import type { Place } from './components/connection.ts'
import { controllerManager, scheduler } from './components/control.ts'
import { damaged } from './components/damaged.ts'
import { chores, choresOf } from './components/chores.ts'
import { renewal } from './components/renew.ts'
import { openLog } from './nats/keeper.ts'
import type { NatsServer } from './nats/server.ts'
import { dropCopy, noteBlocks } from './nats/store.ts'
import { rememberDamage } from './log/damage.ts'
import { ensurePki } from './pki/pki.ts'

export const COMPONENTS = ['apiserver', 'scheduler', 'controller-manager', 'kubelet', 'kube-proxy', 'dns'] as const
export type Component = (typeof COMPONENTS)[number]

const say = (line: string): void => void process.stdout.write(`${new Date().toISOString()} ${line}\n`)
const messageOf = (error: unknown): string => (error instanceof Error ? `${error.message}` : String(error))

/** Between tries to start it again; a passing fault may pass late. */
const RETRIES = Schedule.min([Schedule.exponential('250 millis'), Schedule.spaced('10 seconds')])
/** How often finished files of the log are written down. */
const NOTE_EVERY = '1 minute'

/**
 * Keeps nats-server running: it is adopted when it runs, and started again when it dies, for ever. Ends with what is wrong
 * with the log when it can't be opened as it was.
 */
const keepLog = (place: Place): Effect.Effect<readonly Damage[], Error, Scope.Scope> =>
  Effect.gen(function* () {
    const { home, config } = place
    const open = Effect.tryPromise({ try: () => openLog(home, config, say), catch: (cause) => new Error(messageOf(cause), { cause }) })
    const first = yield* open
    if (first.server === undefined || first.damages.length > 0) return first.damages
    let server: NatsServer = first.server
    const keep = Effect.gen(function* () {
      for (;;) {
        yield* Effect.promise(() => server.exited)
        say('nats-server is gone; starting it again')
        const next = yield* open.pipe(
          Effect.tapError((error) => Effect.sync(() => say(`nats-server can't be started: ${error.message}; trying again`))),
          Effect.retry(RETRIES)
        )
        const [damage] = next.damages
        if (damage !== undefined) return place.fatal('the log', new LogDamaged(damage))
        server = next.server as NatsServer
      }
    })
    yield* Effect.forkScoped(keep)
    yield* Effect.forkScoped(
      Effect.tryPromise(() => noteBlocks(home, Date.now())).pipe(
        Effect.catch((error) => Effect.sync(() => place.warn('the log', error))),
        Effect.repeat(Schedule.spaced(NOTE_EVERY))
      )
    )
    return []
  })

/** What is wrong with the log, whoever found it; other failures stay failures. */
const damagesIn = (error: unknown): readonly Damage[] | undefined => (error instanceof LogDamaged ? [error.damage] : undefined)

/** Runs the components until the process is told to end. */
export const run = (home: string, components: readonly Component[]): Effect.Effect<void, Error, Scope.Scope> =>
  Effect.gen(function* () {
    const config = yield* Effect.promise(() => loadOrCreateConfig(home, say))
    const asked = yield* Effect.try({ try: () => choresOf(config), catch: (error) => error as Error })
    yield* Effect.promise(() => ensurePki(home, config))
    const failed = yield* Deferred.make<never, Error>()
    const place: Place = {
      home,
      config,
      warn: (component, error) => say(`${component}: ${messageOf(error)}`),
      fatal: (component, error) => {
        say(`${component} can't go on: ${messageOf(error)}`)
        rememberDamage(home, damagesIn(error) ?? [])
        Effect.runFork(Deferred.fail(failed, error instanceof Error ? error : new Error(String(error))))
      }
    }
    const has = (component: Component): boolean => components.includes(component)
    if (has('apiserver')) {
      const damages = yield* keepLog(place)
      if (damages.length > 0) return yield* damaged(place, damages)
    }
    let api: RunningApiServer | undefined
    if (has('apiserver')) {
      const started = yield* apiserver(place).pipe(Effect.catchIf((error) => damagesIn(error) !== undefined, (error) => Effect.succeed(damagesIn(error) ?? [])))
      if (!('decider' in started)) return yield* damaged(place, started)
      api = started
      dropCopy(home)
      yield* renewal(place, api)
      yield* chores(place, api, asked)
    }
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
  const home = option('--home') ?? resolveHome()
  const named = (option('--components')?.split(',') ?? readConfig(home)?.settings?.components) as Component[] | undefined
  runComponents(home, named ?? COMPONENTS)
}
