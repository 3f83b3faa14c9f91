/** Who keeps a cluster's process running: found, started, asked and ended. */
import { spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SUPERVISOR, told } from '#ops/environment.ts'
import { configPath, privateFolder, writeSecret, type ClusterConfig } from '#ops/home.ts'
import { argumentsOf, identify, stopProcess, type ProcessIdentity } from '#ops/setup/process.ts'
import { findProgram, PROJECT, run } from '#ops/setup/project.ts'
import { PAUSES_MS, STEADY_IF_KILLED_MS, STEADY_MS } from './backoff.ts'
import { chooseSupervisor, parentState, unitState, valuesOf, type SupervisorKind, type SupervisorState } from './decide.ts'
import { environmentLine, isUnitName, renderEnvironment, renderUnit, unitName } from './unit.ts'

export interface Supervised {
  readonly home: string
  readonly config: ClusterConfig
  readonly command: readonly string[]
  /** Where the process writes. */
  readonly log: string
}

const SCRIPT = join(import.meta.dirname, 'supervise.sh')
const ENDED = join(import.meta.dirname, 'ended.sh')
const UNITS = '/etc/systemd/system'
const STOP_LIMIT_MS = 40_000

const runFolder = (home: string): string => join(home, 'run')
const stateFile = (home: string): string => join(runFolder(home), 'supervisor')
const environmentFile = (home: string): string => join(runFolder(home), 'environment')
const endedFile = (home: string): string => join(runFolder(home), 'ended')
const unitFile = ({ instance }: ClusterConfig): string => join(UNITS, unitName(instance))
const read = (path: string): string => (existsSync(path) ? readFileSync(path, 'utf8') : '')

const supervisorKind = (): SupervisorKind =>
  chooseSupervisor({
    chosen: told(SUPERVISOR),
    booted: existsSync('/run/systemd/system'),
    systemctl: findProgram('systemctl') !== undefined,
    root: process.getuid?.() === 0
  })

/** The arguments are those of a home's small parent. */
export const isParentOf = (home: string, given: readonly string[]): boolean => given.includes(SCRIPT) && given.includes(runFolder(home))

/** The small parent of this home, if it runs. */
const runningParent = (home: string): ProcessIdentity | undefined => {
  const pid = Number(valuesOf(read(stateFile(home))).get('supervisor') ?? 0)
  return isParentOf(home, argumentsOf(pid)) ? identify(pid) : undefined
}

const systemctl = (...args: readonly string[]): Promise<string> => run('systemctl', args, { timeout: 60_000 })
const hasSystemd = (): boolean => existsSync('/run/systemd/system') && findProgram('systemctl') !== undefined
const hasUnit = (config: ClusterConfig): boolean => existsSync(unitFile(config)) && hasSystemd()
const shown = async (config: ClusterConfig): Promise<string> =>
  systemctl('show', '-p', 'ActiveState,SubState,NRestarts', unitName(config.instance)).catch(() => '')

/** Who keeps it running now, and what is known of it; undefined when nobody does. */
export const supervisorState = async (home: string, config: ClusterConfig): Promise<SupervisorState | undefined> => {
  if (runningParent(home) !== undefined) return parentState(read(stateFile(home)))
  if (!hasUnit(config)) return undefined
  const text = await shown(config)
  return ['inactive', 'failed', ''].includes(valuesOf(text).get('ActiveState') ?? '')
    ? undefined
    : unitState(unitName(config.instance), text, read(endedFile(home)))
}

/** What of our environment the process needs as well. */
const environmentOf = (home: string): Record<string, string> => ({
  ...Object.fromEntries(
    Object.entries(process.env).filter(
      ([name, value]) =>
        value !== undefined && (/^(RECKON_|NODE_EXTRA_CA_CERTS$|TZ$|LANG$|https?_proxy$|no_proxy$)/i.test(name) || name === 'PATH')
    ) as [string, string][]
  ),
  RECKON_HOME: home
})

