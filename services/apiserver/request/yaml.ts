/**
 * YAML as the API server's Go library reads it: 1.1's booleans, octal numbers and merge keys, but neither its times nor
 * its sexagesimals. From anybody, so depth and what aliases expand to are bounded; and fast, because it blocks the server.
 */
import {
  boolYaml11Tag,
  CORE_SCHEMA,
  defineScalarTag,
  floatCoreTag,
  floatYaml11Tag,
  intCoreTag,
  intYaml11Tag,
  loadAll,
  mergeTag,
  NOT_RESOLVED,
  YAMLException
} from 'js-yaml'
import { DEEPEST } from '#events/schema/depth.ts'

/** Values that a document's aliases may stand for together; upstream's library allows some times that, and takes long. */
const MOST_COPIED = 100_000

/** The text is no YAML, or more than a request needs; the message is upstream's. */
export class YamlError extends Error {
  override readonly name = 'YamlError'
}

const either =
  (first: typeof intCoreTag.resolve, second: typeof intCoreTag.resolve): typeof intCoreTag.resolve =>
  (source, explicit, tag) => {
    // 12:30:45 is a time of day to people and a string to Go; infinity and not-a-number have no JSON.
    if (source.includes(':')) return NOT_RESOLVED
    const found = first(source, explicit, tag)
    const value = found === NOT_RESOLVED ? second(source, explicit, tag) : found
    if (typeof value !== 'number') return NOT_RESOLVED
    if (!Number.isFinite(value))
      throw new YamlError(`json: unsupported value: ${Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf'}`)
    return value
  }

const LETTERS: Readonly<Record<string, boolean>> = { y: true, Y: true, n: false, N: false }

/** Go reads what it has no type for as text, and binary as the text it stands for. */
const other = (prefix: string): ReturnType<typeof defineScalarTag<string>> =>
  defineScalarTag(prefix, { matchByTagPrefix: true, resolve: (source) => source, identify: () => false })
const binary = defineScalarTag('tag:yaml.org,2002:binary', {
  resolve: (source) => Buffer.from(source, 'base64').toString('utf8'),
  identify: () => false
})

const SCHEMA = CORE_SCHEMA.withTags(
  binary,
  other('!'),
  mergeTag,
  { ...boolYaml11Tag, resolve: (source, explicit, tag) => LETTERS[source] ?? boolYaml11Tag.resolve(source, explicit, tag) },
  { ...intYaml11Tag, resolve: either(intYaml11Tag.resolve, intCoreTag.resolve) },
  { ...floatCoreTag, resolve: either(floatYaml11Tag.resolve, floatCoreTag.resolve) }
)

export interface Yaml {
  /** Of the first document; null when there is none. */
  readonly value: unknown
  /** `line 2: key "a" already set in map`, the first one. */
  readonly duplicates: readonly string[]
}

const read = (text: string, json: boolean): unknown => loadAll(text, { schema: SCHEMA, maxDepth: DEEPEST, json })[0] ?? null

const said = ({ reason, mark }: YAMLException): YamlError => {
  const anchor = /^unidentified alias "(.*)"$/.exec(reason)?.[1]
  if (anchor !== undefined) return new YamlError(`yaml: unknown anchor '${anchor}' referenced`)
  if (/maxDepth/.test(reason)) return new YamlError(`yaml: exceeded max depth of ${DEEPEST}`)
  return new YamlError(`yaml: ${mark === undefined ? '' : `line ${mark.line + 1}: `}${reason}`)
}

export const parseYaml = (text: string): Yaml => {
  let value: unknown
  const duplicates: string[] = []
  try {
    try {
      value = read(text, false)
    } catch (error) {
      if (!(error instanceof YAMLException) || error.reason !== 'duplicated mapping key') throw error
      const key = /^["']?([\w./-]*)/.exec(text.slice(error.mark?.position ?? text.length))?.[1] ?? ''
      duplicates.push(`line ${(error.mark?.line ?? 0) + 1}: key ${JSON.stringify(key)} already set in map`)
      value = read(text, true)
    }
  } catch (error) {
    if (error instanceof YAMLException) throw said(error)
    if (error instanceof YamlError) throw error
    // The library may run out of stack or of a string's length on texts made for that; its own words would tell nobody anything.
    throw new YamlError('yaml: the document is too complex', { cause: error })
  }
  if (text.includes('*')) checkExpansion(value)
  // Halves of characters, which only escapes can write: JSON writes them as escapes again.
  if (/\\[uU]/.test(text) && /\\ud[89a-f]/.test(JSON.stringify(value))) throw new YamlError('yaml: invalid Unicode character escape code')
  return { value, duplicates }
}

interface Extent {
  /** Values, the copies that aliases stand for included. */
  readonly size: number
  readonly depth: number
}

const SCALAR: Extent = { size: 1, depth: 0 }

/** Aliases are shared objects here and copies for everybody who reads them: measured as copies, looked at once. */
const checkExpansion = (value: unknown): void => {
  const known = new Map<object, Extent>()
  const within = new Set<object>()
  let copied = 0
  const extentOf = (part: unknown): Extent => {
    if (typeof part !== 'object' || part === null) return SCALAR
    const before = known.get(part)
    if (before !== undefined) {
      copied += before.size
      if (copied > MOST_COPIED) throw new YamlError('yaml: document contains excessive aliasing')
      return before
    }
    if (within.has(part)) throw new YamlError("yaml: an anchor's value contains itself")
    within.add(part)
    let size = 1
    let depth = 0
    for (const child of Object.values(part)) {
      const extent = extentOf(child)
      size += extent.size
      depth = Math.max(depth, extent.depth)
    }
    if (depth >= DEEPEST) throw new YamlError(`yaml: exceeded max depth of ${DEEPEST}`)
    within.delete(part)
    const extent = { size, depth: depth + 1 }
    known.set(part, extent)
    return extent
  }
  extentOf(value)
}
