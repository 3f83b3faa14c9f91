/** What a Docker Engine mounts for itself, so that it can be taken away again. */
import { readFileSync } from 'node:fs'
import { run } from './project.ts'

const FOLDERS = ['/var/lib/docker', '/run/docker', '/var/run/docker']

/** The mounts on and below Docker Engine's folders, in the order they were made. */
export const dockerMounts = (mountinfo = readFileSync('/proc/self/mountinfo', 'utf8')): string[] =>
  mountinfo.split('\n').flatMap((line) => {
    const point = line.split(' ')[4]
    return point !== undefined && FOLDERS.some((folder) => point === folder || point.startsWith(`${folder}/`)) ? [point] : []
  })

/**
 * Unmounts what was not there before. The daemon mounts its folder on itself and takes that away at its end only where
 * the folder's path is the same on its file system: not on a subvolume, nor below another root.
 */
export const restoreMounts = async (before: readonly string[]): Promise<void> => {
  for (const point of dockerMounts().reverse()) if (!before.includes(point)) await run('umount', [point])
}
