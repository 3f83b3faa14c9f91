/** What stands in a bare system: processes, interfaces, mounts, rules, passing files; and what of it was not there before. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BareSystem } from './system.ts'

export interface Standing {
  readonly processes: readonly string[]
  readonly interfaces: readonly string[]
  readonly mounts: readonly string[]
  readonly rules: readonly string[]
  /** In /tmp. */
  readonly files: readonly string[]
}

export const look = async (system: BareSystem): Promise<Standing> => {
  const own = (file: string): string => readFileSync(`/proc/${system.pid}/${file}`, 'utf8')
  return {
    processes: processesIn(`/proc/${system.pid}/root/proc`),
    interfaces: own('net/dev')
      .split('\n')
      .flatMap((line) => /^\s*([^\s:|]+):/.exec(line)?.[1] ?? []),
    mounts: own('mounts')
      .split('\n')
      .flatMap((line) => line.split(' ')[1] ?? []),
    rules: existsSync(join(system.root, 'usr/sbin/iptables-save'))
      ? rulesOf((await system.run(['iptables-save'], { limitMs: 10_000 })).output)
      : [],
    files: readdirSync(join(system.root, 'tmp')).map((name) => `/tmp/${name}`)
  }
}

/** The command lines of a mounted proc(5); kernel threads and zombies have none. */
const processesIn = (proc: string): string[] =>
  readdirSync(proc).flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return []
    try {
      const line = readFileSync(join(proc, pid, 'cmdline'), 'utf8')
        .replaceAll('\0', ' ')
        .trim()
      return line === '' ? [] : [line]
    } catch {
      return []
    }
  })

/** Rules, chains that are not the kernel's own, and policies that are not its own, out of `iptables-save`. */
export const rulesOf = (saved: string): string[] =>
  saved
    .split('\n')
    .filter((line) => line.startsWith('-A ') || /^:\S+ (?!ACCEPT\b)/.test(line))
    .map((line) => line.replace(/ \[\d+:\d+\]$/, ''))

const WORDS: Readonly<Record<keyof Standing, string>> = {
  processes: 'process',
  interfaces: 'interface',
  mounts: 'mount',
  rules: 'rule',
  files: 'file'
}

/** What stands after that did not before, in words. */
export const whatIsLeft = (before: Standing, after: Standing): string[] =>
  Object.entries(WORDS).flatMap(([kind, word]) => {
    const known = [...before[kind as keyof Standing]]
    return after[kind as keyof Standing].flatMap((each) => {
      const at = known.indexOf(each)
      if (at === -1) return [`${word} ${each}`]
      known.splice(at, 1)
      return []
    })
  })
