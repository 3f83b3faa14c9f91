/** What came of a spec's process, out of the report that Ginkgo writes, or out of its last words when it wrote none. */
import { oneLine, type Outcome, type Result } from './results.ts'

/** How a process ended. */
export interface Ending {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** True when it did not end by itself, long after its time was up. */
  readonly killed: boolean
  readonly seconds: number
  /** Ginkgo's JSON report; undefined when there is none. */
  readonly report: string | undefined
  /** The end of what it printed. */
  readonly output: string
}

/** The parts of Ginkgo's report that are read (github.com/onsi/ginkgo types.Report). */
interface SpecReport {
  readonly LeafNodeType: string
  readonly State: string
  readonly Failure?: Failure
}

interface Failure {
  readonly Message?: string
  readonly ForwardedPanic?: string
  readonly Location?: { readonly FileName?: string; readonly LineNumber?: number }
  /** What a spec whose time was up said then: what it had waited for. */
  readonly AdditionalFailure?: { readonly Failure?: Failure }
}

const OUTCOME: Readonly<Record<string, Outcome>> = {
  passed: 'passed',
  failed: 'failed',
  aborted: 'failed',
  panicked: 'panicked',
  timedout: 'timed out',
  interrupted: 'timed out',
  skipped: 'skipped'
}

/** Longer words are whole objects that a matcher prints; their beginning says what was expected, their end often why. */
const MOST_WORDS = 500
const LAST_WORDS = 150

/** `places`: folders of this machine, registries of images: words have paths without them, and say the same wherever the project stands. */
export const resultOf = (spec: string, ending: Ending, places: readonly string[] = []): Result => {
  const seconds = Math.round(ending.seconds)
  const result = (outcome: Outcome, words: string): Result => ({ spec, outcome, seconds, words: shorten(without(places, words)) })
  const ran = ending.report === undefined ? [] : specsOf(ending.report)
  const own = ran.find(({ LeafNodeType, State }) => LeafNodeType === 'It' && State !== 'pending' && !isFilteredOut(State, ran))
  const before = ran.find(({ LeafNodeType, State }) => LeafNodeType !== 'It' && OUTCOME[State] !== 'passed' && State !== '')
  // What has to go well before any spec counts as the spec's own failure: it did not do what it should.
  const told = before !== undefined && OUTCOME[before.State] !== 'skipped' ? before : own
  if (ending.killed) return result('timed out', `it did not end by itself: ${lastWords(ending.output)}`)
  if (told === undefined) {
    const words = lastWords(ending.output) || `it ended with ${ending.signal ?? ending.code} and said nothing`
    return result(/panic/i.test(ending.output) ? 'panicked' : 'failed', words)
  }
  const outcome = OUTCOME[told.State] ?? 'failed'
  // Green, and yet an exit code: something after the spec failed.
  if (outcome === 'passed' && ending.code !== 0) return result('failed', lastWords(ending.output))
  return result(outcome, wordsOf(told))
}

/** Specs that the focus leaves out are in some reports, as skipped without a word; one that skips itself says why. */
const isFilteredOut = (state: string, all: readonly SpecReport[]): boolean =>
  state === 'skipped' && all.filter(({ LeafNodeType }) => LeafNodeType === 'It').length > 1

const specsOf = (report: string): SpecReport[] => {
  try {
    const suites = JSON.parse(report) as { SpecReports?: SpecReport[] | null }[]
    return suites.flatMap(({ SpecReports }) => SpecReports ?? [])
  } catch {
    // Cut short with the process that wrote it.
    return []
  }
}

const wordsOf = ({ Failure: first }: SpecReport): string => {
  const failure = first?.AdditionalFailure?.Failure ?? first
  const { FileName: file = '', LineNumber: line } = failure?.Location ?? {}
  const where = file === '' ? '' : ` (${file.replace(/^.*?\/(?=test\/)/, '')}:${line})`
  return `${[failure?.Message, failure?.ForwardedPanic].filter((part) => part !== undefined && part !== '').join(': ')}${where}`
}

const without = (places: readonly string[], words: string): string =>
  places.reduce((left, place) => left.replaceAll(`${place}/`, ''), words)

const shorten = (words: string): string => {
  const line = oneLine(words)
  return line.length <= MOST_WORDS ? line : `${line.slice(0, MOST_WORDS - LAST_WORDS)} … ${line.slice(-LAST_WORDS)}`
}

/** The line that says why a Go program ended, with what follows it; else the last lines. */
const lastWords = (output: string): string => {
  const plain = output.replace(/\x1b\[[0-9;]*m/g, '')
  const lines = plain
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
  const panic = lines.findIndex((line) => /^(panic|fatal error): /.test(line))
  if (panic < 0) return lines.slice(-3).join(' ')
  // Ginkgo's own panic goes on with advice for whoever wrote the spec.
  return lines.slice(panic, panic + (lines[panic]?.includes('Your Test Panicked') ? 2 : 4)).join(' ')
}
