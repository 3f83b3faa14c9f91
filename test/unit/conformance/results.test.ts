/** What came of a spec's process, how it is kept, and the page it is shown on. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { resultOf, type Ending } from '#test/conformance/report.ts'
import { formatResults, parseResults, type Result } from '#test/conformance/results.ts'
import { renderTable } from '#test/conformance/table.ts'

const results = suite('conformance results')

const SPEC = '[sig-node] Pods should start [Conformance]'
const ENDING: Ending = { code: 0, signal: null, killed: false, seconds: 12.4, report: undefined, output: '' }
const reportOf = (...specs: readonly object[]): string => JSON.stringify([{ SuiteSucceeded: true, SpecReports: specs }])
const BEFORE = { LeafNodeType: 'SynchronizedBeforeSuite', State: 'passed' }

results('a spec that passed has no words', () => {
  const report = reportOf(BEFORE, { LeafNodeType: 'It', State: 'passed' })
  assert.equal(resultOf(SPEC, { ...ENDING, report }), { spec: SPEC, outcome: 'passed', seconds: 12, words: '' })
})

results('a spec that failed says why and where', () => {
  const where = { FileName: 'k8s.io/kubernetes@v1.34.4/test/e2e/node/pods.go', LineNumber: 71 }
  const failure = { Message: 'pod was not\n\tready', Location: where }
  const report = reportOf(BEFORE, { LeafNodeType: 'It', State: 'failed', Failure: failure })
  assert.equal(resultOf(SPEC, { ...ENDING, code: 1, report }), {
    spec: SPEC,
    outcome: 'failed',
    seconds: 12,
    words: 'pod was not ready (test/e2e/node/pods.go:71)'
  })
})

results('words that are a whole object keep their beginning and their end', () => {
  const report = reportOf({ LeafNodeType: 'It', State: 'failed', Failure: { Message: `begins ${'x'.repeat(5000)} ends` } })
  const { words } = resultOf(SPEC, { ...ENDING, code: 1, report })
  assert.ok(words.length < 600)
  assert.match(words, /^begins x+ … x+ ends$/)
})

results('one that skips itself says why', () => {
  const report = reportOf(BEFORE, { LeafNodeType: 'It', State: 'skipped', Failure: { Message: 'Requires at least 2 nodes' } })
  const { outcome, words } = resultOf(SPEC, { ...ENDING, report })
  assert.equal([outcome, words], ['skipped', 'Requires at least 2 nodes'])
})

results('a cluster that is not ready for any spec is a failure of the spec, not a spec that did not run', () => {
  const report = reportOf({ ...BEFORE, State: 'failed', Failure: { Message: 'no nodes' } }, { LeafNodeType: 'It', State: 'skipped' })
  const { outcome, words } = resultOf(SPEC, { ...ENDING, code: 1, report })
  assert.equal([outcome, words], ['failed', 'no nodes'])
})

results('a limit is told from a failure, whether the spec noticed it or not', () => {
  const report = reportOf({ LeafNodeType: 'It', State: 'timedout', Failure: { Message: 'A suite timeout occurred' } })
  assert.is(resultOf(SPEC, { ...ENDING, code: 1, report }).outcome, 'timed out')
  const waited = { Message: 'A suite timeout occurred', AdditionalFailure: { State: 'failed', Failure: { Message: 'waited for a pod' } } }
  const told = resultOf(SPEC, { ...ENDING, code: 1, report: reportOf({ LeafNodeType: 'It', State: 'timedout', Failure: waited }) })
  assert.equal([told.outcome, told.words], ['timed out', 'waited for a pod'])
  const hung = resultOf(SPEC, { ...ENDING, code: null, signal: 'SIGKILL', killed: true, output: 'STEP: waiting\nfor something' })
  assert.equal([hung.outcome, hung.words], ['timed out', 'it did not end by itself: STEP: waiting for something'])
})

results('a program that panicked has no report, and its last words are told', () => {
  const output = 'I1121 starting\npanic: runtime error: index out of range\n\ngoroutine 7 [running]:\nmain.x()\n'
  const { outcome, words } = resultOf(SPEC, { ...ENDING, code: 2, output })
  assert.equal([outcome, words], ['panicked', 'panic: runtime error: index out of range goroutine 7 [running]: main.x()'])
  assert.is(resultOf(SPEC, { ...ENDING, code: 2, output, report: '[{"SpecRep' }).outcome, 'panicked')
})

results('a panic of the suite itself is told without its colours and its advice', () => {
  const [red, off] = ['\x1b[38;5;9m', '\x1b[0m']
  const output = `\x1b[1mpanic: ${red}Your Test Panicked${off}\n\t${red}test/e2e/chunking.go:68${off}\n\t  When you call Fail(),\n`
  assert.is(resultOf(SPEC, { ...ENDING, code: 2, output }).words, 'panic: Your Test Panicked test/e2e/chunking.go:68')
})

results('words do not say where on the machine the project stands', () => {
  const failure = { Message: 'error running /home/me/x/kubectl --kubeconfig=/home/me/y/kubeconfig' }
  const report = reportOf({ LeafNodeType: 'It', State: 'failed', Failure: failure })
  const { words } = resultOf(SPEC, { ...ENDING, code: 1, report }, ['/home/me/x', '/home/me/y'])
  assert.is(words, 'error running kubectl --kubeconfig=kubeconfig')
})

results('a process that did nothing never counts as passed', () => {
  assert.is(resultOf(SPEC, { ...ENDING, report: reportOf(BEFORE) }).outcome, 'failed')
  assert.is(resultOf(SPEC, ENDING).words, 'it ended with 0 and said nothing')
  const green = reportOf(BEFORE, { LeafNodeType: 'It', State: 'passed' })
  assert.is(resultOf(SPEC, { ...ENDING, code: 1, report: green, output: 'AfterSuite failed' }).outcome, 'failed')
})

const KEPT: readonly Result[] = [
  { spec: '[sig-node] b [Conformance]', outcome: 'timed out', seconds: 300, words: 'waited' },
  { spec: '[sig-apps] a [Serial] [Conformance]', outcome: 'passed', seconds: 2, words: '' }
]

results('are read back as they were written, in the order of specs', () => {
  const text = formatResults('v1.34.4', KEPT)
  assert.is(text.split('\n')[2], 'passed\t2\t[sig-apps] a [Serial] [Conformance]\t')
  assert.equal([...parseResults('v1.34.4', text).values()], [KEPT[1], KEPT[0]])
})

results('of another version, or in no state that there is, say nothing', () => {
  assert.is(parseResults('v1.35.0', formatResults('v1.34.4', KEPT)).size, 0)
  assert.is(parseResults('v1.34.4', '# Kubernetes v1.34.4\nheader\nwonderful\t1\ta\t\n').size, 0)
})

const SPECS = ['[sig-apps] a [Serial]', '[sig-node] b', '[sig-node] c | d', '[sig-node] e'].map((spec) => `${spec} [Conformance]`)
const CIRCUMSTANCES = { suite: 'v1.34.4', server: 'v1.36.0+reckon', date: '2026-11-21', machine: '2 cores', limit: 300 }
const pageOf = (all: readonly Result[]): string => renderTable(SPECS, new Map(all.map((one) => [one.spec, one])), CIRCUMSTANCES)

results('the page counts by area, and says what did not run', () => {
  const page = pageOf(KEPT)
  assert.match(page, '**1 of 4 passed.**')
  assert.match(page, '| apps | 1 | 1 | 0 | 0 | 0 | 0 | 0 |')
  assert.match(page, '| node | 0 | 3 | 0 | 1 | 0 | 0 | 2 |')
  assert.match(page, '| **all** | 1 | 4 | 0 | 1 | 0 | 0 | 2 |')
  assert.match(page, '## node: 0 of 3')
  assert.match(page, '| a _(alone)_ | passed | 2 |  |')
  assert.match(page, '| b | **timed out** | 300 | waited |')
  assert.match(page, '| c \\| d | not run |  |  |')
})

results('the page does not change with the order of results, nor with what is drawn anew each time', () => {
  const failed = (words: string): Result => ({ spec: '[sig-node] e [Conformance]', outcome: 'failed', seconds: 1, words })
  const words = (n: number, uid: string, time: string, pointer: string): Result =>
    failed(`pods-${n} of ${uid}-6c4b-4a3e-9d6f-1b7b1a3f8a10 at ${time} +0000 UTC m=+1.${n} after 60.${n}s <*e|x> ${pointer}`)
  const first = words(4711, '0f34ad2c', '2026-11-21 21:07:09.123', '0xc000123456')
  const second = words(815, '11111111', '2026-11-22 03:00:00.5', '0xc000abcdef')
  assert.is(pageOf([...KEPT, first]), pageOf([second, ...KEPT.toReversed()]))
  assert.match(pageOf([first]), 'pods-… of … at … after …s &lt;\\*e\\|x> …')
})

results.run()
