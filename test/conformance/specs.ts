/** The suite's own list of specs, and which of them a run runs, in which order. */
import { parse } from 'yaml'
import type { Result } from './results.ts'

/** The full names of the conformance specs, sorted, out of what `e2e.test --list-conformance-tests` prints (YAML, with `codename` each). */
export const parseSpecs = (listed: string): string[] => {
  const entries: unknown = parse(listed)
  const names = Array.isArray(entries) ? entries.map((entry) => (entry as { codename?: unknown } | null)?.codename) : []
  const found = names.filter((name): name is string => typeof name === 'string' && name !== '')
  if (found.length === 0 || found.length !== names.length)
    throw new Error('the suite did not list its conformance specs as a list of codenames')
  return [...new Set(found)].sort()
}

/** `[sig-node] Pods should …` belongs to `node`. */
export const areaOf = (spec: string): string => /^\[sig-([a-z-]+)\]/.exec(spec)?.[1] ?? 'others'

/** Specs that say of themselves that nothing else may run beside them. */
export const isSerial = (spec: string): boolean => /\[(Serial|Disruptive)\]/.test(spec)

/** An expression for Ginkgo (Go's syntax) that only this spec matches. */
export const focusOn = (spec: string): string => `${spec.replace(/[\\.+*?()|[\]{}^$]/g, '\\$&')}$`

export interface Plan {
  /** Whatever order they end in, these are begun in this one, some at a time. */
  readonly together: readonly string[]
  /** One after the other, when all of those have ended. */
  readonly alone: readonly string[]
}

export interface Choice {
  readonly focus?: RegExp | undefined
  readonly rerun: 'none' | 'failed' | 'all'
}

/**
 * What is to run of the specs. What never had a result goes before what is tried again, so that a run that is cut short has
 * told of as many as it could; among those that are tried again the short ones go first for the same reason.
 */
export const planOf = (specs: readonly string[], results: ReadonlyMap<string, Result>, { focus, rerun }: Choice): Plan => {
  const wanted = specs.filter((spec) => {
    if (focus !== undefined && !focus.test(spec)) return false
    const before = results.get(spec)
    return before === undefined || rerun === 'all' || (rerun === 'failed' && before.outcome !== 'passed')
  })
  const seconds = (spec: string): number => results.get(spec)?.seconds ?? -1
  const ordered = wanted.toSorted((a, b) => seconds(a) - seconds(b) || (a < b ? -1 : 1))
  return { together: ordered.filter((spec) => !isSerial(spec)), alone: ordered.filter(isSerial) }
}
