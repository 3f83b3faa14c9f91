/**
 * JSONPath as Kubernetes' printer columns use it (k8s.io/client-go/util/jsonpath): fields, indexes, slices, wildcards, `..` and
 * filters by comparison. A library of JSONPath would do more, and evaluate code that a definition brings along.
 */
import { isObject } from './json.ts'

type Step = (value: unknown) => readonly unknown[]

/** The values a path leads to, in order; none when there is nothing. */
export type JsonPath = (value: unknown) => readonly unknown[]

const valuesOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : isObject(value) ? Object.values(value) : [])

const field =
  (name: string): Step =>
  (value) =>
    isObject(value) && Object.hasOwn(value, name) ? [value[name]] : []

const index =
  (at: number): Step =>
  (value) => {
    const item: unknown = Array.isArray(value) ? value.at(at) : undefined
    return item === undefined ? [] : [item]
  }

const slice =
  (from: number | undefined, to: number | undefined, step: number): Step =>
  (value) =>
    Array.isArray(value) ? value.slice(from, to).filter((_, at) => at % step === 0) : []

/** Values a step may lead to. One `..` after another finds everything again below everything: no object has as many values. */
const MOST_VALUES = 100_000

/** Nested no deeper than documents may be. */
const everything = (value: unknown): readonly unknown[] => {
  const found: unknown[] = []
  const waiting = [value]
  for (let next = waiting.pop(); found.length < MOST_VALUES && (waiting.length > 0 || next !== undefined); next = waiting.pop()) {
    found.push(next)
    for (const below of valuesOf(next).toReversed()) waiting.push(below)
  }
  return found
}

/** What a step leads to from all of these; no more than can be shown. */
const through = (values: readonly unknown[], step: Step): readonly unknown[] => {
  const found: unknown[] = []
  for (const value of values) {
    if (found.length >= MOST_VALUES) break
    for (const next of step(value)) found.push(next)
  }
  return found
}

const NAME = /^(?:[^.[\]'"{}()?@*\s\\]|\\.)+/
const QUOTED = /^\[\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\s*\]/
const INDEX = /^\[\s*(-?\d+)\s*\]/
const SLICE = /^\[\s*(-?\d+)?\s*:\s*(-?\d+)?\s*(?::\s*(\d+)\s*)?\]/
const FILTER =
  /^\[\s*\?\s*\(\s*@((?:\.[^\s=!<>()]+|\[[^\]]*\])*)\s*(?:(==|!=|<=|>=|<|>)\s*('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\s()]+)\s*)?\)\s*\]/

const literal = (text: string): unknown => {
  if (/^['"]/.test(text)) return text.slice(1, -1).replace(/\\(.)/g, '$1')
  if (text === 'true' || text === 'false') return text === 'true'
  return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : undefined
}

const COMPARE: Readonly<Record<string, (left: never, right: never) => boolean>> = {
  '==': (left, right) => left === right,
  '!=': (left, right) => left !== right,
  '<': (left, right) => left < right,
  '<=': (left, right) => left <= right,
  '>': (left, right) => left > right,
  '>=': (left, right) => left >= right
}

const filter = (path: string, operator: string | undefined, operand: string | undefined): Step | undefined => {
  const left = parseJsonPath(path)
  const right = operand === undefined ? undefined : literal(operand)
  if (left === undefined || (operand !== undefined && right === undefined)) return undefined
  return (value) =>
    valuesOf(value).filter((item) => {
      const [found] = left(item)
      if (operator === undefined) return found !== undefined
      return (
        found !== undefined &&
        typeof found === typeof right &&
        (COMPARE[operator] as (left: unknown, right: unknown) => boolean)(found, right)
      )
    })
}

/** `.spec.replicas`, `.status.conditions[?(@.type=="Ready")].status`; undefined for what is no path. Braces around it may be left out. */
export const parseJsonPath = (text: string): JsonPath | undefined => {
  let rest = text
    .trim()
    .replace(/^\{(.*)\}$/s, '$1')
    .trim()
    .replace(/^\$/, '')
  const steps: Step[] = []
  while (rest !== '') {
    let match: RegExpExecArray | null
    if (rest.startsWith('..')) {
      steps.push(everything)
      rest = rest.slice(rest.startsWith('..[') ? 2 : 1)
      continue
    }
    if (rest.startsWith('.')) {
      rest = rest.slice(1)
      if (rest.startsWith('*')) {
        steps.push(valuesOf)
        rest = rest.slice(1)
      } else if (rest.startsWith('[')) continue
      else if ((match = NAME.exec(rest)) !== null) {
        steps.push(field(match[0].replace(/\\(.)/g, '$1')))
        rest = rest.slice(match[0].length)
      } else if (rest !== '' || steps.length > 0) return undefined
      continue
    }
    if ((match = QUOTED.exec(rest)) !== null) steps.push(field((match[1] ?? match[2] ?? '').replace(/\\(.)/g, '$1')))
    else if ((match = INDEX.exec(rest)) !== null) steps.push(index(Number(match[1])))
    else if ((match = /^\[\s*\*\s*\]/.exec(rest)) !== null) steps.push(valuesOf)
    else if ((match = SLICE.exec(rest)) !== null) steps.push(slice(number(match[1]), number(match[2]), Number(match[3] ?? 1) || 1))
    else if ((match = FILTER.exec(rest)) !== null) {
      const made = filter(match[1] as string, match[2], match[3])
      if (made === undefined) return undefined
      steps.push(made)
    } else return undefined
    rest = rest.slice(match[0].length)
  }
  return (value) => steps.reduce(through, [value]).filter((found) => found !== undefined)
}

const number = (text: string | undefined): number | undefined => (text === undefined ? undefined : Number(text))
