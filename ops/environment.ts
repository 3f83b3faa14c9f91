/**
 * What reckon is told by the environment: its own variables, all of them, read here and nowhere else. An empty one is none. (Left
 * alone: PATH, and what is passed on to programs that are started.)
 */
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import * as Config from 'effect/Config'
import * as ConfigProvider from 'effect/ConfigProvider'
import * as Effect from 'effect/Effect'
import * as Option from 'effect/Option'

const optional = (name: string): Config.Config<string | undefined> =>
  Config.option(Config.String(name)).pipe(Config.map(Option.getOrUndefined))

/** $RECKON_HOME, or a folder of the user's. Absolute. */
const HOME = Config.String('RECKON_HOME').pipe(
  Config.map((home) => resolve(home)),
  Config.orElse(() => Config.String('XDG_DATA_HOME').pipe(Config.map((data) => join(data, 'reckon')))),
  Config.orElse(() =>
    Config.String('HOME').pipe(
      Config.withDefault(homedir()),
      Config.map((home) => join(home, '.local/share/reckon'))
    )
  )
)

/** A nats-server to use instead of one that is found or fetched. */
export const NATS_SERVER = optional('RECKON_NATS_SERVER')
/** `systemd` or `parent`: who starts the cluster's process again. */
export const SUPERVISOR = optional('RECKON_SUPERVISOR')
/** Where `npm run bare` makes its systems. */
export const BARE_FOLDER = optional('RECKON_BARE_DIR')

/** For plain code. Nothing here can be missing, so nothing fails. */
export const told = <Value>(what: Config.Config<Value>, env: NodeJS.ProcessEnv = process.env): Value =>
  Effect.runSync(what.parse(ConfigProvider.fromEnvRecord(env)))

export const resolveHome = (env?: NodeJS.ProcessEnv): string => told(HOME, env)
