/** JSON Patch (RFC 6902), through the rfc6902 package, with the API server's limits and answers. */
import { jsonWord } from '#events/schema/scalars.ts'
import { applyPatch, Pointer, type Operation } from 'rfc6902'

export type Patched = { readonly ok: unknown } | { readonly refused: { readonly code: 400 | 422; readonly message: string } }

/** As upstream's limit: a patch is small, or it is an attack. */
const MOST_OPERATIONS = 10_000
/** Bytes all copies of a patch may add together; as upstream, the largest request. */
const MOST_COPIED = 3 * 1024 * 1024
/**
 * List items all operations of a patch may push along together. Upstream has no such limit and a thread for each request; here
 * everybody waits, half a second for so many.
 */
const MOST_PUSHED = 50_000_000
const OPERATIONS = new Set(['add', 'remove', 'replace', 'move', 'copy', 'test'])
const FORBIDDEN = /(^|\/)(__proto__|prototype|constructor)(\/|$)/

/** Characters of a path in a message. */
const LONGEST_SHOWN = 256

const malformed = (why: string): Patched => ({ refused: { code: 400, message: `error decoding patch: ${why}` } })
const rejected = (why: string): Patched => ({
  refused: { code: 422, message: `the server rejected our request due to an error in our request: ${why}` }
})

/** The patched document; the given one is not touched. */
export const applyJsonPatch = (document: unknown, operations: unknown): Patched => {
  if (operations === null) return { ok: structuredClone(document) }
  if (!Array.isArray(operations))
    return malformed(`json: cannot unmarshal ${jsonWord(operations)} into Go value of type []handlers.jsonPatchOp`)
  if (operations.length > MOST_OPERATIONS)
    return {
      refused: { code: 422, message: `The allowed maximum operations in a JSON patch is ${MOST_OPERATIONS}, got ${operations.length}` }
    }
  for (const operation of operations as (Partial<Operation & { from: string }> | null)[]) {
    if (typeof operation !== 'object' || Array.isArray(operation))
      return malformed(`json: cannot unmarshal ${jsonWord(operation)} into Go value of type handlers.jsonPatchOp`)
    for (const field of ['op', 'path', 'from'] as const) {
      const value: unknown = operation?.[field]
      if (value !== undefined && value !== null && typeof value !== 'string')
        return malformed(`json: cannot unmarshal ${jsonWord(value)} into Go struct field jsonPatchOp.${field} of type string`)
    }
  }
  for (const operation of operations as (Partial<Operation & { from: string }> | null)[]) {
    if (!OPERATIONS.has(operation?.op ?? '')) return rejected(`unexpected kind: ${operation?.op ?? 'unknown'}`)
    const needsFrom = operation?.op === 'copy' || operation?.op === 'move'
    for (const pointer of [operation?.path, ...(needsFrom ? [operation.from] : [])])
      if (pointer === undefined || pointer === null || (pointer !== '' && !pointer.startsWith('/')) || FORBIDDEN.test(pointer))
        return rejected(`invalid path ${JSON.stringify(pointer ?? null).slice(0, LONGEST_SHOWN)}`)
  }
  const holder = { document: structuredClone(document) }
  let [copied, pushed] = [0, 0]
  for (const operation of operations as (Operation & { from?: string })[]) {
    // Pointers are applied below a holder, so that an operation on the whole document ("") works like any other.
    const moved = {
      ...structuredClone(operation),
      path: `/document${operation.path}`,
      ...(operation.from === undefined ? {} : { from: `/document${operation.from}` })
    } as Operation & { from?: string }
    const fits = applies(holder, moved)
    if (fits) pushed += pushedBy(holder, moved)
    if (pushed > MOST_PUSHED) return { refused: { code: 422, message: `the JSON patch pushes more than ${MOST_PUSHED} list items along` } }
    if (fits && moved.op === 'copy') {
      // Copies of copies double: a short patch could fill the memory.
      copied += JSON.stringify(Pointer.fromJSON(moved.from).get(holder)).length
      if (copied > MOST_COPIED) return { refused: { code: 422, message: `the JSON patch copies more than ${MOST_COPIED} bytes` } }
    }
    if (fits && (applyPatch(holder, [moved])[0] ?? undefined) === undefined) continue
    const path = operation.path.slice(0, LONGEST_SHOWN)
    const why =
      operation.op === 'test'
        ? `testing value ${path} failed: test failed`
        : `${operation.op} operation does not apply: doc is missing path: "${path}": missing value`
    return rejected(why)
  }
  return { ok: holder.document }
}

const INDEX = /^(?:0|[1-9]\d{0,8})$/

interface Spot {
  /** There is something it could be put into. */
  readonly open: boolean
  readonly there: boolean
  /** Items of a list that stand behind it. */
  readonly behind?: number
}

/** Where a pointer leads. Own properties only. */
const placeOf = (holder: unknown, pointer: string): Spot => {
  const tokens = Pointer.fromJSON(pointer).tokens.slice(1)
  const last = tokens.pop() as string
  let parent = holder
  for (const token of tokens) {
    if (typeof parent !== 'object' || parent === null || !Object.hasOwn(parent, token)) return { open: false, there: false }
    parent = (parent as Record<string, unknown>)[token]
  }
  if (Array.isArray(parent))
    return {
      open: last === '-' || (INDEX.test(last) && Number(last) <= parent.length),
      there: INDEX.test(last) && Number(last) < parent.length,
      behind: INDEX.test(last) ? parent.length - Number(last) : 0
    }
  return typeof parent === 'object' && parent !== null ? { open: true, there: Object.hasOwn(parent, last) } : { open: false, there: false }
}

/** List items that get another place by an operation. */
const pushedBy = (holder: unknown, { op, path, from }: Operation & { from?: string }): number => {
  if (op === 'test' || op === 'replace') return 0
  return (placeOf(holder, path).behind ?? 0) + (op === 'move' ? (placeOf(holder, from as string).behind ?? 0) : 0)
}

/** The library writes to whatever a pointer leads to; what leads to text, or to nothing of the document's own, does not apply. */
const applies = (holder: unknown, { op, path, from }: Operation & { from?: string }): boolean => {
  const { open, there } = placeOf(holder, path)
  if (op === 'add') return open
  if (op === 'copy' || op === 'move') return open && placeOf(holder, from as string).there
  return there || (op === 'test' && open)
}
