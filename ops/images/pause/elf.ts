/** Wraps position-independent code into the smallest static Linux executable: one ELF header, one loadable segment. */

export type Architecture = 'amd64' | 'arm64'

const MACHINE: Readonly<Record<Architecture, number>> = { amd64: 62, arm64: 183 }
const BASE = 0x400000n
const HEADERS = 64 + 56

/** A static ELF64 executable whose entry point is the first byte of `code`. The segment is readable and executable. */
export const staticExecutable = (architecture: Architecture, code: Uint8Array): Buffer => {
  const file = Buffer.alloc(HEADERS + code.length)
  const size = BigInt(file.length)
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0]) // ELF, 64 bit, little endian, version 1, System V
  file.writeUInt16LE(2, 16) // ET_EXEC
  file.writeUInt16LE(MACHINE[architecture], 18)
  file.writeUInt32LE(1, 20)
  file.writeBigUInt64LE(BASE + BigInt(HEADERS), 24) // entry
  file.writeBigUInt64LE(64n, 32) // program headers follow at once
  file.writeBigUInt64LE(0n, 40) // no section headers
  file.writeUInt32LE(0, 48)
  file.writeUInt16LE(64, 52)
  file.writeUInt16LE(56, 54)
  file.writeUInt16LE(1, 56)
  file.writeUInt16LE(64, 58)
  file.writeUInt32LE(1, 64) // PT_LOAD
  file.writeUInt32LE(5, 68) // read and execute
  file.writeBigUInt64LE(0n, 72)
  file.writeBigUInt64LE(BASE, 80)
  file.writeBigUInt64LE(BASE, 88)
  file.writeBigUInt64LE(size, 96)
  file.writeBigUInt64LE(size, 104)
  file.writeBigUInt64LE(0x10000n, 112) // aligned for 4, 16 and 64 KiB pages
  file.set(code, HEADERS)
  return file
}
