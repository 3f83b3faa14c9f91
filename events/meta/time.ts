/** Times as the API writes them, from milliseconds, without a Date. */

const DAY_MS = 86_400_000
const two = (value: number): string => String(value).padStart(2, '0')

/** The last moment RFC 3339 has digits for: a grace period may be any number of seconds. */
const LAST_MS = Date.UTC(9999, 11, 31, 23, 59, 59)

/** RFC 3339, seconds, UTC. No later than the last moment of the year 9999. */
export const timestamp = (time: number): string => {
  const ms = Math.min(time, LAST_MS)
  const days = Math.floor(ms / DAY_MS)
  const seconds = Math.floor((ms - days * DAY_MS) / 1000)
  // Days since 0000-03-01, in eras of 400 years: the leap day is then the last of its year.
  const shifted = days + 719_468
  const era = Math.floor(shifted / 146_097)
  const ofEra = shifted - era * 146_097
  const yearOfEra = Math.floor((ofEra - Math.floor(ofEra / 1460) + Math.floor(ofEra / 36_524) - Math.floor(ofEra / 146_096)) / 365)
  const ofYear = ofEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const march = Math.floor((5 * ofYear + 2) / 153)
  const day = ofYear - Math.floor((153 * march + 2) / 5) + 1
  const month = march < 10 ? march + 3 : march - 9
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  return `${String(year).padStart(4, '0')}-${two(month)}-${two(day)}T${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}Z`
}

/** RFC 3339 with so many digits of a second, UTC: a `MicroTime` has 6. */
export const timestampWith = (digits: number, ms: number): string =>
  `${timestamp(ms).slice(0, -1)}.${String(Math.floor(ms % 1000))
    .padStart(3, '0')
    .padEnd(digits, '0')}Z`

/** As Go prints a duration of whole seconds: `1m20s`, `5m0s`. */
export const goDuration = (seconds: number): string => {
  const hours = Math.floor(seconds / 3600)
  const minutes = Math.floor(seconds / 60) % 60
  return `${hours > 0 ? `${hours}h` : ''}${seconds >= 60 ? `${minutes}m` : ''}${seconds % 60}s`
}

/**
 * A time that never was: Go writes null where such a field is never left out (`lastProbeTime` of conditions, `creationTimestamp` of what is
 * answered and not stored), and the generated types know strings only.
 */
export const NO_TIME = null as unknown as string
