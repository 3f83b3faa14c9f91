/** What came of each spec, as the lines of a file that a later run reads to go on. */

/**
 * `timed out`: it was still at work at its limit. `panicked`: the suite's own program ended with it. `skipped`: the spec found that
 * it does not apply to this cluster, in its own words.
 */
export type Outcome = 'passed' | 'failed' | 'timed out' | 'panicked' | 'skipped'

export interface Result {
  readonly spec: string
  readonly outcome: Outcome
  readonly seconds: number
  /** The failure's own, in one line; empty for one that passed. */
  readonly words: string
}

const OUTCOMES: readonly string[] = ['passed', 'failed', 'timed out', 'panicked', 'skipped'] satisfies readonly Outcome[]

const HEADER = 'outcome\tseconds\tspec\twords'

/** The suite's version, a header, and a line for each result; sorted by spec. */
export const formatResults = (version: string, results: Iterable<Result>): string => {
  const sorted = [...results].toSorted((a, b) => (a.spec < b.spec ? -1 : 1))
  const lines = sorted.map(({ outcome, seconds, spec, words }) => [outcome, seconds, spec, oneLine(words)].join('\t'))
  return [`# Kubernetes ${version}`, HEADER, ...lines, ''].join('\n')
}

/** The results of a run with this version of the suite; those of another one say nothing about it, and are left out. */
export const parseResults = (version: string, text: string): Map<string, Result> => {
  const [title, , ...lines] = text.split('\n')
  const found = new Map<string, Result>()
  if (title !== `# Kubernetes ${version}`) return found
  for (const line of lines) {
    const [outcome = '', seconds = '', spec = '', words = ''] = line.split('\t')
    if (!OUTCOMES.includes(outcome) || spec === '') continue
    found.set(spec, { spec, outcome: outcome as Outcome, seconds: Number(seconds) || 0, words })
  }
  return found
}

export const oneLine = (text: string): string => text.replace(/\s+/g, ' ').trim()
