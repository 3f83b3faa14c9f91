/** A control group of the bare system's own in every hierarchy of this machine, so that Docker Engine in it finds one to work in. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'

export interface Hierarchy {
  /** The folder it is mounted on. */
  readonly mount: string
  /** The part of the hierarchy that is mounted there; `/` for all of it. */
  readonly root: string
  /** Mount options that name a version 1 hierarchy; empty for version 2. */
  readonly options: string
}

/** The hierarchies of a process' `mountinfo` (proc(5)). */
export const hierarchies = (mountinfo: string): Hierarchy[] =>
  mountinfo.split('\n').flatMap((line): Hierarchy[] => {
    const [mine = '', theirs = ''] = line.split(' - ')
    const [type, , superOptions = ''] = theirs.split(' ')
    const [, , , root = '/', mount = ''] = mine.split(' ')
    if (type === 'cgroup2') return [{ mount, root, options: '' }]
    if (type !== 'cgroup') return []
    const named = superOptions
      .split(',')
      .filter(
        (option) => option !== 'rw' && option !== 'ro' && !/^(xattr|release_agent|clone_children|cpuset_v2_mode|noprefix)/.test(option)
      )
    return [{ mount, root, options: named.some((option) => option.startsWith('name=')) ? ['none', ...named].join(',') : named.join(',') }]
  })

/** The group a process is in, out of `/proc/self/cgroup`. */
export const groupOf = ({ options }: Hierarchy, own: string): string => {
  const wanted = options.replace(/^none,/, '')
  for (const line of own.split('\n')) {
    const [, controllers, ...path] = line.split(':')
    if (controllers === wanted) return path.join(':')
  }
  return '/'
}

/**
 * Where a new group goes. In version 1 below our own, so that limits on us hold for the bare system too. Not so in
 * version 2: a group with processes in it, as ours is, can't hand its controllers on.
 */
const folderOf = (hierarchy: Hierarchy, name: string, own: string): string => {
  if (hierarchy.options === '') return join(hierarchy.mount, name)
  const group = groupOf(hierarchy, own)
  const seen = hierarchy.root === '/' || !group.startsWith(hierarchy.root) ? group : group.slice(hierarchy.root.length)
  return join(hierarchy.mount, seen, name)
}

const here = (): Hierarchy[] => hierarchies(readFileSync('/proc/self/mountinfo', 'utf8'))

/** The folders a group of this name has, one for each hierarchy. */
export const groupFolders = (name: string): string[] => {
  const own = readFileSync('/proc/self/cgroup', 'utf8')
  return here().map((hierarchy) => folderOf(hierarchy, name, own))
}

export interface ControlGroups {
  /** `cgroup.procs` files to write a process to that joins before it makes its control group namespace. */
  readonly first: readonly string[]
  /** The same for processes that come later. */
  readonly later: readonly string[]
  /** `name=options` for init.sh; `unified=/` alone where version 2 is all there is. */
  readonly mounts: readonly string[]
  /** Called with the processes that joined first, before anything is to run in groups below. */
  settle(pids: readonly number[]): void
}

/** Makes the groups of `groupFolders`. Throws when this machine's hierarchies can't be written. */
export const createGroups = (folders: readonly string[]): ControlGroups => {
  const all = here()
  if (all.length === 0) throw new Error('no control groups are mounted on this machine (/sys/fs/cgroup), and containers need them')
  for (const [at, folder] of folders.entries()) {
    mkdirSync(folder, { recursive: true })
    // Version 1: a cpuset begins empty, and no process may join it so.
    if (all[at]?.options.split(',').includes('cpuset'))
      for (const file of ['cpuset.cpus', 'cpuset.mems']) writeFileSync(join(folder, file), readFileSync(join(dirname(folder), file)))
  }
  const files = folders.map((folder) => join(folder, 'cgroup.procs'))
  if (all.some(({ options }) => options !== ''))
    return { first: files, later: files, mounts: all.map(({ mount, options }) => `${basename(mount)}=${options}`), settle: () => {} }
  const [folder = ''] = folders
  const leaf = join(folder, 'init')
  mkdirSync(leaf, { recursive: true })
  return {
    first: files,
    later: [join(leaf, 'cgroup.procs')],
    mounts: ['unified=/'],
    settle: (pids) => {
      // Version 2: a group that hands controllers down may hold no process itself.
      for (const pid of pids) writeFileSync(join(leaf, 'cgroup.procs'), String(pid))
      for (const parent of [dirname(folder), folder])
        for (const controller of readFileSync(join(parent, 'cgroup.controllers'), 'utf8').trim().split(' ')) {
          try {
            writeFileSync(join(parent, 'cgroup.subtree_control'), `+${controller}`)
          } catch {
            // One that can't be handed down is one less in there.
          }
        }
    }
  }
}

const REMOVE_LIMIT_MS = 10_000

/** Removes the groups and everything in them; their processes have ended, but the kernel may not have noticed yet. */
export const removeGroups = async (folders: readonly string[]): Promise<void> => {
  const deadline = Date.now() + REMOVE_LIMIT_MS
  for (const folder of folders)
    while (existsSync(folder)) {
      try {
        removeTree(folder)
      } catch (error) {
        if (Date.now() > deadline) throw new Error(`the control group ${folder} can't be removed: ${(error as Error).message}`)
        await wait(50)
      }
    }
}

/** A group's files are the kernel's: only folders are removed, from the leaves up. */
const removeTree = (folder: string): void => {
  for (const entry of readdirSync(folder, { withFileTypes: true })) if (entry.isDirectory()) removeTree(join(folder, entry.name))
  rmdirSync(folder)
}
