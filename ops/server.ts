/**
 * A cluster's process: nats-server's keeper and the components, all of them by default, or those that are named.
 * Effect owns their lifetimes: what began first ends last, whatever ends the process.
 */
import { pathToFileURL } from 'node:url'
import * as NodeRuntime from '@effect/platform-node/NodeRuntime'
import * as Deferred from 'effect/Deferred'
import * as Effect from 'effect/Effect'
import * as Layer from 'effect/Layer'
import type { RunOptions } from '#services/cli/Environment.ts'
import { COMPONENTS, componentsOf, type Component } from '#services/platform/components.ts'
import { resolveHome } from './environment.ts'
import { privateFolder, readConfig, upgradeConfig, type ClusterConfig } from './home.ts'
import { ApiServer } from './components/apiserver.ts'
import { besideDisk, besideLog } from './components/beside.ts'
import { chores, choresOf, type Chore } from './components/chores.ts'
import { Access, controllerManager, scheduler } from './components/control.ts'
import { damaged } from './components/damaged.ts'
import { diskCondition } from './components/diskCondition.ts'
import { LogDisk } from './components/disk.ts'
import { attempt, damagesIn, Fatal, messageOf, usable } from './components/errors.ts'
import { Keeper, OpenLog } from './components/openLog.ts'
import { OwnHome } from './components/ownHome.ts'
import { Place, say } from './components/place.ts'
import { renewal } from './components/renew.ts'
import { inOrder } from './components/scoped.ts'
import { dropCopy, storeFolder } from './nats/store.ts'
import { rememberDamage } from './log/damage.ts'
import { ensurePki } from './pki/pki.ts'
import { claimHome } from './running.ts'

// A full disk takes no log lines; that is no reason to end.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

/** Not made here: a home whose disk is not mounted yet, or that is gone, is no new cluster. */
const configOf = (home: string): ClusterConfig => {
  const config = readConfig(home)
  if (config === undefined) throw new Error(`there is no cluster in ${home}; \`reckon up\` makes one`)
  return config
}

/** An API server beside the home's own: the cluster's configuration, but for its port. */
const besideOf = (config: ClusterConfig, securePort: number): ClusterConfig => {
  if (!(securePort > 0 && securePort < 65_536)) throw new Error(`--secure-port: ${securePort} is no port`)
  if (securePort === config.apiPort) throw new Error(`--secure-port: ${securePort} is the home's own API server's; name another one`)
  return { ...config, apiPort: securePort }
}

/** What the process owes to who asks whether to send work here: it is the last to begin, and so the first to know of the end. */
const ready = Layer.effectDiscard(
  Effect.gen(function* () {
    const api = yield* ApiServer
    yield* Effect.addFinalizer(() => Effect.sync(() => api.ending()))
  })
)

/** The node's part is not loaded where there is none. */
const onNode = (components: readonly Component[]) =>
  components.some((name) => name === 'kubelet' || name === 'kube-proxy' || name === 'dns')
    ? [
        Layer.unwrap(
          Effect.map(
            Effect.promise(() => import('./components/agent.ts')),
            ({ agent }) => agent(components)
          )
        )
      ]
    : []

/** The copy of what nats-server was about to write anew is not needed once the log was read whole. */
const copyDropped = Layer.effectDiscard(Effect.map(Place, ({ home }) => dropCopy(home)))

/** What is done once for the log, by the process whose home it is. */
const lookingAfter = (asked: readonly Chore[]) => [copyDropped, renewal, diskCondition, chores(asked)]

/** Everything beside an API server of its own. */
const withApiServer = (components: readonly Component[], before: ReturnType<typeof lookingAfter> | readonly []) =>
  inOrder([
    ...before,
    ...(components.includes('controller-manager') ? [controllerManager.pipe(Layer.provide(Access.beside('controller-manager')))] : []),
    ...(components.includes('scheduler') ? [scheduler.pipe(Layer.provide(Access.beside('scheduler')))] : []),
    ...onNode(components),
    ready
  ]).pipe(Layer.provide(ApiServer.layer))

