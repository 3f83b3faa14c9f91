/** Where a backup is restored to: an empty home, of a cluster that does not run; or of a copy of it, beside it. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { chooseConfig, configPath, isFree, restoringFile, type ClusterConfig } from '#ops/home.ts'

/** What processes that outlived their home make again, by writing into it. */
const LEAVINGS: ReadonlySet<string> = new Set(['run', 'log', 'ledger'])

/** Deepest first, so that they can be unmounted in this order. Spaces and the like are as octal numbers there (proc(5)). */
const mountsBelow = (home: string): readonly string[] =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => (line.split(' ')[4] ?? '').replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))))
    .filter((path) => path.startsWith(`${home}/`))
    .reverse()

/** Throws unless it is a home that a backup may be restored into. */
export const mustBeEmpty = (home: string): void => {
  if (!existsSync(home) || existsSync(restoringFile(home))) return
  const there = readdirSync(home).filter((name) => !LEAVINGS.has(name) || existsSync(configPath(home)))
  if (there.length === 0) return
  const mounts = mountsBelow(home)
  const still =
    mounts.length === 0
      ? ''
      : `. Of a cluster that was here this is still mounted: ${mounts.join(', ')}; \`umount --lazy ${mounts.join(' ')}\`, then remove the folder`
  throw new Error(
    `${home} is not empty (${there.slice(0, 3).join(', ')}): a backup is restored into an empty home. Name one with --home or RECKON_HOME; what is in this one stays as it is${still}`
  )
}

/** Throws when what it is a backup of seems to run. */
export const mustBeFree = async (config: ClusterConfig): Promise<void> => {
  for (const [what, port] of [
    ['API server', config.apiPort],
    ["log's server", config.natsPort]
  ] as const)
    if (!(await isFree(port)))
      throw new Error(
        `port ${port}, the ${what}'s, is in use: does the cluster that was backed up still run? Stop it, or restore beside it with --as-copy`
      )
}

/** With names, ports and networks of its own; it runs nothing and backs up nothing until somebody says so. */
export const copyOf = async (original: ClusterConfig): Promise<ClusterConfig> => {
  const { backup: _, ...settings } = original.settings ?? {}
  const { name, clusterDomain, nodeName } = original
  return {
    ...(await chooseConfig(original)),
    name: `${name}-copy`,
    clusterDomain,
    nodeName,
    settings: { ...settings, components: ['apiserver'] }
  }
}
