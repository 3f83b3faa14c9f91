/** Runs one test file as its own process group, counts its tests, and leaves nothing of it running. */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'

export interface FileRun {
  readonly command: string
  readonly args: readonly string[]
  readonly cwd: string
  readonly env: NodeJS.ProcessEnv
  readonly limitSeconds: number
  /** `uvu`: from its summary. `exit`: the whole run is one test. */
  readonly counts: 'uvu' | 'exit'
}

export interface FileResult {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  readonly milliseconds: number
  /** Things to know that are no failures. */
  readonly notes: readonly string[]
  readonly output: string
}

const MAX_OUTPUT = 256 * 1024
/** In the environment of the file's process and, inherited, of everything it starts. */
const MARK = 'RECKON_TEST_FILE'

const running = new Map<ChildProcess, string>()

export const runFile = (file: FileRun): Promise<FileResult> =>
  new Promise((resolve) => {
    const started = Date.now()
    const mark = randomUUID()
    const child = spawn(file.command, file.args, {
      cwd: file.cwd,
      env: { ...file.env, [MARK]: mark },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe']
    })
    running.set(child, mark)
    let output = ''
    const keep = (chunk: Buffer): void => {
      output += chunk.toString()
      // The end matters more than the middle.
      if (output.length > MAX_OUTPUT) output = `${output.slice(0, 4096)}\n… (cut)\n${output.slice(-MAX_OUTPUT / 2)}`
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    let problem: string | undefined
    const limit = setTimeout(() => {
      problem = `did not end within ${file.limitSeconds} s, and was killed`
      killGroup(child)
    }, file.limitSeconds * 1000)
    const end = (code: number | null, signal: NodeJS.Signals | null, notes: readonly string[]): void => {
      clearTimeout(limit)
      running.delete(child)
      if (problem === undefined && signal !== null) problem = `was ended by ${signal}`
      const counted = count(file.counts, output, code, problem)
      if (problem !== undefined) output += `\n${problem}\n`
      else if (counted.failed > 0 && code === 0) output += '\nran no test\n'
      resolve({ ...counted, milliseconds: Date.now() - started, notes, output })
    }
    child.once('error', (error) => {
      problem = error.message
      end(1, null, [])
    })
    // What it left behind holds its pipes open: that goes first, then the rest of the output is read.
    child.once('exit', (code, signal) => {
      killGroup(child)
      const left = killMarked(mark)
      const notes = left.length === 0 ? [] : [`left running, and killed now: ${left.join(', ')}`]
      const patience = setTimeout(() => child.emit('close'), 2000)
      child.once('close', () => {
        clearTimeout(patience)
        end(code, signal, notes)
      })
    })
  })

/** Ends every file that still runs, for an interrupted run. */
export const stopAll = async (): Promise<void> => {
  for (const [child, mark] of running) {
    killGroup(child)
    killMarked(mark)
  }
}

const count = (
  kind: FileRun['counts'],
  output: string,
  code: number | null,
  problem: string | undefined
): { passed: number; failed: number; skipped: number } => {
  const bad = problem !== undefined || code !== 0
  if (kind === 'exit') return { passed: bad ? 0 : 1, failed: bad ? 1 : 0, skipped: 0 }
  return countUvu(output, bad)
}

/**
 * Sums uvu's summaries. A file that failed in any way counts at least one failure, and so does one that ran no test:
 * a forgotten `run()` must not look like success.
 */
export const countUvu = (output: string, bad: boolean): { passed: number; failed: number; skipped: number } => {
  const sum = (label: string): number =>
    [...output.matchAll(new RegExp(`^ {2}${label}: +(\\d+)$`, 'gm'))].reduce((total, match) => total + Number(match[1]), 0)
  const total = sum('Total')
  const passed = sum('Passed')
  return { passed, failed: Math.max(total - passed, bad || total === 0 ? 1 : 0), skipped: sum('Skipped') }
}

const killGroup = (child: ChildProcess): void => {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // The group is gone.
  }
}

/** Kills what a file started outside its process group; returns what it was. */
const killMarked = (mark: string): string[] => {
  const found: string[] = []
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (Number(pid) === process.pid || !readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(`${MARK}=${mark}`)) continue
      const name = readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
      process.kill(Number(pid), 'SIGKILL')
      found.push(`${name} (${pid})`)
    } catch {
      // It ended while we looked, or is not ours to see.
    }
  }
  return found
}
