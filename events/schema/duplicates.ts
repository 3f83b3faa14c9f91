/** Finds keys given twice in one JSON object, which `JSON.parse` silently resolves to the last. */

const QUOTE = 0x22
const BACKSLASH = 0x5c

interface Frame {
  /** Keys seen so far; undefined for an array. */
  readonly keys: Set<string> | undefined
  /** Path up to this container. */
  readonly path: string
  /** Index of the element being read, for an array. */
  index: number
  /** Key of the value being read, for an object. */
  key: string
}

const MOST = 100
/** Characters of a path in a message, its end: keys are the client's, and may be megabytes. */
const LONGEST_PATH = 1024

/**
 * `duplicate field "spec.replicas"` for every repeated key of a valid JSON text, each once, at most 100.
 * One pass over the text without recursion, so depth costs no stack.
 */
export const duplicateFields = (text: string): string[] => {
  const found = new Set<string>()
  const stack: Frame[] = []
  let expectsKey = false
  for (let i = 0; i < text.length && found.size < MOST; i++) {
    const top = stack.at(-1)
    switch (text.charCodeAt(i)) {
      case 0x7b: // {
        stack.push({ keys: new Set(), path: pathOf(top), index: 0, key: '' })
        expectsKey = true
        break
      case 0x5b: // [
        stack.push({ keys: undefined, path: pathOf(top), index: 0, key: '' })
        expectsKey = false
        break
      case 0x7d: // }
      case 0x5d: // ]
        stack.pop()
        expectsKey = false
        break
      case 0x2c: // ,
        if (top !== undefined) top.index++
        expectsKey = top?.keys !== undefined
        break
      case QUOTE: {
        const end = endOfString(text, i)
        if (expectsKey && top?.keys !== undefined) {
          const raw = text.slice(i + 1, end)
          top.key = raw.includes('\\') ? String(JSON.parse(text.slice(i, end + 1))) : raw
          if (top.keys.has(top.key)) found.add(`duplicate field ${JSON.stringify(pathOf(top).slice(-LONGEST_PATH))}`)
          else top.keys.add(top.key)
          expectsKey = false
        }
        i = end
        break
      }
    }
  }
  return [...found]
}

const pathOf = (frame: Frame | undefined): string => {
  if (frame === undefined) return ''
  if (frame.keys === undefined) return `${frame.path}[${frame.index}]`
  return frame.path === '' ? frame.key : `${frame.path}.${frame.key}`
}

/** Position of the quote that closes the string opened at `start`. */
const endOfString = (text: string, start: number): number => {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let slashes = 0
    while (text.charCodeAt(end - 1 - slashes) === BACKSLASH) slashes++
    if (slashes % 2 === 0) return end
  }
  return text.length
}