/** Starts who keeps it running. `adopt`: a process that runs already, without anybody; it goes on. */
export const startSupervisor = async (supervised: Supervised, adopt?: ProcessIdentity): Promise<void> => {
  const { home } = supervised
  privateFolder(runFolder(home))
  const other = runningParent(home)
  if (other !== undefined) throw new Error(`the cluster's supervisor did not start: process ${other.pid} is it already`)
  if (supervisorKind() === 'systemd') return startUnit(supervised, adopt)
  const { command, log } = supervised
  const output = openSync(log, 'a', 0o600)
  const inSeconds = PAUSES_MS.map((ms) => ms / 1000).join(' ')
  const child = spawn('sh', [SCRIPT, runFolder(home), inSeconds, String(STEADY_MS / 10), String(STEADY_IF_KILLED_MS / 10), ...command], {
    detached: true,
    stdio: ['ignore', output, output],
    cwd: PROJECT,
    env: { ...process.env, RECKON_HOME: home, ...(adopt === undefined ? {} : { RECKON_ADOPT: `${adopt.pid}:${adopt.startTime}` }) }
  })
  closeSync(output)
  let failure: string | undefined
  child.on('error', (error) => (failure = error.message))
  child.on('exit', (code, signal) => (failure ??= `it ended with ${code ?? signal}`))
  child.unref()
  await until(() => failure !== undefined || runningParent(home) !== undefined)
  if (failure !== undefined) throw new Error(`the cluster's supervisor did not start: ${failure}; see ${log}`)
}

const startUnit = async ({ home, config, command, log }: Supervised, adopt: ProcessIdentity | undefined): Promise<void> => {
  // systemd takes no process over that it did not start.
  if (adopt !== undefined) await stopProcess(adopt, STOP_LIMIT_MS)
  const version = Number(/systemd (\d+)/.exec(await systemctl('--version'))?.[1] ?? 0)
  rmSync(endedFile(home), { force: true })
  writeSecret(environmentFile(home), renderEnvironment(environmentOf(home)))
  writeFileSync(
    unitFile(config),
    renderUnit({
      home,
      config: configPath(home),
      instance: config.instance,
      command,
      directory: PROJECT,
      log,
      onEnd: ['/bin/sh', ENDED, endedFile(home)],
      environmentFile: environmentFile(home),
      version
    }),
    { mode: 0o644 }
  )
  await systemctl('daemon-reload')
  await systemctl('enable', '--quiet', unitName(config.instance))
  await systemctl('restart', unitName(config.instance))
}

/** Ends a pause before the next start, if it is in one. */
export const wakeSupervisor = async (home: string, config: ClusterConfig): Promise<void> => {
  const parent = runningParent(home)
  if (parent !== undefined) process.kill(parent.pid, 'SIGUSR1')
  else if (hasUnit(config)) await systemctl('start', unitName(config.instance))
}

/** Ends whoever keeps it running, and the process with it. True when there was somebody. */
export const stopSupervisor = async (home: string, config: ClusterConfig): Promise<boolean> => {
  const parent = runningParent(home)
  if (parent !== undefined) await stopProcess(parent, STOP_LIMIT_MS)
  rmSync(stateFile(home), { force: true })
  if (!hasUnit(config)) return parent !== undefined
  await removeUnit(unitName(config.instance))
  return true
}

/** Takes away the units of a home that is gone itself, and with it the name of its cluster. Returns theirs. */
export const removeUnitsOf = async (home: string): Promise<readonly string[]> => {
  if (!hasSystemd() || !existsSync(UNITS)) return []
  const line = environmentLine(environmentFile(home))
  const units = readdirSync(UNITS).filter((name) => isUnitName(name) && read(join(UNITS, name)).split('\n').includes(line))
  for (const unit of units) await removeUnit(unit)
  return units
}

const removeUnit = async (unit: string): Promise<void> => {
  await systemctl('disable', '--now', '--quiet', unit)
  rmSync(join(UNITS, unit), { force: true })
  await systemctl('daemon-reload')
  await systemctl('reset-failed', unit).catch(() => '')
}

const until = async (done: () => boolean, ms = 5_000): Promise<void> => {
  for (const deadline = Date.now() + ms; !done() && Date.now() < deadline;) await new Promise((resolve) => setTimeout(resolve, 20))
}
