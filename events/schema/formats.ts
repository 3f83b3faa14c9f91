/** The formats of strings a schema may ask for, by name; those nobody knows are not checked (as upstream). */
import { isIPv4, isIPv6, labelName, subdomainName } from '#events/meta/names.ts'

const UUID = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i
const HOST = /^(?=.{1,253}$)([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$/
const DATE = /^\d{4}-(\d\d)-(\d\d)$/
const DATE_TIME = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:[zZ]|[+-]\d\d:?\d\d)?$/
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const GO_DURATION = /^[+-]?(?:0|(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h)(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))*)$/
/** `1 day`, `3 weeks`: what Scala's durations look like. */
const WORD_DURATION =
  /^\d+\s*(?:ns|nanos?|nanoseconds?|µs|us|micros?|microseconds?|ms|millis?|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|wks?|weeks?)$/

const ofPattern =
  (pattern: RegExp) =>
  (text: string): boolean =>
    pattern.test(text)

const isCIDR = (text: string): boolean => {
  const [address = '', bits = '', ...rest] = text.split('/')
  if (rest.length > 0 || !/^\d{1,3}$/.test(bits)) return false
  return isIPv4(address) ? Number(bits) <= 32 : isIPv6(address) && Number(bits) <= 128
}

const isDate = (text: string): boolean => {
  if (!DATE.test(text)) return false
  const time = Date.parse(`${text}T00:00:00Z`)
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(text)
}

const isURI = (text: string): boolean => {
  try {
    return text.startsWith('/') || new URL(text).href !== ''
  } catch {
    return false
  }
}

const FORMATS: Readonly<Record<string, (text: string) => boolean>> = {
  bsonobjectid: ofPattern(/^[0-9a-fA-F]{24}$/),
  byte: ofPattern(BASE64),
  cidr: isCIDR,
  date: isDate,
  'date-time': (text) => DATE_TIME.test(text) && isDate(text.slice(0, 10)),
  datetime: (text) => DATE_TIME.test(text) && isDate(text.slice(0, 10)),
  duration: (text) => GO_DURATION.test(text) || WORD_DURATION.test(text),
  email: ofPattern(/^[^\s@<>]+@[^\s@<>]+$/),
  hexcolor: ofPattern(/^#?(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})$/),
  hostname: ofPattern(HOST),
  ipv4: isIPv4,
  ipv6: isIPv6,
  'k8s-long-name': (text) => subdomainName(text).length === 0,
  'k8s-short-name': (text) => labelName(text).length === 0,
  mac: ofPattern(/^(?:[0-9a-fA-F]{2}[:-]){5}(?:[0-9a-fA-F]{2})(?:(?:[:-][0-9a-fA-F]{2}){2})?$|^(?:[0-9a-fA-F]{4}\.){2}[0-9a-fA-F]{4}$/),
  rgbcolor: ofPattern(/^rgb\(\s*\d{1,3}\s*,\s*\d{1,3}\s*,\s*\d{1,3}\s*\)$/),
  ssn: ofPattern(/^\d{3}[- ]?\d{2}[- ]?\d{4}$/),
  uri: isURI,
  uuid: ofPattern(UUID),
  uuid3: ofPattern(/^[0-9a-f]{8}-?[0-9a-f]{4}-?3[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i),
  uuid4: ofPattern(/^[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$/i),
  uuid5: ofPattern(/^[0-9a-f]{8}-?[0-9a-f]{4}-?5[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$/i)
}

/** The check of a string format; undefined for one that is not checked. */
export const formatOf = (name: string | undefined): ((text: string) => boolean) | undefined =>
  name !== undefined && Object.hasOwn(FORMATS, name) ? FORMATS[name] : undefined
