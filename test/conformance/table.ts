/** The page with the results: a summary by area, then each spec, in an order and in words that stay where nothing changed. */
import type { Outcome, Result } from './results.ts'
import { areaOf, isSerial } from './specs.ts'

export interface Circumstances {
  /** Of the suite: `v1.34.4`. */
  readonly suite: string
  /** What the API server says it is. */
  readonly server: string
  /** `2026-11-21`, of the latest run. */
  readonly date: string
  readonly machine: string
  readonly limit: number
}

const MARK: Readonly<Record<Outcome | 'not run', string>> = {
  passed: 'passed',
  failed: '**failed**',
  'timed out': '**timed out**',
  panicked: '**panicked**',
  skipped: 'skipped',
  'not run': 'not run'
}

export const renderTable = (specs: readonly string[], results: ReadonlyMap<string, Result>, circumstances: Circumstances): string => {
  const { suite, server, date, machine, limit } = circumstances
  const areas = [...new Set(specs.map(areaOf))].sort()
  const passed = (of: readonly string[]): number => of.filter((spec) => results.get(spec)?.outcome === 'passed').length
  const lines = [
    '# Conformance',
    '',
    "Kubernetes' own conformance suite, run spec by spec against a cluster of reckon by `npm run conformance`, which writes this page.",
    'Every spec is in it, none is left out or treated in a way of its own, and each says what came of it in its own words.',
    '[conformance-running.md](conformance-running.md) says how to run it.',
    '',
    `**${passed(specs)} of ${specs.length} passed.**`,
    '',
    '| | |',
    '|---|---|',
    `| suite | Kubernetes ${suite}, ${specs.length} specs |`,
    `| server | ${cell(server)} |`,
    `| date | ${date} |`,
    `| machine | ${cell(machine)} |`,
    `| limit | ${limit} s for a spec |`,
    '',
    '## By area',
    '',
    '| area | passed | of | failed | timed out | panicked | skipped | not run |',
    '|---|---:|---:|---:|---:|---:|---:|---:|',
    ...areas.map((area) =>
      summary(
        area,
        specs.filter((spec) => areaOf(spec) === area),
        results
      )
    ),
    summary('**all**', specs, results),
    ''
  ]
  for (const area of areas) {
    const own = specs.filter((spec) => areaOf(spec) === area).toSorted()
    const head = [`## ${area}: ${passed(own)} of ${own.length}`, '', '| spec | result | seconds | its words |', '|---|---|---:|---|']
    lines.push(...head, ...own.map((spec) => row(spec, results.get(spec))), '')
  }
  return lines.join('\n')
}

const summary = (area: string, specs: readonly string[], results: ReadonlyMap<string, Result>): string => {
  const count = (outcome: Outcome | undefined): number => specs.filter((spec) => results.get(spec)?.outcome === outcome).length
  const counts = [count('passed'), specs.length, ...(['failed', 'timed out', 'panicked', 'skipped', undefined] as const).map(count)]
  return `| ${[area, ...counts].join(' | ')} |`
}

const row = (spec: string, result: Result | undefined): string => {
  // Its area is the heading, and every one of them is a conformance spec.
  const name = spec
    .replace(/^\[sig-[a-z-]+\] /, '')
    .replace(/ \[Conformance\]$/, '')
    .replace(/ \[(Serial|Disruptive)\]/g, '')
  const told = result === undefined ? ['not run', '', ''] : [MARK[result.outcome], result.seconds, cell(steady(result.words))]
  return `| ${[`${cell(name)}${isSerial(spec) ? ' _(alone)_' : ''}`, ...told].join(' | ')} |`
}

/** A table's cell is a line without bars; what looks like markup or HTML is text. */
const cell = (text: string): string =>
  text
    .replace(/\\/g, '\\\\')
    .replace(/\|/g, '\\|')
    .replace(/</g, '&lt;')
    .replace(/([*_`])/g, '\\$1')

/** Words without what differs each time (uids, times, numbers drawn for names, pointers), so that two pages differ where something did. */
const steady = (words: string): string =>
  words
    .replace(/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g, '…')
    .replace(/\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| ?[+-]\d\d:?\d\d( [A-Z]+)?)?( m=\+[\d.]+)?/g, '…')
    .replace(/\b0x[0-9a-f]{6,}\b/g, '…')
    .replace(/\b([a-z][a-z-]*[a-z])-\d{2,}\b/g, '$1-…')
    .replace(/\bafter \d+\.\d+s\b/g, 'after …s')
