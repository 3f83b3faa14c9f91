/** A spec's process: what it is started with, and that it ends whatever it does. A shell script stands for the suite's program. */
import { randomInt } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { resultOf } from '#test/conformance/report.ts'
import { runSpec, type Ended } from '#test/conformance/run.ts'
import { processesWhere } from '#ops/setup/process.ts'
import { until } from '#test/support/until.ts'

const runs = suite('conformance runs')
const folder = mkdtempSync(join(tmpdir(), 'reckon-conformance-'))
const logs = join(folder, 'logs')
runs.after(() => rmSync(folder, { recursive: true, force: true }))

const SPEC = '[sig-node] Pods should start (once) [Conformance]'
const never = new AbortController().signal
let count = 0

/** Runs a script in the place of the suite's program; `$report` is where the report goes. */
const run = (script: string, limitSeconds = 60, signal = never): Promise<Ended> => {
  const program = join(folder, `suite-${count++}`)
  const report = 'for arg; do case $arg in --ginkgo.json-report=*) report=${arg#*=};; esac; done'
  writeFileSync(program, `#!/bin/sh\n${report}\n${script}\n`, { mode: 0o755 })
  const patience = { grace: 0, report: 0.2, interrupted: 0.2 }
  return runSpec(SPEC, { suite: { program, kubectl: '/kubectl' }, kubeconfig: '/kubeconfig', logs, limitSeconds, patience }, signal)
}

const PASSED = `echo '[{"SpecReports":[{"LeafNodeType":"It","State":"passed"}]}]' > "$report"`

runs('the report and what was printed are read', async () => {
  const ended = await run(`echo 'I1121 Starting e2e run "0f34ad2c-1b7b" on Ginkgo node 1' >&2; ${PASSED}`)
  assert.is(resultOf(SPEC, ended).outcome, 'passed')
  assert.is(ended.run, '0f34ad2c-1b7b')
  assert.is(ended.interrupted, false)
})

runs('only this spec is asked for, of this cluster, within its limit', async () => {
  const { output } = await run('printf "%s\\n" "$@" "KUBECONFIG=$KUBECONFIG"', 77)
  const words = output.split('\n')
  for (const word of ['--kubeconfig=/kubeconfig', 'KUBECONFIG=/kubeconfig', '--kubectl-path=/kubectl', '--ginkgo.timeout=77s'])
    assert.ok(words.includes(word), word)
  assert.ok(words.includes('--ginkgo.focus=\\[sig-node\\] Pods should start \\(once\\) \\[Conformance\\]$'))
})

runs('a report of before is not taken for one of this run', async () => {
  await run(PASSED)
  assert.is(resultOf(SPEC, await run('exit 0')).outcome, 'failed')
})

/** Seconds that nobody else sleeps, who runs this test at the same moment. */
const longTime = (): string => `4711.${randomInt(1e9)}`
const sleepers = (seconds: string): number => processesWhere((words) => words[0] === 'sleep' && words[1] === seconds).length

runs('one that hangs is killed with all it started, and has timed out', async () => {
  const long = longTime()
  const ended = await run(`trap "" TERM INT; echo waiting; sleep ${long} & wait; wait`, 0.3)
  assert.is(resultOf(SPEC, ended).outcome, 'timed out')
  assert.match(resultOf(SPEC, ended).words, /waiting/)
  await until('it is gone', () => sleepers(long) === 0)
})

runs('what a spec left running when it ended is ended too', async () => {
  const long = longTime()
  await run(`sleep ${long} & exit 1`)
  await until('it is gone', () => sleepers(long) === 0)
})

runs('an interrupted one may take down what it set up, and has no result', async () => {
  const stop = new AbortController()
  const running = run('trap "echo cleaning; exit 1" INT; echo begun; while :; do sleep 0.05; done', 60, stop.signal)
  await until('it has begun', () => readdirSync(logs).some((name) => readFileSync(join(logs, name), 'utf8').includes('begun')))
  stop.abort()
  const ended = await running
  assert.is(ended.interrupted, true)
  assert.match(ended.output, /cleaning/)
})

runs('an interrupted one that does not care is killed', async () => {
  const stop = new AbortController()
  stop.abort()
  assert.is((await run('trap "" INT; while :; do sleep 0.05; done', 60, stop.signal)).interrupted, true)
})

runs('a program that is not there is an error, not a result', async () => {
  const missing = { suite: { program: join(folder, 'nothing'), kubectl: '' }, kubeconfig: '', logs, limitSeconds: 1 }
  await runSpec(SPEC, missing, never).then(
    () => assert.unreachable('it has a result'),
    (error: Error) => assert.match(error.message, /ENOENT/)
  )
})

runs.run()
