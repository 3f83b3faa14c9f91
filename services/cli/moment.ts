/** The times a person types. Plain functions. */

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Milliseconds since the epoch of an RFC 3339 time or a time ago (`-5m`), not before the epoch; undefined: neither. */
export const momentOf = (word: string, now: number): number | undefined => {
  const ago = /^-(\d+(?:\.\d+)?)([smhd])$/.exec(word)
  const time =
    ago === null
      ? /^\d{4}-\d\d-\d\d/.test(word)
        ? Date.parse(word)
        : Number.NaN
      : now - Number(ago[1]) * (UNITS[ago[2] as string] as number)
  return Number.isNaN(time) ? undefined : Math.max(0, time)
}
