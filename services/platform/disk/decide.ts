/**
 * How much room the log's disk has, in steps, and what is to be done with the reserve. Plain: figures are arguments.
 *
 * The log only grows, and a server that met a full disk takes no write any more until it is started again. So writes are
 * refused while there still is room, the ones that can be done without first, and some room is held back by a file that is
 * given up when the disk is full all the same: what ends a shortage (deletes, what agents report) must not end with it.
 */
import { parseQuantity } from '#events/meta/Quantity.ts'

/** From plenty to none; each refuses what the one before it refuses, and more. */
export const ROOMS = ['plenty', 'low', 'no-creates', 'deletes-only', 'none'] as const
export type Room = (typeof ROOMS)[number]

/** Whether a room is at least as short as another. */
export const atLeast = (room: Room, other: Room): boolean => ROOMS.indexOf(room) >= ROOMS.indexOf(other)

/** Each as bytes (`1Gi`) or as a part of the disk (`5%`). */
export interface DiskSettings {
  /** Below this much free: a warning. */
  readonly low?: string
  /** Below this: nothing new is stored. */
  readonly noCreates?: string
  /** Below this: only what makes less, and what keeps running things running. */
  readonly deletesOnly?: string
  /** Held back for when the disk is full. */
  readonly reserve?: string
}

/** Bytes. */
export interface Thresholds {
  readonly low: number
  readonly noCreates: number
  readonly deletesOnly: number
  readonly reserve: number
}

const MIB = 1024 * 1024
const GIB = 1024 * MIB

/** A part of the disk, but no more than is of use: a tenth of a terabyte is not little. */
const DEFAULTS: Readonly<Record<keyof Thresholds, { readonly part: number; readonly most: number }>> = {
  low: { part: 0.1, most: 4 * GIB },
  noCreates: { part: 0.05, most: GIB },
  deletesOnly: { part: 0.02, most: 256 * MIB },
  reserve: { part: 0.02, most: 128 * MIB }
}

/** The setting in bytes; throws with what is wrong with it. */
const bytesOf = (name: string, text: string, total: number): number => {
  const percent = /^(\d+(?:\.\d+)?)%$/.exec(text)?.[1]
  if (percent !== undefined && Number(percent) < 100) return Math.floor((total * Number(percent)) / 100)
  const quantity = parseQuantity(text)
  if (quantity === undefined || quantity.nano < 0n)
    throw new Error(`disk.${name}: "${text}" is neither an amount of bytes (1Gi) nor a part of the disk (5%)`)
  return Number(quantity.nano / 1_000_000_000n)
}

export const thresholdsOf = (total: number, settings: DiskSettings = {}): Thresholds => {
  const of = (name: keyof Thresholds): number => {
    const given = settings[name]
    const { part, most } = DEFAULTS[name]
    return given === undefined ? Math.floor(Math.min(total * part, most)) : bytesOf(name, given, total)
  }
  const deletesOnly = of('deletesOnly')
  const noCreates = Math.max(of('noCreates'), deletesOnly)
  return { low: Math.max(of('low'), noCreates), noCreates, deletesOnly, reserve: of('reserve') }
}

export interface DiskUsage {
  /** Bytes. */
  readonly total: number
  /** Bytes that who writes the log can have. */
  readonly free: number
  /** Files that can still be made; absent where there is no limit. */
  readonly freeFiles?: number
}

/** The streams make a file now and then; each step begins with so many left. */
const FILES: Readonly<Record<'low' | 'no-creates' | 'deletes-only', number>> = { low: 1_024, 'no-creates': 256, 'deletes-only': 64 }
/** To leave a step there must be so much more than what begins it, so that nothing flaps. */
const LEAVE = 1.1

/** What is free once the reserve is whole again, which comes first. */
export const spare = ({ free }: DiskUsage, { reserve }: Thresholds, held: number): number => free - Math.max(0, reserve - held)

/** The step the disk is on, given the one it was on. `held`: bytes of the reserve. `none` is not seen in figures. */
export const roomOf = (before: Room, usage: DiskUsage, thresholds: Thresholds, held: number): Room => {
  const left = spare(usage, thresholds, held)
  const files = usage.freeFiles ?? Number.POSITIVE_INFINITY
  const steps = [
    ['deletes-only', thresholds.deletesOnly],
    ['no-creates', thresholds.noCreates],
    ['low', thresholds.low]
  ] as const
  for (const [room, threshold] of steps) {
    const more = atLeast(before, room) ? LEAVE : 1
    if (left < threshold * more || files < FILES[room] * more) return room
  }
  return 'plenty'
}

export type ReserveAction = 'give' | 'take' | 'keep'

/** Given up when hardly anything is left, or the log's server has met the end; taken back when that leaves room to work. */
export const reserveAction = ({ free }: DiskUsage, { reserve, deletesOnly }: Thresholds, held: number, stuck: boolean): ReserveAction => {
  if (held > 0 && (stuck || free < deletesOnly / 4)) return 'give'
  if (!stuck && held < reserve && free - (reserve - held) >= deletesOnly * LEAVE) return 'take'
  return 'keep'
}

/** `812 MiB`, `3.2 GiB` */
export const amount = (bytes: number): string => {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  let value = Math.max(0, bytes)
  let unit = 0
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1).replace(/\.0$/, '')} ${units[unit]}`
}

/** What a step means, for a condition or a notice: the same words as long as it lasts. */
export const wordsOf = (room: Room, { low, noCreates, deletesOnly }: Thresholds): string => {
  switch (room) {
    case 'plenty':
      return "the log's disk has room"
    case 'low':
      return `the log's disk has less than ${amount(low)} free; below ${amount(noCreates)} nothing new is stored`
    case 'no-creates':
      return `the log's disk has less than ${amount(noCreates)} free: nothing new is stored; changes, deletes, status and leases go on`
    case 'deletes-only':
      return `the log's disk has less than ${amount(deletesOnly)} free: only deletes, status, leases, bindings and evictions are stored`
    case 'none':
      return "the log's disk takes nothing more: nothing is stored until there is room"
  }
}
