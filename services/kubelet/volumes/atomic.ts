/**
 * Writes a set of files so that a reader sees all of the old or all of the new: a dated folder, `..data` pointing to
 * it, and a link per top-level name through `..data`.
 */
import { chown, mkdir, readdir, readFile, readlink, rename, rm, symlink, writeFile, chmod } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { VolumeFile } from './content.ts'
import { MountError } from './content.ts'

const DATA = '..data'

const check = ({ path }: VolumeFile): void => {
  if (path === '' || path.startsWith('/') || path.split('/').some((part) => part === '..' || part === '') || path.startsWith('..'))
    throw new MountError(`invalid path "${path}" in a volume`)
}

/** False when the folder has exactly these files already. `stamp` names the new folder and must be new. */
export const writeAtomically = async (
  folder: string,
  files: readonly VolumeFile[],
  stamp: string,
  group: number | undefined
): Promise<boolean> => {
  for (const file of files) check(file)
  await mkdir(folder, { recursive: true, mode: 0o755 })
  const current = await readlink(join(folder, DATA)).catch(() => undefined)
  if (current !== undefined && (await same(join(folder, current), files))) return false
  const next = `..${stamp}`
  await mkdir(join(folder, next), { mode: 0o755 })
  for (const { path, content, mode } of files) {
    const target = join(folder, next, path)
    await mkdir(dirname(target), { recursive: true, mode: 0o755 })
    await writeFile(target, content)
    if (group !== undefined) await chown(target, 0, group)
    // A group the pod is given must be able to read what it is given.
    await chmod(target, group === undefined ? mode : mode | 0o440)
  }
  await rm(join(folder, '..data_tmp'), { force: true })
  await symlink(next, join(folder, '..data_tmp'))
  await rename(join(folder, '..data_tmp'), join(folder, DATA))
  const top = new Set(files.map(({ path }) => path.split('/')[0] as string))
  for (const name of await readdir(folder))
    if (!name.startsWith('..') && !top.has(name)) await rm(join(folder, name), { force: true, recursive: true })
  for (const name of top)
    await symlink(join(DATA, name), join(folder, name)).catch((error: NodeJS.ErrnoException) =>
      error.code === 'EEXIST' ? undefined : Promise.reject(error)
    )
  if (current !== undefined) await rm(join(folder, current), { force: true, recursive: true })
  return true
}

const same = async (folder: string, files: readonly VolumeFile[]): Promise<boolean> => {
  const listed = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  const present = listed.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  if (present.length !== new Set(files.map(({ path }) => path)).size) return false
  for (const { path, content } of files) {
    const found = await readFile(join(folder, path)).catch(() => undefined)
    if (found === undefined || !found.equals(content)) return false
  }
  return true
}
