/** `npm run bare`: the two commands of README.md on a bare Debian 12 with Node 20, each from a fresh clone on a system of its own. */
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { PROJECT, type Report, run } from '#ops/setup/project.ts'
import { ensureBase } from './base.ts'
import { ensureHost } from './host.ts'
import { hostSettings, type Settings } from './settings.ts'
import { type BareSystem, rootsFolder, startSystem, sweep } from './system.ts'
import { type Outcome, tryStart, tryTests } from './try.ts'

/** sysexits.h's EX_UNAVAILABLE: there is no bare system here. The reason was said. */
const UNAVAILABLE = 69
const CLONE = '/root/reckon'

const say: Report = (line) => void process.stdout.write(`${line}\n`)

const duration = (milliseconds: number): string => {
  const seconds = milliseconds / 1000
  return seconds < 60 ? `${seconds.toFixed(1)} s` : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`
}

interface Prepared {
  readonly folder: string
  readonly archive: string
  readonly settings: Settings
}

const prepare = async (): Promise<Prepared> => {
  await ensureHost(say)
  const folder = rootsFolder()
  await sweep(folder, say)
  const settings = await hostSettings()
  const began = Date.now()
  const archive = await ensureBase(folder, settings, say)
  if (Date.now() - began > 1000) say(`the base is made (${duration(Date.now() - began)})`)
  return { folder, archive, settings }
}

/** A clone of what is committed, put where a person would have put it. */
const putClone = async (system: BareSystem): Promise<void> => {
  const work = mkdtempSync(join(system.root, 'tmp/clone-'))
  try {
    // A checkout may belong to another user than root; git reads those only when told to.
    const trust = join(work, 'gitconfig')
    writeFileSync(trust, '[safe]\n\tdirectory = *\n')
    const env = { ...process.env, GIT_CONFIG_GLOBAL: trust }
    const changed = (await run('git', ['status', '--porcelain'], { cwd: PROJECT, env })).trim()
    if (changed !== '') say(`NOTE: ${changed.split('\n').length} uncommitted changes are not in the clone`)
    await run('git', ['clone', '--quiet', '--depth=1', `file://${PROJECT}`, join(work, 'reckon')], { env })
    renameSync(join(work, 'reckon'), join(system.root, CLONE))
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** "a bare Debian 12.11 stands, with Node v20.19.2 and npm 10.9.2" */
const introduce = async (system: BareSystem): Promise<string> => {
  const ask = async (program: string): Promise<string> => (await system.run([program, '--version'], { limitMs: 30_000 })).output.trim()
  const debian = readFileSync(join(system.root, 'etc/debian_version'), 'utf8').trim()
  return `a bare Debian ${debian} stands, with Node ${await ask('node')} and npm ${await ask('npm')}`
}

const unavailable = (error: Error): undefined => {
  const reason = error.message.split('\n').map((line) => line.trim())
  say(`no bare Debian can be made here: ${reason.join(' ')}`)
}

const OPTIONS = { only: { type: 'string' }, keep: { type: 'boolean' } } as const

const main = async (): Promise<number> => {
  const { values, positionals: selection } = parseArgs({ options: OPTIONS, allowPositionals: true })
  if (values.only !== undefined && values.only !== 'start' && values.only !== 'test')
    throw new Error(`--only ${values.only}: say start or test`)
  const wanted = (['start', 'test'] as const).filter((name) => (values.only ?? (selection.length > 0 ? 'test' : name)) === name)
  const done: Outcome[] = []
  let system: BareSystem | undefined
  let ending: Promise<void> | undefined
  let interrupted = false
  const stop = (): Promise<void> | undefined => (ending ??= system?.stop())
  const signalled = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      process.on(signal, () => {
        if (!interrupted) say(`${signal}: taking the bare system away`)
        interrupted = true
        resolve()
        void stop()
      })
  })
  try {
    const prepared = await prepare().catch(unavailable)
    for (const name of wanted) {
      if (prepared === undefined) return UNAVAILABLE
      if (interrupted) break
      const began = Date.now()
      system = await startSystem(prepared.archive, prepared.folder, prepared.settings, say).catch(unavailable)
      if (system === undefined) return UNAVAILABLE
      ending = undefined
      await putClone(system)
      say(`${await introduce(system)} (${duration(Date.now() - began)}); in it, npm ${name}:`)
      const outcome = name === 'start' ? await tryStart(system, CLONE, say) : await tryTests(system, CLONE, selection, say)
      if (interrupted) break
      done.push(outcome)
      if (values.keep === true && name === wanted.at(-1)) {
        say(`it stands until Ctrl-C; enter it with: ${system.writeDoor(CLONE)}`)
        await signalled
      }
      await stop()
    }
  } finally {
    await stop()
  }
  say('')
  for (const { name, ok, summary, milliseconds } of done)
    say(`npm ${name}  ${ok ? 'ok' : 'FAILED'}: ${summary} (${duration(milliseconds)})`)
  const passed = done.reduce((sum, outcome) => sum + outcome.passed, 0)
  const failed = done.reduce((sum, outcome) => sum + outcome.failed, 0) + (done.length < wanted.length ? 1 : 0)
  say(`${passed} passed, ${failed} failed`)
  return failed > 0 ? 1 : 0
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    say(`npm run bare: ${error instanceof Error ? error.message : String(error)}`)
    say('0 passed, 1 failed')
    process.exit(1)
  }
)
