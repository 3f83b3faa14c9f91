/** How deep a JSON text is nested: measured before parsing, because what works on the parsed value may recurse. */

/**
 * Levels a document may have. Go's decoder stops at 10,000; JSON.stringify and structured cloning run out of stack at a
 * third of that, and no kind nests deeper than some dozens.
 */
export const DEEPEST = 1000

const QUOTE = 0x22
const BACKSLASH = 0x5c

/** True when brackets are nested deeper than `limit`. Of a text that is no JSON it may say either; parsing it then fails. */
export const deeperThan = (text: string, limit = DEEPEST): boolean => {
  // That deep takes that many brackets to open and as many to close.
  if (text.length <= 2 * limit) return false
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) {
      for (at++; at < text.length && text.charCodeAt(at) !== QUOTE; at++) if (text.charCodeAt(at) === BACKSLASH) at++
    } else if (code === 0x5b || code === 0x7b) {
      if (++depth > limit) return true
    } else if (code === 0x5d || code === 0x7d) depth--
  }
  return false
}
