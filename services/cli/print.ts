/** How results look: padded columns for people, JSON and YAML for machines. */
import { once } from 'node:events'
import colors from 'picocolors'
import { stringify } from 'yaml'

export type Format = 'table' | 'wide' | 'json' | 'yaml' | 'name'

export const out = (text: string): void => void process.stdout.write(text.endsWith('\n') ? text : `${text}\n`)

/** What was printed is on its way to who reads it: for who prints without end. */
export const outTaken = async (): Promise<void> => {
  if (process.stdout.writableNeedDrain) await once(process.stdout, 'drain')
}

/** For what is not the result: notes, progress. */
export const err = (text: string): void => void process.stderr.write(`${text}\n`)

type Rows = readonly (readonly string[])[]

const widened = (widths: readonly number[], rows: Rows): number[] =>
  widths.map((width, column) => rows.reduce((widest, row) => Math.max(widest, (row[column] ?? '').length), width))

const padded = (cells: readonly string[], widths: readonly number[]): string =>
  cells
    .map((cell, column) => (column === cells.length - 1 ? cell : cell.padEnd((widths[column] ?? 0) + 3)))
    .join('')
    .trimEnd()

/** Columns as kubectl pads them: three spaces apart, none after the last. */
export const table = (header: readonly string[], rows: Rows): string => growingTable(header)(rows, true).join('\n')

/** A table of which more comes: its lines, with a header before the first; columns widen when they must, as in `kubectl get -w`. */
export const growingTable = (header: readonly string[]): ((rows: Rows, empty?: boolean) => string[]) => {
  let widths = header.map((name) => name.length)
  let begun = false
  return (rows, empty = false) => {
    if (rows.length === 0 && !empty) return []
    widths = widened(widths, rows)
    const lines = [...(begun ? [] : [header]), ...rows].map((cells) => padded(cells, widths))
    begun = true
    return lines
  }
}

export const encoded = (value: unknown, format: 'json' | 'yaml'): string =>
  format === 'json' ? JSON.stringify(value, undefined, 2) : stringify(value, { lineWidth: 0 }).trimEnd()

const plain = !process.stdout.isTTY || process.env['NO_COLOR'] !== undefined
const paint = (color: (text: string) => string) => (text: string) => (plain ? text : color(text))
export const dim = paint(colors.dim)
export const bold = paint(colors.bold)
export const red = paint(colors.red)
const green = paint(colors.green)

/** `3.2 s`, `450 ms`, `2 m 5 s`: how long something took. */
export const took = (ms: number): string => {
  if (ms < 1_000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`
  return `${Math.floor(ms / 60_000)} m ${Math.round((ms % 60_000) / 1_000)} s`
}

/** A value on one line, cut where it gets long. */
export const short = (value: unknown, limit = 80): string => {
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  const line = (text ?? '').replace(/\s+/g, ' ')
  return line.length > limit ? `${line.slice(0, limit - 1)}…` : line
}
