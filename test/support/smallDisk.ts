/** A real file system of a test's own, small enough to be filled: an ext4 image where the machine has loop devices, else a tmpfs. */
import { execFileSync, spawnSync } from 'node:child_process'
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const OWN_MOUNTS = 'RECKON_TEST_OWN_MOUNTS'
const CHUNK = 64 * 1024
const LARGE = 16 * 1024 * 1024

/**
 * Runs a test file again in a mount namespace of its own, and is true only there: whatever ends it, its mounts end with it.
 */
export const inOwnMounts = (file: string, args: readonly string[] = []): boolean => {
  if (process.env[OWN_MOUNTS] === '1') return true
  const { status } = spawnSync('unshare', ['--mount', '--propagation=private', process.execPath, file, ...args], {
    stdio: 'inherit',
    env: { ...process.env, [OWN_MOUNTS]: '1' }
  })
  process.exitCode = status ?? 1
  return false
}

export interface SmallDisk {
  /** The mounted folder. */
  readonly path: string
  /** Mounts it on another folder instead. */
  moveTo(folder: string): void
  free(): number
  /** Another program's file, which takes all but so many bytes. */
  fill(leave: number): void
  /** Its end. */
  empty(): void
  remount(option: 'ro' | 'rw'): void
  mount(): void
  unmount(): void
  remove(): void
}

export const smallDisk = (mebibytes: number): SmallDisk => {
  const work = mkdtempSync(join(tmpdir(), 'reckon-disk-'))
  const image = join(work, 'image')
  // The file system stays; what comes and goes is where it is seen.
  const backing = join(work, 'backing')
  let path = join(work, 'disk')
  for (const folder of [backing, path]) mkdirSync(folder)
  const file = openSync(image, 'w')
  ftruncateSync(file, mebibytes * 1024 * 1024)
  closeSync(file)
  // No blocks kept for root: a full disk is full for everybody.
  const made = spawnSync('mkfs.ext4', ['-q', '-F', '-m', '0', image]).status === 0
  if (!made || spawnSync('mount', ['-o', 'loop', image, backing]).status !== 0)
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'small', backing])
  const mount = (): void => void execFileSync('mount', ['--bind', backing, path])
  mount()
  const free = (): number => {
    const { bavail, bsize } = statfsSync(path)
    return bavail * bsize
  }
  const unmount = (): void => void execFileSync('umount', [path])
  return {
    get path() {
      return path
    },
    moveTo: (folder) => {
      unmount()
      path = folder
      mount()
    },
    free,
    fill: (leave) => {
      // Most of it at once, without writing it.
      if (free() > leave + LARGE) spawnSync('fallocate', ['--length', String(free() - leave - LARGE), join(path, 'large')])
      const filler = openSync(join(path, 'filler'), 'a')
      try {
        // So much and no more: what is given up for want of room meanwhile is not for us.
        for (let left = free() - leave; left > 0;) left -= writeSync(filler, Buffer.alloc(Math.min(CHUNK, left), 1))
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
      } finally {
        closeSync(filler)
      }
    },
    empty: () => ['filler', 'large'].forEach((file) => rmSync(join(path, file), { force: true })),
    remount: (option) => void execFileSync('mount', ['-o', `remount,bind,${option}`, path]),
    mount,
    unmount,
    remove: () => {
      for (const folder of [path, backing]) spawnSync('umount', ['--lazy', folder])
      rmSync(work, { recursive: true, force: true })
    }
  }
}
