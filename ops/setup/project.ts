/** Where this checkout stands, and the two helpers every installer shares: finding and running programs. */
import { execFile } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { basename, delimiter, join } from 'node:path'

export const PROJECT = join(import.meta.dirname, '../..')
/** Downloads kept beside the project; safe to delete. */
export const CACHE = join(PROJECT, '.cache')

export type Report = (line: string) => void

/** The path of a program on PATH or in the administrator's folders, which a plain user's PATH lacks. */
export const findProgram = (name: string, env: NodeJS.ProcessEnv = process.env): string | undefined => {
  for (const folder of [...(env['PATH'] ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin']) {
    if (folder === '') continue
    const path = join(folder, name)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {
      continue
    }
  }
  return undefined
}

/** Runs a program to its end and returns what it wrote. Throws with the last lines of its output when it fails. */
export const run = (
  command: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv; readonly timeout?: number } = {}
): Promise<string> =>
  new Promise((resolve, reject) => {
    execFile(command, args, { ...options, maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout)
      const tail = `${stdout}\n${stderr}`.trim().split('\n').slice(-8).join('\n  ')
      reject(
        new Error(
          `${[basename(command), args.find((word) => /^[a-z-]+$/.test(word) && !word.startsWith('-'))].join(' ').trim()} failed: ${tail === '' ? error.message : `\n  ${tail}`}`
        )
      )
    })
  })
