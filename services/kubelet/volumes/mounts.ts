/** Mounts in the kubelet's folder. The machine's own table says what there is, so what an earlier life mounted is found too. */
import { execFile } from 'node:child_process'
import { mkdir, readdir, readFile, realpath, rename, rm, rmdir } from 'node:fs/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)

const unlessGone =
  <Value>(instead: Value) =>
  (error: NodeJS.ErrnoException): Value | Promise<never> =>
    error.code === 'ENOENT' ? instead : Promise.reject(error)

/** None when there is no such folder. */
export const namesIn = (folder: string): Promise<readonly string[]> => readdir(folder).catch(unlessGone([]))
/** Rejects when something is in it. */
export const removeEmpty = (folder: string): Promise<void> => rmdir(folder).catch(unlessGone(undefined))

/** In the order they were mounted. As the kernel names them: no link on the way; spaces and the like are octal there (proc(5)). */
const points = async (): Promise<readonly string[]> =>
  (await readFile('/proc/self/mountinfo', 'utf8'))
    .split('\n')
    .map((line) => (line.split(' ')[4] ?? '').replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))))

export const mountTmpfs = async (folder: string, options: string): Promise<void> => {
  await mkdir(folder, { recursive: true })
  const real = await realpath(folder)
  if (!(await points()).includes(real)) await run('mount', ['-t', 'tmpfs', '-o', `nosuid,nodev,${options}`, 'tmpfs', real])
}

/** The folder's own mount included. */
export const unmountBelow = async (folder: string): Promise<void> => {
  const real = await realpath(folder).catch(() => folder)
  const found = (await points()).filter((path) => path === real || path.startsWith(`${real}/`))
  if (found.length > 0) await run('umount', ['--lazy', ...found.reverse()])
}

/**
 * Private: what is mounted on the source later does not come along, and so does not go with this mount's end. A shared
 * one, lazily unmounted, would take mounts off the source's folder. The source is taken as it is written: resolved by
 * mount(8), it would be a text again, and somebody else's to change.
 */
export const bindMount = async (source: string, target: string): Promise<void> =>
  void (await run('mount', ['--no-canonicalize', '--bind', '--make-private', source, target]))

/**
 * Takes a mount point away, with all that is mounted on it. Never deletes through a mount: what it shows is not the
 * kubelet's. Asking the table first would leave a moment between; the kernel refuses (EBUSY) to rename a mount point.
 */
export const removePoint = async (point: string): Promise<void> => {
  const aside = `${point}.removed`
  await rm(aside, { recursive: true, force: true })
  for (;;)
    try {
      await rename(point, aside)
      return await rm(aside, { recursive: true })
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ENOENT') return
      if (code !== 'EBUSY') throw error
      await run('umount', ['--lazy', point])
    }
}
