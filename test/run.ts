/**
 * Runs the tests: `npm test`, or `npm test -- <part of a path> …` for some of them. Two files at a time, the cheap ones first, but of
 * those that need what the machine has once (lanes.ts) one. The last line is always `N passed, N failed`.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import Docker from 'dockerode'
import { ensureImages } from '#ops/images/images.ts'
import { ensureNatsServer } from '#ops/nats/binary.ts'
import { releaseDocker } from '#ops/setup/dockerEngine.ts'
import { ensureMachine } from '#ops/setup/setup.ts'
import { type Lane, laneOf, runLanes, secondsOf, type Task } from './lanes.ts'
import { inWords, kubectls } from './support/kubectls.ts'
import { runFile, type FileResult, stopAll } from './runFile.ts'

const PROJECT = join(import.meta.dirname, '..')

/**
 * With the time one file may take. `stage`: what is cheap comes first, all the rest after it by how long it takes. `prepared`: it needs
 * what a machine is given by set-up.
 */
const FOLDERS: readonly { readonly folder: string; readonly stage: number; readonly seconds: number; readonly prepared: boolean }[] = [
  { folder: 'unit', stage: 1, seconds: 120, prepared: false },
  { folder: 'golden', stage: 1, seconds: 120, prepared: false },
  { folder: 'property', stage: 2, seconds: 240, prepared: false },
  { folder: 'contract', stage: 2, seconds: 240, prepared: true },
  { folder: 'integration', stage: 3, seconds: 600, prepared: true },
  { folder: 'e2e', stage: 3, seconds: 900, prepared: true },
  { folder: 'simulation', stage: 3, seconds: 900, prepared: false }
]

interface TestFile {
  /** From the project. */
  readonly name: string
  readonly lane: Lane
  readonly stage: number
  readonly seconds: number
  readonly prepared: boolean
}

/** Files directly in test/ (the tree's own rules) count as unit tests; test/bench holds no tests. */
const findFiles = (selection: readonly string[]): TestFile[] =>
  readdirSync(import.meta.dirname, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.test.ts') && !path.startsWith('bench/'))
    .filter((path) => selection.length === 0 || selection.some((part) => `test/${path}`.includes(part)))
    .map((path) => {
      const { stage, seconds, prepared } = FOLDERS.find(({ folder }) => path.startsWith(`${folder}/`)) ?? FOLDERS[0]!
      return { name: `test/${path}`, about: secondsOf(path), lane: laneOf(path), stage, seconds, prepared }
    })
    .sort((a, b) => a.stage - b.stage || b.about - a.about || (a.name < b.name ? -1 : 1))

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

const machine = files.some(({ prepared }) => prepared) ? await prepareMachine(machineHome) : undefined

let begun = 0

const runOne = async ({ name, prepared, seconds }: TestFile): Promise<void> => {
  if (prepared && machine === undefined) return fail(name, 'not run: the machine could not be prepared (see above)')
  // Short: paths of sockets are.
  const own = join(work, String(begun++))
  mkdirSync(own)
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    NO_COLOR: '1',
    TMPDIR: own,
    RECKON_HOME: join(own, 'home'),
    // Hundreds of processes of the same modules: each is stripped of its types and compiled once.
    NODE_COMPILE_CACHE: join(work, 'compiled'),
    ...machine
  }
  delete env['FORCE_COLOR']
  record(name, await runFile({ command: process.execPath, args: [name], cwd: PROJECT, env, limitSeconds: seconds, counts: 'uvu' }))
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

const WIDTH = 2
const LONG_STAGE = 3
const tasks: readonly Task[] = [
  ...(selection.length === 0 ? [{ name: 'types', stage: 1, lane: 'own' as const, run: checkTypes }] : []),
  ...files.map((file): Task => ({ name: file.name, stage: file.stage, lane: file.lane, run: () => runOne(file) }))
]
await runLanes(tasks, WIDTH, ({ name, stage }, beside) => {
  if (stage === LONG_STAGE) say(`…    ${name}${beside.length === 0 ? '' : `  beside ${beside.join(', ')}`}`)
})
await finish()
