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
import type { RunOptions } from '#services/cli/Environment.ts'
import { COMPONENTS, componentsOf, type Component } from '#services/platform/components.ts'
import { privateFolder, readConfig, resolveHome, upgradeConfig, type ClusterConfig } from './home.ts'
import { apiserver, type RunningApiServer } from './components/apiserver.ts'
import { ownHistory, ownLedgers, seenDisk } from './components/beside.ts'
import type { Place } from './components/connection.ts'
import { controllerManager, scheduler } from './components/control.ts'
import { damaged } from './components/damaged.ts'
import { chores, choresOf } from './components/chores.ts'
import { logDisk, tellOfDisk, type LogDisk } from './components/disk.ts'
import { ownHome, type HomeWatch } from './components/ownHome.ts'
import { renewal } from './components/renew.ts'
import { LogKeeper } from './nats/keeper.ts'
import { dropCopy, noteBlocks, storeFolder } from './nats/store.ts'
import { rememberDamage } from './log/damage.ts'
import { ensurePki } from './pki/pki.ts'
import { claimHome } from './running.ts'

// A full disk takes no log lines; that is no reason to end.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

const say = (line: string): void => void process.stdout.write(`${new Date().toISOString()} ${line}\n`)
const messageOf = (error: unknown): string => (error instanceof Error ? `${error.message}` : String(error))

/** How often finished files of the log are written down. */
const NOTE_EVERY = '1 minute'

/** Keeps nats-server running. Ends with what is wrong with the log when it can't be opened as it was. */
const keepLog = (place: Place, disk: LogDisk, own: HomeWatch): Effect.Effect<readonly Damage[], Error, Scope.Scope> =>
  Effect.gen(function* () {
    const { home, config } = place
    const prepare = async (): Promise<void> => {
      // A start would make the folders anew, and an empty log in them.
      await own.look()
      own.check.check()
      disk.complaints.reset()
      await disk.watch.look()
    }
    const keeper = yield* Effect.acquireRelease(
      Effect.sync(() => new LogKeeper({ home, config, report: say, prepare, onDamaged: (damage) => place.fatal('the log', new LogDamaged(damage)) })),
      // Whatever else fails first in a home that is gone: the server must not outlive it.
      (open) => Effect.promise(async () => {
        await own.look().catch(() => {})
        if (own.closed() !== undefined) await open.abandon()
        open.stop()
      })
    )
    disk.keeper = keeper
    own.onGone(() => void keeper.abandon())
    const damages = yield* Effect.tryPromise({ try: () => keeper.open(), catch: (cause) => new Error(messageOf(cause), { cause }) })
    if (damages.length > 0) return damages
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

/** Runs the components until the process is told to end. */
export const run = (home: string, components: readonly Component[], { securePort }: RunOptions = {}): Effect.Effect<void, Error, Scope.Scope> =>
  Effect.gen(function* () {
    const known = yield* Effect.try({ try: () => configOf(home), catch: (error) => error as Error })
    const config = yield* Effect.try({ try: () => (securePort === undefined ? known : besideOf(known, securePort)), catch: (error) => error as Error })
    if (securePort === undefined) upgradeConfig(home, config)
    const asked = yield* Effect.try({ try: () => choresOf(config), catch: (error) => error as Error })
    // A machine that joined has the authority's certificate alone, and none to make.
    if (config.natsURLs === undefined) yield* Effect.promise(() => ensurePki(home, config))
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
    let api: RunningApiServer | undefined
    const beside = securePort !== undefined
    if (has('apiserver')) privateFolder(storeFolder(home))
    const own = yield* ownHome(place, has('apiserver') && !beside)
    if (has('apiserver') && beside) {
      const ledgers = yield* Effect.try({ try: () => ownLedgers(home, securePort), catch: (cause) => new Error(`the log of ${home} is not there yet; start the cluster with \`reckon up\``, { cause }) })
      api = yield* apiserver({ ...place, ledgers, history: ownHistory(home, securePort) }, yield* seenDisk(place), own, true)
    } else if (has('apiserver')) {
      const disk = yield* logDisk(place)
      const damages = yield* keepLog(place, disk, own)
      if (damages.length > 0) return yield* Effect.raceFirst(damaged(place, damages), Deferred.await(failed))
      const started = yield* apiserver(place, disk, own).pipe(Effect.catchIf((error) => damagesIn(error) !== undefined, (error) => Effect.succeed(damagesIn(error) ?? [])))
      if (!('decider' in started)) return yield* Effect.raceFirst(damaged(place, started), Deferred.await(failed))
      api = started
      dropCopy(home)
      yield* renewal(place, api, own)
      yield* tellOfDisk(place, disk, started)
      yield* chores(place, api, asked)
    }
    if (has('controller-manager')) yield* controllerManager(place, api)
    if (has('scheduler')) yield* scheduler(place, api)
    if (has('kubelet') || has('kube-proxy') || has('dns')) {
      const { agent } = yield* Effect.promise(() => import('./components/agent.ts'))
      yield* agent(place, components)
    }
    // Comes last, and so goes first: who asks whether to send work here learns that this ends before anything else does.
    yield* Effect.addFinalizer(() => Effect.sync(() => api?.ending()))
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
