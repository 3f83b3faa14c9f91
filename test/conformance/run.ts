/** Runs one spec as a process of its own, and returns how it ended, whatever the spec does. */
import { spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Ending } from './report.ts'
import { focusOn } from './specs.ts'

export interface SpecRun {
  /** The suite's program, and the kubectl that it calls. */
  readonly suite: { readonly program: string; readonly kubectl: string }
  readonly kubeconfig: string
  /** Where what it prints is kept, in a file for each spec. */
  readonly logs: string
  readonly limitSeconds: number
  readonly patience?: Patience
}

/** Seconds that are waited for what ends by itself, before it is ended. */
export interface Patience {
  /** A spec whose time is up takes down what it set up. */
  readonly grace: number
  /** Then its report is written. */
  readonly report: number
  /** Both, when the whole run is interrupted. */
  readonly interrupted: number
}

const PATIENCE: Patience = { grace: 20, report: 15, interrupted: 15 }

export interface Ended extends Ending {
  /** The suite's own name for the run, which is on the namespaces it made; undefined when it did not come to say it. */
  readonly run: string | undefined
  /** Its end says nothing about the spec. */
  readonly interrupted: boolean
}

/** Of what it printed; specs that dump objects print megabytes. */
const READ_BYTES = 256 * 1024

/** Returns when its process and what that started have ended, at the latest when its limit and all patience are over. */
export const runSpec = (spec: string, given: SpecRun, signal: AbortSignal): Promise<Ended> => {
  const { suite, kubeconfig, logs, limitSeconds, patience = PATIENCE } = given
  mkdirSync(logs, { recursive: true })
  const name = fileNameOf(spec)
  const [log, report] = [join(logs, `${name}.log`), join(logs, `${name}.json`)]
  rmSync(report, { force: true })
  const args = [
    `--kubeconfig=${kubeconfig}`,
    '--provider=skeleton',
    `--kubectl-path=${suite.kubectl}`,
    `--ginkgo.focus=${focusOn(spec)}`,
    `--ginkgo.timeout=${limitSeconds}s`,
    `--ginkgo.grace-period=${patience.grace}s`,
    `--ginkgo.json-report=${report}`,
    '--ginkgo.no-color',
    '--ginkgo.silence-skips'
  ]
  const output = openSync(log, 'w')
  const began = Date.now()
  return new Promise((resolve, reject) => {
    // Its own process group: what it starts (kubectl) ends with it.
    const env = { ...process.env, KUBECONFIG: kubeconfig }
    const child = spawn(suite.program, args, { cwd: logs, detached: true, stdio: ['ignore', output, output], env })
    closeSync(output)
    let killed = false
    const group = (name: NodeJS.Signals): void => {
      if (child.pid === undefined) return
      try {
        process.kill(-child.pid, name)
      } catch {
        // The group is gone.
      }
    }
    const kill = (): void => {
      killed = true
      group('SIGKILL')
    }
    const timers = [setTimeout(kill, (limitSeconds + patience.grace + patience.report) * 1000)]
    const interrupt = (): void => {
      // Ginkgo takes down what the spec set up, and ends.
      group('SIGINT')
      timers.push(setTimeout(() => group('SIGKILL'), patience.interrupted * 1000))
    }
    signal.addEventListener('abort', interrupt, { once: true })
    if (signal.aborted) interrupt()
    const ended = (): void => {
      timers.forEach(clearTimeout)
      signal.removeEventListener('abort', interrupt)
      group('SIGKILL')
    }
    child.on('error', (error) => {
      ended()
      reject(error)
    })
    child.on('exit', (code, by) => {
      ended()
      const printed = endsOf(log)
      resolve({
        code,
        signal: by,
        killed,
        seconds: (Date.now() - began) / 1000,
        report: existsSync(report) ? readFileSync(report, 'utf8') : undefined,
        output: printed,
        interrupted: signal.aborted,
        run: /Starting e2e run "([0-9a-f-]+)"/.exec(printed)?.[1]
      })
      rmSync(report, { force: true })
    })
  })
}

/** A spec's name as that of a file. */
const fileNameOf = (spec: string): string =>
  spec
    .replace(/\[Conformance\]/g, '')
    .replace(/[^A-Za-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
    .slice(0, 180)

/** The beginning and the end of a file, as much of both as is read. */
const endsOf = (path: string): string => {
  const text = readFileSync(path)
  return statSync(path).size <= READ_BYTES ? text.toString() : `${text.subarray(0, READ_BYTES / 2)}\n…\n${text.subarray(-READ_BYTES / 2)}`
}
