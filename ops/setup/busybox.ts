/** Finds a static busybox for the demo image; fetches Debian's beside the project when the machine has none. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CACHE } from './project.ts'
import { downloadDebianPackage } from './apt.ts'

/** The path of a busybox that needs no shared library. */
export const staticBusybox = async (report: (line: string) => void): Promise<string> => {
  const cached = join(CACHE, 'busybox-static')
  for (const path of ['/bin/busybox', ...inPackage(cached)]) if (isStaticExecutable(path)) return path
  report("fetching Debian's busybox-static into .cache (the demo image is made from it)")
  await downloadDebianPackage({ name: 'busybox-static', into: cached, report })
  const found = inPackage(cached).find(isStaticExecutable)
  if (found === undefined) throw new Error('no static busybox: install the package busybox-static and run it again')
  return found
}

const inPackage = (folder: string): string[] => [join(folder, 'bin/busybox'), join(folder, 'usr/bin/busybox')]

const PT_INTERP = 3

/** True for a 64-bit ELF file that names no program interpreter. */
const isStaticExecutable = (path: string): boolean => {
  if (!existsSync(path)) return false
  const file = readFileSync(path)
  if (file.length < 64 || file.readUInt32BE(0) !== 0x7f454c46 || file[4] !== 2) return false
  const start = Number(file.readBigUInt64LE(32))
  const size = file.readUInt16LE(54)
  const count = file.readUInt16LE(56)
  for (let index = 0; index < count; index++) if (file.readUInt32LE(start + index * size) === PT_INTERP) return false
  return true
}
