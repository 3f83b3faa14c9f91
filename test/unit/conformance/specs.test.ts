/** The list of specs, what a run runs of it, and what it was asked for. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseOptions } from '#test/conformance/options.ts'
import type { Result } from '#test/conformance/results.ts'
import { areaOf, focusOn, isSerial, parseSpecs, planOf } from '#test/conformance/specs.ts'

const specs = suite('conformance specs')

/** As the suite prints it: YAML with long names folded over lines, in either kind of quotes. */
const LISTED = `- testname: Pods, b
  codename: '[sig-node] Pods should say "it''s" when a name is long enough to be
    folded [Conformance]'
  description: ' codename: not this one'
  release: v1.9
- testname: Daemon set
  codename: '[sig-apps] Daemon set [Serial] should run [Conformance]'
- testname: Pods, again
  codename: "[sig-node] Pods should \\"quote\\" [Conformance]"
`

specs('are read from the list of the suite, sorted', () => {
  assert.equal(parseSpecs(LISTED), [
    '[sig-apps] Daemon set [Serial] should run [Conformance]',
    '[sig-node] Pods should "quote" [Conformance]',
    '[sig-node] Pods should say "it\'s" when a name is long enough to be folded [Conformance]'
  ])
})

specs('a list that is none is an error, never an empty run', () => {
  for (const text of ['', 'flag provided but not defined', '- testname: without a codename\n'])
    assert.throws(() => parseSpecs(text), /did not list its conformance specs/)
})

specs('belong to the area they name', () => {
  assert.is(areaOf('[sig-api-machinery] Watchers should …'), 'api-machinery')
  assert.is(areaOf('Something else'), 'others')
  assert.ok(isSerial('[sig-apps] Daemon set [Serial] should run'))
  assert.ok(isSerial('[sig-node] NoExecuteTaintManager [Disruptive] x'))
  assert.not.ok(isSerial('[sig-cli] Serialization of'))
})

specs('an expression for one matches it and nothing longer', () => {
  const name = '[sig-node] a (b|c) $x^ 1.5 [LinuxOnly] [Conformance]'
  const expression = new RegExp(focusOn(name))
  assert.ok(expression.test(name))
  assert.not.ok(expression.test(`${name} and more`))
  assert.not.ok(expression.test(name.replace('1.5', '1x5')))
})

const result = (spec: string, outcome: Result['outcome'], seconds: number): [string, Result] => [
  spec,
  { spec, outcome, seconds, words: '' }
]
const ALL = ['a', 'b', 'c', 'd [Serial]', 'e']
const RESULTS = new Map([
  result('a', 'failed', 300),
  result('b', 'passed', 5),
  result('c', 'timed out', 20),
  result('d [Serial]', 'failed', 1)
])

specs('a run goes on with what has no result', () => {
  assert.equal(planOf(ALL, RESULTS, { rerun: 'none' }), { together: ['e'], alone: [] })
  assert.equal(planOf(ALL, new Map(), { rerun: 'none' }), { together: ['a', 'b', 'c', 'e'], alone: ['d [Serial]'] })
})

specs('what is tried again comes after what never was, the short ones first', () => {
  assert.equal(planOf(ALL, RESULTS, { rerun: 'failed' }), { together: ['e', 'c', 'a'], alone: ['d [Serial]'] })
  assert.equal(planOf(ALL, RESULTS, { rerun: 'all' }), { together: ['e', 'b', 'c', 'a'], alone: ['d [Serial]'] })
  assert.equal(planOf(ALL, RESULTS, { rerun: 'all', focus: /^[ab]$/ }), { together: ['b', 'a'], alone: [] })
})

specs('options have defaults, and both ways to write a value', () => {
  assert.equal(parseOptions([]), { jobs: 2, limit: 420, rerun: 'none', list: false })
  assert.equal(parseOptions(['--focus=a=b', '--jobs', '3', '--limit-s', '60', '--rerun', 'failed', '--kubeconfig', 'k', '--list']), {
    focus: /a=b/,
    jobs: 3,
    limit: 60,
    rerun: 'failed',
    kubeconfig: 'k',
    list: true
  })
})

specs('options that make no sense are refused in words', () => {
  for (const [args, why] of [
    [['--jobs', '0'], /--jobs 0: must be a whole number above 0/],
    [['--limit-s', 'long'], /--limit-s long: must be/],
    [['--focus', '('], /--focus: Invalid regular expression/],
    [['--rerun', 'some'], /--rerun some: must be failed or all/],
    [['--focus'], /--focus needs a value/],
    [['--table', 'x.txt'], /must end with \.md/],
    [['--skip', 'x'], /--skip is no option/],
    [['node'], /node is no option/]
  ] as const)
    assert.throws(() => parseOptions(args), why)
})

specs.run()
