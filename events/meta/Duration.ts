/** Durations as kubectl prints them: about two significant units, `5m2s`, `3d4h`. */

const two = (first: number, unit: string, second: number, smaller: string): string =>
  second === 0 ? `${first}${unit}` : `${first}${unit}${second}${smaller}`

/** @param milliseconds may be negative: a clock ahead of ours by up to two seconds reads `0s`, more `<invalid>`. */
export const humanDuration = (milliseconds: number): string => {
  const seconds = Math.trunc(milliseconds / 1000)
  if (seconds < -1) return '<invalid>'
  if (seconds < 0) return '0s'
  if (seconds < 120) return `${seconds}s`
  const minutes = Math.trunc(seconds / 60)
  if (minutes < 10) return two(minutes, 'm', seconds % 60, 's')
  if (minutes < 180) return `${minutes}m`
  const hours = Math.trunc(minutes / 60)
  if (hours < 8) return two(hours, 'h', minutes % 60, 'm')
  if (hours < 48) return `${hours}h`
  const days = Math.trunc(hours / 24)
  if (hours < 192) return two(days, 'd', hours % 24, 'h')
  if (days < 730) return `${days}d`
  const years = Math.trunc(days / 365)
  return days < 2920 ? two(years, 'y', days % 365, 'd') : `${years}y`
}

/** Time since an RFC 3339 timestamp; `<unknown>` when there is none. `now` in milliseconds. */
export const since = (timestamp: string | null | undefined, now: number): string => {
  if (timestamp === undefined || timestamp === null || timestamp === '') return '<unknown>'
  const at = Date.parse(timestamp)
  return Number.isNaN(at) ? '<unknown>' : humanDuration(now - at)
}
