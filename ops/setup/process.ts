/** Processes by identity: a pid alone may be another program's by the time it is used. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'

export interface ProcessIdentity {
  readonly pid: number
  /** Clock ticks after boot at which the process started (proc(5), field 22). */
  readonly startTime: string
  readonly program: string
}

/** The identity of a live process; undefined for one that is gone or a zombie. */
export const identify = (pid: number): ProcessIdentity | undefined => {
  if (!Number.isInteger(pid) || pid <= 0) return undefined
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The program's name stands in brackets and may hold anything: fields are counted behind the last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined
    return { pid, startTime: fields[19] ?? '', program: readlinkSync(`/proc/${pid}/exe`).replace(/ \(deleted\)$/, '') }
  } catch {
    return undefined
  }
}

export const isProcess = (known: ProcessIdentity): boolean => {
  const now = identify(known.pid)
  return now !== undefined && now.startTime === known.startTime
}

const TICKS = 100

/** Milliseconds since a process was started. */
export const ageOf = ({ startTime }: ProcessIdentity): number =>
  (Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) - Number(startTime) / TICKS) * 1000

/** What a process has done so far, to tell one that works from one that hangs. */
export interface Progress {
  /** One letter, proc(5): `D` waits for a disk, `T` was stopped by somebody. */
  readonly state: string
  /** Changes whenever it computes, reads or writes. */
  readonly done: string
}

/** Undefined for a process that is gone. */
export const progressOf = ({ pid }: ProcessIdentity): Progress | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return { state: fields[0] ?? '', done: [fields[11], fields[12], readFileSync(`/proc/${pid}/io`, 'utf8')].join(' ') }
  } catch {
    return undefined
  }
}

/** The arguments a process was started with; empty when it is gone. */
export const argumentsOf = (pid: number): string[] => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1)
  } catch {
    return []
  }
}

/** The live processes whose arguments are such. */
export const processesWhere = (wanted: (given: readonly string[]) => boolean): readonly ProcessIdentity[] =>
  readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && wanted(argumentsOf(pid)))
    .flatMap((pid) => identify(pid) ?? [])

/** Asks a process to end and returns when it has; kills it after `limit` milliseconds. Says which of the two it was. */
export const stopProcess = async (known: ProcessIdentity, limit: number): Promise<'ended' | 'killed' | 'gone'> => {
  if (!signal(known, 'SIGTERM')) return 'gone'
  const deadline = Date.now() + limit
  let killed = false
  while (isProcess(known)) {
    if (Date.now() > deadline) {
      killed = true
      signal(known, 'SIGKILL')
    }
    await wait(20)
  }
  return killed ? 'killed' : 'ended'
}

/** Ends a process at once, and returns when it is gone. */
export const killProcess = async (known: ProcessIdentity): Promise<void> => {
  signal(known, 'SIGKILL')
  while (isProcess(known)) await wait(10)
}

const signal = (known: ProcessIdentity, name: NodeJS.Signals): boolean => {
  if (!isProcess(known)) return false
  try {
    process.kill(known.pid, name)
    return true
  } catch {
    return false
  }
}
