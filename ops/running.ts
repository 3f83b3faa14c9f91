/** The control plane's process of a home: what it is started with, and whether it runs. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeSecret } from './home.ts'
import { argumentsOf, identify, type ProcessIdentity } from './setup/process.ts'

const SERVER = join(import.meta.dirname, 'server.ts')

const pidFile = (home: string): string => join(home, 'run/reckon.pid')
export const logFile = (home: string): string => join(home, 'log/reckon.log')

export const commandOf = (home: string): readonly string[] => [process.execPath, SERVER, '--home', home]

/** The arguments are those of a home's process. */
export const isClusterOf = (home: string, given: readonly string[]): boolean => given.includes(SERVER) && given.includes(home)

/** The home's process, if it runs: the pid file's, started for this home. */
export const runningCluster = (home: string): ProcessIdentity | undefined => {
  if (!existsSync(pidFile(home))) return undefined
  const pid = Number(readFileSync(pidFile(home), 'utf8').trim())
  return isClusterOf(home, argumentsOf(pid)) ? identify(pid) : undefined
}

/** Writes down that this process is the home's. Throws when another one is, and runs. */
export const claimHome = (home: string): void => {
  const other = runningCluster(home)
  if (other !== undefined && other.pid !== process.pid) throw new Error(`the cluster in ${home} runs already, as process ${other.pid}`)
  writeSecret(pidFile(home), `${process.pid}\n`)
}
