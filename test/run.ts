/**
 * Runs the tests: `npm test`, or `npm test -- <part of a path> …` for some of them. Cheap folders run two files at a
 * time, those with real servers and containers one by one. The last line is always `N passed, N failed`.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { delimiter, join, relative } from 'node:path'
import Docker from 'dockerode'
import { ensureImages } from '#ops/images/images.ts'
import { ensureNatsServer } from '#ops/nats/binary.ts'
import { releaseDocker } from '#ops/setup/dockerEngine.ts'
import { ensureMachine } from '#ops/setup/setup.ts'
import { inWords, kubectls } from './support/kubectls.ts'
import { runFile, type FileResult, stopAll } from './runFile.ts'

const PROJECT = join(import.meta.dirname, '..')

/** In the order they run, with the time one file may take. `alone`: real servers, networks and rules, one file at a time. */
const FOLDERS: readonly { readonly folder: string; readonly alone: boolean; readonly seconds: number; readonly needsMachine: boolean }[] = [
  { folder: 'unit', alone: false, seconds: 120, needsMachine: false },
  { folder: 'golden', alone: false, seconds: 120, needsMachine: false },
  { folder: 'property', alone: false, seconds: 240, needsMachine: false },
  { folder: 'contract', alone: false, seconds: 240, needsMachine: true },
  { folder: 'integration', alone: true, seconds: 300, needsMachine: true },
  { folder: 'e2e', alone: true, seconds: 900, needsMachine: true },
  { folder: 'simulation', alone: true, seconds: 900, needsMachine: false }
]

interface TestFile {
  readonly path: string
  readonly alone: boolean
  readonly seconds: number
  readonly needsMachine: boolean
}

/** Files directly in test/ (the tree's own rules) count as unit tests; test/bench holds no tests. */
const findFiles = (selection: readonly string[]): TestFile[] =>
  readdirSync(import.meta.dirname, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.test.ts') && !path.startsWith('bench/'))
    .filter((path) => selection.length === 0 || selection.some((part) => `test/${path}`.includes(part)))
    .sort()
    .map((path) => {
      const kind = FOLDERS.find(({ folder }) => path.startsWith(`${folder}/`)) ?? FOLDERS[0]!
      return { path: join(import.meta.dirname, path), kind }
    })
    .sort((a, b) => FOLDERS.indexOf(a.kind) - FOLDERS.indexOf(b.kind))
    .map(({ path, kind }) => ({ path, ...kind }))

const say = (line: string): void => void process.stdout.write(`${line}\n`)

let passed = 0
let failed = 0

const record = (name: string, result: FileResult): void => {
  passed += result.passed
  failed += result.failed
  const counts = [
    `${result.passed} passed`,
    ...(result.failed > 0 ? [`${result.failed} FAILED`] : []),
    ...(result.skipped > 0 ? [`${result.skipped} skipped`] : [])
  ]
  say(`${result.failed > 0 ? 'FAIL' : 'ok  '} ${name}  ${counts.join(', ')}  (${(result.milliseconds / 1000).toFixed(1)} s)`)
  for (const note of result.notes) say(`     ${note}`)
  if (result.failed > 0) say(result.output.trimEnd().replace(/^/gm, '     | '))
}

const fail = (name: string, reason: string): void =>
  record(name, { passed: 0, failed: 1, skipped: 0, milliseconds: 0, notes: [], output: reason })

/** What tests with real parts need; the environment for them, or undefined when the machine can't be prepared. */
const prepareMachine = async (home: string): Promise<NodeJS.ProcessEnv | undefined> => {
  try {
    await ensureMachine(say, home)
    const nats = await ensureNatsServer(say)
    await ensureImages(new Docker(), say)
    const found = await kubectls(say)
    say(`kubectl ${inWords(found)}`)
    return { RECKON_NATS_SERVER: nats.path, RECKON_TEST_KUBECTL: found.map(({ path }) => path).join(delimiter) }
  } catch (error) {
    fail('preparing the machine', (error as Error).message)
    return undefined
  }
}

/** Runs `width` tasks at a time, in order. */
const inParallel = async (width: number, tasks: readonly (() => Promise<void>)[]): Promise<void> => {
  const queue = [...tasks]
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (let task = queue.shift(); task !== undefined; task = queue.shift()) await task()
    })
  )
}

const selection = process.argv.slice(2)
const files = findFiles(selection)
const work = mkdtempSync(join(tmpdir(), 'reckon-test-'))
const machineHome = join(work, 'machine')

const cleanUp = async (): Promise<void> => {
  await stopAll()
  await releaseDocker(machineHome, say).catch((error: Error) => say(`Docker Engine was not released: ${error.message}`))
  rmSync(work, { recursive: true, force: true, maxRetries: 3 })
}

const finish = async (): Promise<never> => {
  await cleanUp().catch((error: Error) => say(`cleaning up: ${error.message}`))
  say(`${passed} passed, ${failed} failed`)
  process.exit(failed > 0 ? 1 : 0)
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    fail('the run', `interrupted by ${signal}`)
    void finish()
  })
}

if (files.length === 0) {
  fail('the selection', `no test file matches ${selection.join(' ')}`)
  await finish()
}

const machine = files.some((file) => file.needsMachine) ? await prepareMachine(machineHome) : undefined

const runOne = async (file: TestFile): Promise<void> => {
  const name = relative(PROJECT, file.path)
  if (file.needsMachine && machine === undefined) return fail(name, 'not run: the machine could not be prepared (see above)')
  if (file.alone) say(`…    ${name}`)
  const env: NodeJS.ProcessEnv = { ...process.env, NO_COLOR: '1', TMPDIR: work, RECKON_HOME: join(work, 'home'), ...machine }
  delete env['FORCE_COLOR']
  record(
    name,
    await runFile({ command: process.execPath, args: [file.path], cwd: PROJECT, env, limitSeconds: file.seconds, counts: 'uvu' })
  )
}

const checkTypes = async (): Promise<void> => {
  const tsc = join(PROJECT, 'node_modules/typescript/bin/tsc')
  record(
    'types (tsc --noEmit)',
    await runFile({
      command: process.execPath,
      args: [tsc, '--noEmit', '--pretty', 'false'],
      cwd: PROJECT,
      env: process.env,
      limitSeconds: 240,
      counts: 'exit'
    })
  )
}

const width = Math.min(2, availableParallelism())
const together = files.filter((file) => !file.alone).map((file) => () => runOne(file))
await inParallel(width, selection.length === 0 ? [checkTypes, ...together] : together)
await inParallel(
  1,
  files.filter((file) => file.alone).map((file) => () => runOne(file))
)
await finish()
