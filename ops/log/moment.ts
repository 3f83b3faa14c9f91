/** Moments as people name them on the command line: a time, a time ago, a resourceVersion. */
import type { Limit } from './plan.ts'

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const RELATIVE = /^-(?:\d+(?:\.\d+)?[smhd])+$/
const INSTANT = /^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?$/i

/** `2026-11-20T10:00:00Z`, `-15m` (before `now`, milliseconds), `48211`. Throws for anything else, naming the flag. */
export const limitOf = (text: string, flag: string, now: number): Limit => {
  if (/^\d{1,15}$/.test(text)) return { sequence: Number(text) }
  if (RELATIVE.test(text))
    return {
      time:
        now -
        [...text.matchAll(/(\d+(?:\.\d+)?)([smhd])/g)].reduce(
          (sum, [, count, unit]) => sum + Number(count) * (UNITS[unit as string] as number),
          0
        )
    }
  const time = INSTANT.test(text) ? Date.parse(/(Z|[+-]\d\d:?\d\d)$/i.test(text) || text.length <= 10 ? text : `${text}Z`) : Number.NaN
  if (Number.isNaN(time))
    throw new Error(`${flag} ${text}: use an RFC 3339 time (2026-11-20T10:00:00Z), a time ago (-15m, -90d) or a resourceVersion`)
  return { time }
}
