/** How the messages of Pod Security are worded: upstream's, since people and tools know them. */

export const plural = (one: string, many: string, count: number): string => (count === 1 ? one : many)

/** `"a", "b"`; what is inside the quotes is not escaped. */
export const quoted = (items: readonly string[]): string => items.map((item) => `"${item}"`).join(', ')

/** `container "a"`, `containers "a", "b"` */
export const containersNamed = (names: readonly string[]): string => `${plural('container', 'containers', names.length)} ${quoted(names)}`

/** `pod and container "a"`: who sets a field to what it must not be; '' for nobody. */
export const settersOf = (pod: boolean, containers: readonly string[]): string =>
  [...(pod ? ['pod'] : []), ...(containers.length === 0 ? [] : [containersNamed(containers)])].join(' and ')

/** Halves of surrogate pairs stand for characters after all others. */
const rank = (unit: number): number => (unit >= 0xe000 ? unit - 0x800 : unit >= 0xd800 ? unit + 0x2000 : unit)

/** By code points, which is the order of UTF-8 bytes; `<` alone compares UTF-16 units. */
export const byCodePoint = (a: string, b: string): number => {
  for (let at = 0; at < a.length && at < b.length; at++) {
    const [left, right] = [a.charCodeAt(at), b.charCodeAt(at)]
    if (left !== right) return rank(left) - rank(right)
  }
  return a.length - b.length
}

/** Each value once, in order. */
export const sortedOnce = (values: Iterable<string>): string[] => [...new Set(values)].sort(byCodePoint)

const SHORT: Readonly<Record<string, string>> = {
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '"': '\\"',
  '\\': '\\\\'
}
const PRINTS = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u

/** A string as Go's `%q` shows it, which annotations' values are quoted with. */
export const goQuoted = (text: string): string => `"${[...text].map(goCharacter).join('')}"`

const goCharacter = (character: string): string => {
  const short = SHORT[character]
  if (short !== undefined) return short
  if (PRINTS.test(character)) return character
  const code = character.codePointAt(0) as number
  const hex = (digits: number): string => code.toString(16).padStart(digits, '0')
  return code < 0x80 ? `\\x${hex(2)}` : code <= 0xffff ? `\\u${hex(4)}` : `\\U${hex(8)}`
}
