/** The rules for names, label keys and values, ports and paths; each returns apimachinery's messages, none when the value is good. */

const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/
const LABEL_1035 = /^[a-z]([-a-z0-9]*[a-z0-9])?$/
const QUALIFIED = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/
const LABEL_VALUE = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/
const CONFIG_KEY = /^[-._a-zA-Z0-9]+$/
const ENV_NAME = /^[ -<>-~]+$/
const IPV4 = /^(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(\.(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}$/

const LABEL_MESSAGE =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
const SUBDOMAIN_MESSAGE =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
const LABEL_1035_MESSAGE =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
const QUALIFIED_MESSAGE =
  "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
const LABEL_VALUE_MESSAGE =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
const CONFIG_KEY_MESSAGE =
  "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"

export const PORT_RANGE = 'must be between 1 and 65535, inclusive'

const NONE: readonly string[] = []
const atMost = (bytes: number): string => `must be no more than ${bytes} bytes`

const SHOWN = 1024

/** Almost every value is good, so the good path makes no array. */
const check = (value: string, limit: number, pattern: RegExp, message: string): readonly string[] => {
  const long = value.length > limit
  // Of what is too long anyway the beginning tells enough: it may be megabytes.
  const good = pattern.test(long ? value.slice(0, SHOWN) : value)
  if (!long && good) return NONE
  return [...(long ? [atMost(limit)] : []), ...(good ? [] : [message])]
}

export const labelName = (value: string): readonly string[] => check(value, 63, LABEL, LABEL_MESSAGE)
export const subdomainName = (value: string): readonly string[] => check(value, 253, SUBDOMAIN, SUBDOMAIN_MESSAGE)
export const label1035Name = (value: string): readonly string[] => check(value, 63, LABEL_1035, LABEL_1035_MESSAGE)
export const labelValue = (value: string): readonly string[] => check(value, 63, LABEL_VALUE, LABEL_VALUE_MESSAGE)

/** A name that becomes one segment of a URL path and has no other rule: RBAC names. */
export const pathName = (value: string): readonly string[] => {
  if (value === '.') return ["may not be '.'"]
  if (value === '..') return ["may not be '..'"]
  const messages: string[] = []
  if (value.includes('/')) messages.push("may not contain '/'")
  if (value.includes('%')) messages.push("may not contain '%'")
  // Upstream sets no limit to these; here a name is part of a subject, which the log bounds.
  if (value.length > 253) messages.push(atMost(253))
  return messages
}

/** `prefix/name` with an optional prefix: label keys, annotation keys, finalizers, resource names. */
export const qualifiedName = (value: string): readonly string[] => {
  const slash = value.indexOf('/')
  if (slash === -1) return namePart(value)
  if (value.includes('/', slash + 1))
    return [`a qualified name ${QUALIFIED_MESSAGE} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`]
  const prefix = value.slice(0, slash)
  const wrong = prefix === '' ? ['prefix part must be non-empty'] : subdomainName(prefix).map((message) => `prefix part ${message}`)
  const rest = namePart(value.slice(slash + 1))
  return wrong.length === 0 ? rest : [...wrong, ...rest]
}

const namePart = (value: string): readonly string[] => {
  if (value !== '' && value.length <= 63 && QUALIFIED.test(value)) return NONE
  const messages: string[] = []
  if (value === '') messages.push('name part must be non-empty')
  else if (value.length > 63) messages.push(`name part ${atMost(63)}`)
  if (!QUALIFIED.test(value)) messages.push(`name part ${QUALIFIED_MESSAGE}`)
  return messages
}

/** A key of a ConfigMap or Secret: also a file name. */
export const configKey = (value: string): readonly string[] => {
  const messages = check(value, 253, CONFIG_KEY, CONFIG_KEY_MESSAGE)
  if (value === '.') return [...messages, "must not be '.'"]
  if (value === '..') return [...messages, "must not be '..'"]
  return value.startsWith('..') ? [...messages, "must not start with '..'"] : messages
}

export const envName = (value: string): readonly string[] =>
  ENV_NAME.test(value) ? NONE : ["a valid environment variable name must consist only of printable ASCII characters other than '='"]

/** A port's name: an IANA service name (RFC 6335 §5.1). */
export const portName = (value: string): readonly string[] => {
  const messages: string[] = []
  if (value.length > 15) messages.push(atMost(15))
  if (!/^[-a-z0-9]+$/.test(value)) messages.push('must contain only alphanumeric characters (a-z, 0-9), and hyphens (-)')
  if (!/[a-z]/.test(value)) messages.push('must contain at least one letter (a-z)')
  if (value.includes('--')) messages.push('must not contain consecutive hyphens')
  if (value.startsWith('-') || value.endsWith('-')) messages.push('must not begin or end with a hyphen')
  return messages
}

export const portNumber = (value: number): readonly string[] => (value >= 1 && value <= 65535 ? NONE : [PORT_RANGE])

export const isIPv4 = (value: string): boolean => IPV4.test(value)

/** RFC 4291 §2.2 text forms. */
export const isIPv6 = (value: string): boolean => {
  if (!/^[0-9a-fA-F:.]+$/.test(value) || !value.includes(':')) return false
  const halves = value.split('::')
  if (halves.length > 2) return false
  const groups = (half: string): number => {
    if (half === '') return 0
    const parts = half.split(':')
    const last = parts.at(-1) as string
    const embedded = last.includes('.')
    if (embedded && (!isIPv4(last) || !value.endsWith(last))) return Number.NaN
    if (!(embedded ? parts.slice(0, -1) : parts).every((part) => /^[0-9a-fA-F]{1,4}$/.test(part))) return Number.NaN
    return parts.length + (embedded ? 1 : 0)
  }
  const count = groups(halves[0] as string) + (halves[1] === undefined ? 0 : groups(halves[1]))
  return halves.length === 2 ? count <= 7 : count === 8
}

export const ipAddress = (value: string): readonly string[] =>
  isIPv4(value) || isIPv6(value) ? NONE : ['must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)']
