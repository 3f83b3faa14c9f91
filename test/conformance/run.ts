/** Runs one spec as a process of its own, and returns how it ended, whatever the spec does. */
import { spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Ending } from './report.ts'
import { focusOn } from './specs.ts'
import type { Suite } from './suite.ts'

export interface SpecRun {
  readonly suite: Suite
  readonly kubeconfig: string
  /** Where what it prints is kept, in a file for each spec. */
  readonly logs: string
  readonly limitSeconds: number
}

export interface Ended extends Ending {
  /** The suite's own name for the run, which is on the namespaces it made; undefined when it did not come to say it. */
  readonly run: string | undefined
}

/** Of a spec whose time is up, for what it has to clean up. */
const GRACE_SECONDS = 20
/** After that, for writing its report. */
const KILL_SECONDS = 15
/** When the whole run is interrupted. */
const INTERRUPT_SECONDS = 15
/** Of what it printed; specs that dump objects print megabytes. */
const READ_BYTES = 256 * 1024

/** Undefined when `signal` ended it: a spec that was interrupted has no result. */
export const runSpec = (spec: string, { suite, kubeconfig, logs, limitSeconds }: SpecRun, signal: AbortSignal): Promise<Ended | undefined> => {
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
    `--ginkgo.grace-period=${GRACE_SECONDS}s`,
    `--ginkgo.json-report=${report}`,
    '--ginkgo.no-color',
    '--ginkgo.silence-skips'
  ]
  const output = openSync(log, 'w')
  const began = Date.now()
  return new Promise((resolve, reject) => {
    // Its own process group: what it starts (kubectl) ends with it.
    const child = spawn(suite.program, args, { cwd: logs, detached: true, stdio: ['ignore', output, output], env: { ...process.env, KUBECONFIG: kubeconfig } })
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
    const timers = [setTimeout(() => ((killed = true), group('SIGKILL')), (limitSeconds + GRACE_SECONDS + KILL_SECONDS) * 1000)]
    const interrupt = (): void => {
      // Ginkgo takes down what the spec set up, and ends.
      group('SIGINT')
      timers.push(setTimeout(() => group('SIGKILL'), INTERRUPT_SECONDS * 1000))
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
      if (signal.aborted) return resolve(undefined)
      const printed = endsOf(log)
      resolve({
        code,
        signal: by,
        killed,
        seconds: (Date.now() - began) / 1000,
        report: existsSync(report) ? readFileSync(report, 'utf8') : undefined,
        output: printed,
        run: /Starting e2e run "([0-9a-f-]+)"/.exec(printed)?.[1]
      })
      rmSync(report, { force: true })
    })
  })
}

/** A spec's name as that of a file. */
const fileNameOf = (spec: string): string => spec.replace(/\[Conformance\]/g, '').replace(/[^A-Za-z0-9]+/g, '-').replace(/^-|-$/g, '').slice(0, 180)

/** The beginning and the end of a file, as much of both as is read. */
const endsOf = (path: string): string => {
  const text = readFileSync(path)
  return statSync(path).size <= READ_BYTES ? text.toString() : `${text.subarray(0, READ_BYTES / 2)}\n…\n${text.subarray(-READ_BYTES / 2)}`
}
