/** The log's disk, and a file that holds some of it back, as ports: the machine's, and twins for tests. */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { statSync } from 'node:fs'
import { open, rename, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { DiskUsage } from './decide.ts'

export interface Disk {
  usage(): Promise<DiskUsage>
  /** Rejects with the reason when nothing can be written. */
  tryOut(): Promise<void>
}

export interface Reserve {
  /** Bytes held back now. */
  held(): number
  /** Holds so many bytes back in all; rejects when there is no room for it, and where its folder is gone, which is not made anew. */
  take(bytes: number): Promise<void>
  give(): Promise<void>
}

/** What a trial write must hold for the log to have a chance. */
const TRIAL_BYTES = 64 * 1024

export class FolderDisk implements Disk {
  readonly #folder: string
  constructor(folder: string) {
    this.#folder = folder
  }
  async usage(): Promise<DiskUsage> {
    // What only root may use still is left out, though we may be root: it is there for repairs.
    const { bsize, blocks, bavail, files, ffree } = await statfs(this.#folder)
    return { total: blocks * bsize, free: bavail * bsize, ...(files > 0 ? { freeFiles: ffree } : {}) }
  }
  async tryOut(): Promise<void> {
    const path = join(this.#folder, '.trial')
    try {
      const file = await open(path, 'w', 0o600)
      try {
        await file.writeFile(randomBytes(TRIAL_BYTES))
        await file.sync()
      } finally {
        await file.close()
      }
    } finally {
      await rm(path, { force: true }).catch(() => {})
    }
  }
}

const CHUNK = 1024 * 1024

export class FileReserve implements Reserve {
  readonly #path: string
  constructor(path: string) {
    this.#path = path
  }
  held(): number {
    return (statSync(this.#path, { throwIfNoEntry: false })?.blocks ?? 0) * 512
  }
  async take(bytes: number): Promise<void> {
    const next = `${this.#path}.new`
    try {
      // Reserved by the file system, where it can; written for real where it can't.
      if (!(await allocated(next, bytes))) await written(next, bytes)
      await rename(next, this.#path)
    } catch (error) {
      await rm(next, { force: true })
      throw error
    }
  }
  async give(): Promise<void> {
    await rm(this.#path, { force: true })
  }
}

const allocated = (path: string, bytes: number): Promise<boolean> =>
  new Promise(
    (resolve) => void execFile('fallocate', ['--length', String(bytes), path], { timeout: 30_000 }, (error) => resolve(error === null))
  )

/** Of bytes that no file system takes for nothing. */
const written = async (path: string, bytes: number): Promise<void> => {
  const file = await open(path, 'w', 0o600)
  try {
    for (let left = bytes; left > 0; left -= CHUNK) await file.writeFile(randomBytes(Math.min(CHUNK, left)))
    await file.sync()
  } finally {
    await file.close()
  }
}

/** A disk of so many bytes, some of them used, by whomever. */
export class MemoryDisk implements Disk, Reserve {
  total: number
  used = 0
  broken: string | undefined
  #held = 0
  constructor(total: number) {
    this.total = total
  }
  async usage(): Promise<DiskUsage> {
    return { total: this.total, free: Math.max(0, this.total - this.used - this.#held) }
  }
  async tryOut(): Promise<void> {
    if (this.broken !== undefined) throw new Error(this.broken)
    if ((await this.usage()).free < TRIAL_BYTES) throw new Error('no space left on device')
  }
  held(): number {
    return this.#held
  }
  async take(bytes: number): Promise<void> {
    if (this.used + bytes > this.total) throw new Error('no space left on device')
    this.#held = bytes
  }
  async give(): Promise<void> {
    this.#held = 0
  }
}
