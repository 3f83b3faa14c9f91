/** The machine's processes, from /proc: `ps` is in a package a bare Debian lacks. */
import { readdirSync } from 'node:fs'
import { argumentsOf } from '#ops/setup/process.ts'

/** Their command lines, as `ps -eo args` prints them. */
export const commandLines = (): string[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => argumentsOf(Number(pid)).join(' '))
