/** One at a time: a file that says which process is at work. One whose process is gone counts for nothing. */
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { identify, isProcess } from './process.ts'

/** Held by what reads or changes all of a home's log. */
export const keepingLock = (home: string): string => join(home, 'run/keeping.lock')

interface Holder {
  readonly what: string
  readonly host: string
  readonly pid: number
  readonly startTime: string
  /** RFC 3339. */
  readonly since: string
}

const read = (path: string): Holder | undefined => {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Holder
  } catch {
    return undefined
  }
}

/** Of another machine's processes nothing is known: its lock counts until somebody removes it. */
const isAlive = ({ host, pid, startTime }: Holder): boolean => host !== hostname() || isProcess({ pid, startTime, program: '' })

/** Who holds the lock now, as a sentence's beginning; undefined when nobody does. */
export const heldBy = (path: string): string | undefined => {
  const holder = read(path)
  if (holder === undefined || !isAlive(holder)) return undefined
  return `${holder.what} is at work since ${holder.since} (process ${holder.pid}${holder.host === hostname() ? '' : ` on ${holder.host}`})`
}

/** Returns what gives the lock back. Throws when another process that lives has it. */
export const takeLock = (path: string, what: string): (() => void) => {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const own = `${path}.${process.pid}`
  const mine = {
    what,
    host: hostname(),
    pid: process.pid,
    startTime: identify(process.pid)?.startTime ?? '',
    since: new Date().toISOString()
  } satisfies Holder
  for (let tries = 0; ; tries++) {
    try {
      writeFileSync(own, JSON.stringify(mine), { mode: 0o600 })
      // It appears with its content, or not at all because there is one.
      linkSync(own, path)
      return () => rmSync(path, { force: true })
    } catch (error) {
      if ((error as { code?: string }).code !== 'EEXIST') throw error
      const held = heldBy(path)
      if (held !== undefined || tries > 2)
        throw new Error(
          `${held ?? 'another process is at work'}; wait for it${held?.includes(' on ') === true ? `, or remove ${path} when it is gone` : ''}`
        )
      rmSync(path, { force: true })
    } finally {
      rmSync(own, { force: true })
    }
  }
}
