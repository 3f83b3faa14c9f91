/** Upstream's libraries as a process that answers questions about patches: built with Go from what stands beside this file. */
import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { findProgram, run } from '#ops/setup/project.ts'

export interface Question {
  /** `round`: what Go makes of an object. */
  readonly op: 'round' | 'strategic' | 'update' | 'apply'
  readonly apiVersion: string
  readonly kind: string
  readonly live?: unknown
  readonly given?: unknown
  readonly manager?: string
  readonly subresource?: string
  readonly force?: boolean
  readonly reset?: readonly string[]
}

export interface OracleAnswer {
  readonly object?: unknown
  readonly error?: string
}

export class Oracle {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>
  readonly #waiting: ((answer: OracleAnswer) => void)[] = []

  private constructor(program: string) {
    this.#process = spawn(program, { stdio: ['pipe', 'pipe', 'inherit'] })
    createInterface({ input: this.#process.stdout }).on('line', (line) => this.#waiting.shift()?.(JSON.parse(line) as OracleAnswer))
    this.#process.on('exit', (code) => {
      for (const resolve of this.#waiting.splice(0)) resolve({ error: `the oracle ended with ${code}` })
    })
  }
  /** Builds it where Go is on the machine; throws with what to do where it isn't. */
  static async build(folder: string): Promise<Oracle> {
    if (findProgram('go') === undefined) throw new Error('the oracle is a Go program, built from published modules: put go on PATH')
    mkdirSync(folder, { recursive: true })
    const program = join(folder, 'patch-oracle')
    await run('go', ['build', '-o', program, '.'], { cwd: import.meta.dirname, env: { ...process.env, GOFLAGS: '-mod=mod' } })
    return new Oracle(program)
  }
  ask(question: Question): Promise<OracleAnswer> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
      this.#process.stdin.write(`${JSON.stringify(question)}\n`)
    })
  }
  end(): void {
    this.#process.stdin.end()
  }
}