const withoutApiServer = (components: readonly Component[]) =>
  inOrder([
    ...(components.includes('controller-manager') ? [controllerManager.pipe(Layer.provide(Access.overNats('controller-manager')))] : []),
    ...(components.includes('scheduler') ? [scheduler.pipe(Layer.provide(Access.overNats('scheduler')))] : []),
    ...onNode(components)
  ])

/** The process: read from below, for what a line provides begins before what is above it, and ends after. */
const composed = (components: readonly Component[], asked: readonly Chore[], securePort: number | undefined) => {
  if (!components.includes('apiserver')) return withoutApiServer(components).pipe(Layer.provide(OwnHome.layer(false)))
  if (securePort !== undefined) {
    return withApiServer(components, []).pipe(
      Layer.provide(besideDisk),
      Layer.provide(besideLog(securePort)),
      Layer.provide(OwnHome.layer(false))
    )
  }
  return withApiServer(components, lookingAfter(asked)).pipe(
    Layer.provide(OpenLog.kept),
    // What had begun above ends; nats-server stays, for who looks, and a server that says what is wrong takes the API server's place.
    Layer.catchTag('DamagedLog', ({ damages }) => damaged(damages)),
    Layer.provide(Keeper.layer),
    Layer.provide(LogDisk.kept),
    Layer.provide(OwnHome.layer(true))
  )
}

/** What ends it from within. */
const placeOf = (home: string, config: ClusterConfig, failed: Deferred.Deferred<never, Fatal>): Place['Service'] => ({
  home,
  config,
  warn: (component, error) => say(`${component}: ${messageOf(error)}`),
  fatal: (component, cause) => {
    // First: who reads the line may end the process, and the next start has to know.
    rememberDamage(home, damagesIn(cause))
    say(`${component} can't go on: ${messageOf(cause)}`)
    Effect.runFork(Deferred.fail(failed, new Fatal({ message: messageOf(cause), cause })))
  }
})

/** Runs the components until the process is told to end. */
export const run = (home: string, components: readonly Component[], { securePort }: RunOptions = {}) =>
  Effect.gen(function* () {
    const known = yield* usable(() => configOf(home))
    const config = yield* usable(() => (securePort === undefined ? known : besideOf(known, securePort)))
    if (securePort === undefined) upgradeConfig(home, config)
    const asked = yield* usable(() => choresOf(config))
    // A machine that joined has the authority's certificate alone, and none to make.
    if (config.natsURLs === undefined) yield* attempt('the certificates', () => ensurePki(home, config))
    if (components.includes('apiserver')) privateFolder(storeFolder(home))
    const failed = yield* Deferred.make<never, Fatal>()
    const place = placeOf(home, config, failed)
    yield* Layer.build(composed(components, asked, securePort)).pipe(Effect.provideService(Place, place))
    say(`running: ${components.join(', ')}`)
    yield* Deferred.await(failed)
  })

const runComponents = (home: string, components: readonly Component[]): void =>
  NodeRuntime.runMain(Effect.scoped(run(home, components)), {
    teardown: (exit, done) => done(exit._tag === 'Success' || exit.cause.reasons.every((reason) => reason._tag === 'Interrupt') ? 0 : 1)
  })

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const option = (name: string): string | undefined => {
    const at = process.argv.indexOf(name)
    return at < 0 ? undefined : process.argv[at + 1]
  }
  const home = option('--home') ?? resolveHome()
  let named: readonly Component[] = COMPONENTS
  try {
    const given = option('--components')
    // Asked before anything is written: who looks for an empty home must not find our pid in it.
    const { settings } = configOf(home)
    if (given !== undefined) named = componentsOf(given.split(','), '--components')
    else if (settings?.components !== undefined) named = componentsOf(settings.components, 'settings.components')
    claimHome(home)
  } catch (error) {
    say(messageOf(error))
    // A full disk takes no pid file; who looks for the process then looks in vain, and that is all.
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') process.exit(1)
  }
  runComponents(home, named)
}
