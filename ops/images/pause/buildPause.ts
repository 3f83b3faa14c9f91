/**
 * Assembles the pause program for every architecture whose assembler is here, and writes pause.gen.ts.
 * Run it after a change to a .S file: `node_modules/.bin/node ops/images/pause/buildPause.ts`.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Architecture } from './elf.ts'

const SOURCES: Readonly<Record<Architecture, { source: string; machine: string; prefix: string }>> = {
  amd64: { source: 'pause.S', machine: 'x64', prefix: 'x86_64-linux-gnu-' },
  arm64: { source: 'pause-arm64.S', machine: 'arm64', prefix: 'aarch64-linux-gnu-' }
}

export const ARCHITECTURES: readonly Architecture[] = ['amd64', 'arm64']

/** The code bytes of the pause program, or undefined when this machine has no assembler for the architecture. */
export const assemble = (architecture: Architecture): Buffer | undefined => {
  const { source, machine, prefix } = SOURCES[architecture]
  const prefixes = process.arch === machine ? [prefix, ''] : [prefix]
  for (const tools of prefixes) {
    if (!runs(`${tools}as`) || !runs(`${tools}objcopy`)) continue
    const folder = mkdtempSync(join(tmpdir(), 'reckon-pause-'))
    try {
      execFileSync(`${tools}as`, ['-o', join(folder, 'pause.o'), join(import.meta.dirname, source)])
      execFileSync(`${tools}objcopy`, ['-O', 'binary', '-j', '.text', join(folder, 'pause.o'), join(folder, 'pause.bin')])
      return readFileSync(join(folder, 'pause.bin'))
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }
  return undefined
}

/** Of the source an architecture's code was assembled from: says without an assembler that the code is up to date. */
export const sourceDigest = (architecture: Architecture): string =>
  createHash('sha256')
    .update(readFileSync(join(import.meta.dirname, SOURCES[architecture].source)))
    .digest('hex')

const runs = (command: string): boolean => {
  try {
    execFileSync(command, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

if (process.argv[1] === import.meta.filename) {
  const codes = ARCHITECTURES.map((architecture) => {
    const code = assemble(architecture)
    if (code === undefined) throw new Error(`no assembler for ${architecture}: install binutils for it`)
    return `  ${architecture}: '${code.toString('base64')}'`
  })
  const digests = ARCHITECTURES.map((architecture) => `  ${architecture}: '${sourceDigest(architecture)}'`)
  const table = (name: string, lines: readonly string[]): string =>
    `export const ${name}: Readonly<Record<Architecture, string>> = {\n${lines.join(',\n')}\n}\n`
  writeFileSync(
    join(import.meta.dirname, 'pause.gen.ts'),
    `/** Written by buildPause.ts from pause.S and pause-arm64.S: the code bytes of the pause program, base64, and their sources' SHA-256. */\n` +
      `import type { Architecture } from './elf.ts'\n\n${table('PAUSE_CODE', codes)}\n${table('PAUSE_SOURCE', digests)}`
  )
}
