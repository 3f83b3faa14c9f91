/** The files with the results: the page, and the lines beside it that the next run goes on from. */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import type Docker from 'dockerode'
import { findProgram, PROJECT, run } from '#ops/setup/project.ts'
import { formatResults, parseResults, type Result } from './results.ts'
import { type Circumstances, renderTable } from './table.ts'

export interface Page {
  readonly results: Map<string, Result>
  /** Writes both; each appears whole. */
  write(specs: readonly string[], circumstances: Circumstances): void
}

/** The page at `path` (…`.md`) with the results it has so far. */
export const openPage = (path: string, version: string): Page => {
  const twin = path.replace(/\.md$/, '.tsv')
  const results = existsSync(twin) ? parseResults(version, readFileSync(twin, 'utf8')) : new Map<string, Result>()
  const whole = (to: string, content: string): void => {
    writeFileSync(`${to}.new`, content)
    renameSync(`${to}.new`, to)
  }
  return {
    results,
    write: (specs, circumstances) => {
      whole(twin, formatResults(version, results.values()))
      whole(path, renderTable(specs, results, circumstances))
    }
  }
}

/** "2 cores, 23 GiB, Debian GNU/Linux 12 (bookworm), Linux 6.18.44, Docker Engine 20.10.24". */
export const machineOf = async (docker: Docker): Promise<string> => {
  const { Version: engine, KernelVersion: kernel = '' } = (await docker.version()) as { Version: string; KernelVersion?: string }
  const system = /^PRETTY_NAME="(.*)"$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'Linux'
  const memory = Math.round(totalmem() / 2 ** 30)
  return `${cpus().length} cores, ${memory} GiB, ${system}, Linux ${kernel.replace(/-.*/, '')}, Docker Engine ${engine}`
}

/** The commit of this checkout, and whether it is what is in it; undefined without git or outside a repository. */
export const commitOf = async (): Promise<string | undefined> => {
  if (findProgram('git') === undefined || !existsSync(join(PROJECT, '.git'))) return undefined
  try {
    const commit = (await run('git', ['-C', PROJECT, 'rev-parse', '--short=10', 'HEAD'])).trim()
    // The page itself changes with every result.
    const changed = await run('git', ['-C', PROJECT, 'status', '--porcelain', '--', '.', ':!ops/docs'])
    return changed.trim() === '' ? commit : `${commit}, with changes`
  } catch {
    return undefined
  }
}
