/** Builds Go programs out of published modules, beside the project; nothing is installed on the machine. */
import { spawn } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { findProgram, type Report, run } from '#ops/setup/project.ts'
import { wrapperOf } from './wrapper.ts'

export interface GoModule {
  readonly module: string
  readonly version: string
  /** The published version of what its go.mod replaces by a folder. */
  readonly published?: (module: string) => string | undefined
}

/** A module whose packages can be built. */
export interface Sources {
  /** Of the module's own files; read-only. */
  readonly folder: string
  /** Where Go's commands for it run. */
  readonly wrapper: string
}

/** The release whose go.mod names the language version that the suite's does. */
const OLDEST = [1, 24] as const
const WHAT_TO_DO =
  `the conformance suite is a Go program, built here from its sources: install Go ${OLDEST.join('.')} or newer ` +
  "(go.dev/dl, or Debian's golang-1.24-go from bookworm-backports or trixie), put it on PATH, and run this again"

/** Throws with what to do when there is no Go, or an old one. */
export const ensureGo = async (): Promise<void> => {
  if (findProgram('go') === undefined) throw new Error(`no go on PATH: ${WHAT_TO_DO}`)
  const told = await run('go', ['env', 'GOVERSION'])
  const [, major = 0, minor = 0] = (/^go(\d+)\.(\d+)/.exec(told) ?? []).map(Number)
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) throw new Error(`go on PATH is ${told.trim()}: ${WHAT_TO_DO}`)
}

/** Fetches a module and puts a wrapper around it into `folder`. */
export const fetchModule = async ({ module, version, published }: GoModule, folder: string, report: Report): Promise<Sources> => {
  const wrapper = join(folder, 'module')
  const written = join(wrapper, 'folder')
  if (existsSync(written)) {
    const known = readFileSync(written, 'utf8')
    // Go's own cache may have been cleaned since.
    if (existsSync(known)) return { folder: known, wrapper }
  }
  report(`fetching ${module} ${version}`)
  mkdirSync(wrapper, { recursive: true })
  // From where no go.mod says otherwise.
  const downloaded = await run('go', ['mod', 'download', '-json', `${module}@${version}`], { cwd: folder, env: environment() })
  const { Dir: source } = JSON.parse(downloaded) as { Dir: string }
  writeFileSync(join(wrapper, 'go.mod'), wrapperOf(readFileSync(join(source, 'go.mod'), 'utf8'), published))
  copyFileSync(join(source, 'go.sum'), join(wrapper, 'go.sum'))
  chmodSync(join(wrapper, 'go.sum'), 0o644)
  await run('go', ['mod', 'edit', `-require=${module}@${version}`], { cwd: wrapper, env: environment() })
  writeFileSync(written, source)
  return { folder: source, wrapper }
}

export interface Build {
  readonly from: Sources
  readonly package: string
  /** The program; it appears there whole or not at all. */
  readonly into: string
  /** Builds the package's tests, as a program that runs them. */
  readonly test?: boolean
  /** What variables of the linked program are set to, by their full names. */
  readonly variables?: Readonly<Record<string, string>>
}

/** Builds a program unless it is there; minutes for one of a million lines, the first time. */
export const buildProgram = async ({ from, package: name, into, test = false, variables = {} }: Build, report: Report): Promise<string> => {
  if (existsSync(into)) return into
  mkdirSync(dirname(into), { recursive: true })
  const began = Date.now()
  report(`building ${name} …`)
  const linker = ['-s', '-w', ...Object.entries(variables).flatMap(([variable, value]) => ['-X', `${variable}=${value}`])].join(' ')
  const next = `${into}.new`
  const seconds = (): number => Math.round((Date.now() - began) / 1000)
  const progress = setInterval(() => report(`  … ${name}: ${seconds()} s`), 60_000)
  try {
    await compile([...(test ? ['test', '-c', '-vet=off'] : ['build']), '-ldflags', linker, '-o', next, name], from.wrapper, report)
  } finally {
    clearInterval(progress)
  }
  renameSync(next, into)
  report(`  ${name} is built (${seconds()} s)`)
  return into
}

/** Static programs that are the same on every machine; the wrapper's go.sum grows by what only its packages need. */
const environment = (): NodeJS.ProcessEnv => ({
  ...process.env,
  CGO_ENABLED: '0',
  GOFLAGS: '-mod=mod -buildvcs=false -trimpath',
  GOWORK: 'off'
})

const LAST_LINES = 15

/** Runs `go` behind everything else on the machine; throws with its last words. */
const compile = (args: readonly string[], cwd: string, report: Report): Promise<void> =>
  new Promise((resolve, reject) => {
    const child = spawn('nice', ['-n', '10', 'go', ...args], { cwd, env: environment(), stdio: ['ignore', 'ignore', 'pipe'] })
    let rest = ''
    let downloads = 0
    const said: string[] = []
    child.stderr.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString()).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines)
        if (!line.startsWith('go: downloading ')) said.push(line)
        else if (downloads++ === 0) report('  fetching the modules it is made of')
    })
    child.on('error', reject)
    child.on('close', (code, signal) => {
      if (code === 0) return resolve()
      reject(new Error(`go ${args[0]} ${args.at(-1)} ended with ${signal ?? code}:\n  ${[...said, rest].slice(-LAST_LINES).join('\n  ')}`))
    })
  })
