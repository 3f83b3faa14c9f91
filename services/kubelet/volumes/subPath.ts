/**
 * Mounts a part of a volume (`subPath`) for a container. Containers write into volumes while this looks at them, so no
 * path in one can be trusted twice: a folder that was checked may be a link to `/` a moment later, when Docker Engine
 * opens the same path (CVE-2017-1002101, CVE-2021-25741). As the kubelet's subpath_linux.go does, the part is opened
 * without following links, and what is open is bind-mounted in the pod's own folder, which no container sees.
 *
 * Checking `realpath` and handing its text on is simpler, and is that race. openat2(RESOLVE_BENEATH) would do the walk in
 * one call; Node has neither it nor openat. `/proc/self/fd/<folder>/<name>` is openat by another name: the kernel goes
 * from the open folder itself, whatever its path is by now, and looks up one name in it.
 */
import { constants } from 'node:fs'
import { chmod, lstat, mkdir, open, realpath, stat, writeFile, type FileHandle } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { MountError } from './content.ts'
import { bindMount, namesIn, removeEmpty, removePoint, unmountBelow } from './mounts.ts'

/** Linux' O_PATH, which Node does not name: opens without reading, so a FIFO does not block and a device does nothing. */
const O_PATH = 0o10000000
/** A link is opened itself. */
const ANYTHING = O_PATH | constants.O_NOFOLLOW
/** A link is none. */
const FOLDER = ANYTHING | constants.O_DIRECTORY

const MODE = 0o7777
/** In a pod's folder. */
export const SUBPATHS = 'volume-subpaths'

export interface SubPath {
  /** The volume's folder. */
  readonly volume: string
  /** Relative, in the volume. */
  readonly path: string
  /** The pod's folder. */
  readonly podFolder: string
  readonly volumeName: string
  readonly container: string
  /** Among the container's mounts. */
  readonly index: number
}

const isWithin = (path: string, root: string): boolean => path === root || path.startsWith(root === '/' ? root : `${root}/`)
const segmentsOf = (path: string): readonly string[] => path.split('/').filter((name) => name !== '' && name !== '.')
const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code

/** A folder that is open, gone down from one name at a time. */
class Descent {
  #handle: FileHandle
  private constructor(handle: FileHandle) {
    this.#handle = handle
  }
  /** `root` must be without links. */
  static async from(root: string): Promise<Descent> {
    return new Descent(await open(root, ANYTHING))
  }
  get handle(): FileHandle {
    return this.#handle
  }
  get #self(): string {
    return `/proc/self/fd/${this.#handle.fd}`
  }
  async down(name: string, flags: number): Promise<void> {
    const next = await open(`${this.#self}/${name}`, flags)
    await this.#handle.close()
    this.#handle = next
  }
  async make(name: string, mode: number): Promise<void> {
    // Another container of the pod may make it at the same time: whose it is does not matter, that it is a folder does.
    const made = await mkdir(`${this.#self}/${name}`, { mode }).then(
      () => true,
      (error: unknown) => (codeOf(error) === 'EEXIST' ? false : Promise.reject(error))
    )
    await this.down(name, FOLDER)
    if (made) await chmod(this.#self, mode)
  }
  close(): Promise<void> {
    return this.#handle.close()
  }
}

/** Resolves the links there are. What it finds is only where to walk: the walk itself follows none. */
const resolveWithin = async (root: string, segments: readonly string[]): Promise<readonly string[]> => {
  const real = await realpath(join(root, ...segments))
  if (!isWithin(real, root)) throw new Error(`${segments.join('/')} leads out of the volume, to ${real}`)
  return segmentsOf(relative(root, real))
}

const descend = async (root: string, segments: readonly string[]): Promise<Descent> => {
  const descent = await Descent.from(root)
  try {
    for (const [index, name] of segments.entries()) await descent.down(name, index < segments.length - 1 ? FOLDER : ANYTHING)
    return descent
  } catch (error) {
    await descent.close()
    throw error
  }
}

/** As `mkdir -p`, with the volume's mode, in the volume only. */
const makeFolders = async (volume: string, path: string): Promise<void> => {
  const root = await realpath(volume)
  const mode = (await stat(root)).mode & MODE
  const segments = segmentsOf(path)
  for (let present = segments.length - 1; ; present--) {
    let found: readonly string[]
    try {
      found = await resolveWithin(root, segments.slice(0, present))
    } catch (error) {
      if (codeOf(error) === 'ENOENT' && present > 0) continue
      throw error
    }
    const descent = await descend(root, found)
    try {
      for (const name of segments.slice(present)) await descent.make(name, mode)
    } finally {
      await descent.close()
    }
    return
  }
}

const bind = async ({ volume, path, podFolder, volumeName, container, index }: SubPath): Promise<string> => {
  const root = await realpath(volume)
  const descent = await descend(root, await resolveWithin(root, segmentsOf(path)))
  try {
    const checked = await descent.handle.stat({ bigint: true })
    if (checked.isSymbolicLink()) throw new Error(`${path} became a link`)
    const point = join(podFolder, SUBPATHS, volumeName, container, String(index))
    // An earlier start's: what it shows may have been replaced since.
    await removePoint(point)
    await mkdir(dirname(point), { recursive: true, mode: 0o750 })
    if (checked.isDirectory()) await mkdir(point, { mode: 0o750 })
    else await writeFile(point, '', { mode: 0o640, flag: 'wx' })
    // Not `self`, which would be mount(8).
    await bindMount(`/proc/${process.pid}/fd/${descent.handle.fd}`, point)
    const shown = await lstat(point, { bigint: true })
    if (shown.dev === checked.dev && shown.ino === checked.ino) return point
    await removePoint(point)
    throw new Error(`what was mounted is not what ${path} is`)
  } finally {
    await descent.close()
  }
}

/**
 * Where Docker Engine finds it. Rejects with a MountError in upstream's words, which say nothing of the machine's files:
 * its cause does.
 */
export const mountSubPath = async (part: SubPath): Promise<string> => {
  const { volume, path, volumeName, container } = part
  if (path.startsWith('/')) throw new MountError(`error SubPath \`${path}\` must not be an absolute path`)
  if (path.split('/').includes('..')) throw new MountError(`unable to provision SubPath \`${path}\`: must not contain '..'`)
  const failed = (what: string) => (cause: unknown) =>
    Promise.reject(new MountError(`failed to ${what} for volumeMount "${volumeName}" of container "${container}"`, { cause }))
  const missing = await stat(join(volume, path)).then(
    () => false,
    (error: unknown) => codeOf(error) === 'ENOENT'
  )
  if (missing) await makeFolders(volume, path).catch(failed('create subPath directory'))
  return bind(part).catch(failed('prepare subPath'))
}

/** Takes a pod's away; those of an earlier life too. */
export const removeSubPaths = async (podFolder: string): Promise<void> => {
  const root = join(podFolder, SUBPATHS)
  await unmountBelow(root)
  for (const volume of await namesIn(root)) {
    for (const container of await namesIn(join(root, volume))) {
      const folder = join(root, volume, container)
      for (const index of await namesIn(folder)) await removePoint(join(folder, index))
      await removeEmpty(folder)
    }
    await removeEmpty(join(root, volume))
  }
  await removeEmpty(root)
}
