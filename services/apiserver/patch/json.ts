/** JSON Patch (RFC 6902), through the rfc6902 package, with the API server's limits and answers. */
import { applyPatch, Pointer, type Operation } from 'rfc6902'

export type Patched = { readonly ok: unknown } | { readonly refused: { readonly code: 400 | 422; readonly message: string } }

/** As upstream's limit: a patch is small, or it is an attack. */
const MOST_OPERATIONS = 10_000
/** Bytes all copies of a patch may add together; as upstream, the largest request. */
const MOST_COPIED = 3 * 1024 * 1024
const OPERATIONS = new Set(['add', 'remove', 'replace', 'move', 'copy', 'test'])
const FORBIDDEN = /(^|\/)(__proto__|prototype|constructor)(\/|$)/

const malformed = (why: string): Patched => ({ refused: { code: 400, message: `error decoding patch: ${why}` } })

/** The patched document; the given one is not touched. */
export const applyJsonPatch = (document: unknown, operations: unknown): Patched => {
  if (!Array.isArray(operations)) return malformed('a JSON patch is an array of operations')
  if (operations.length > MOST_OPERATIONS)
    return { refused: { code: 422, message: `The allowed maximum operations in a JSON patch is ${MOST_OPERATIONS}, got ${operations.length}` } }
  for (const operation of operations as Partial<Operation & { from: string }>[]) {
    if (typeof operation !== 'object' || operation === null || !OPERATIONS.has(operation.op ?? '')) return malformed(`unexpected operation ${JSON.stringify(operation)}`)
    const needsFrom = operation.op === 'copy' || operation.op === 'move'
    for (const pointer of [operation.path, ...(needsFrom || 'from' in operation ? [operation.from] : [])])
      if (typeof pointer !== 'string' || (pointer !== '' && !pointer.startsWith('/')) || FORBIDDEN.test(pointer)) return malformed(`invalid path ${JSON.stringify(pointer)}`)
  }
  const holder = { document: structuredClone(document) }
  let copied = 0
  for (const operation of operations as (Operation & { from?: string })[]) {
    // Pointers are applied below a holder, so that an operation on the whole document ("") works like any other.
    const moved = { ...structuredClone(operation), path: `/document${operation.path}`, ...(operation.from === undefined ? {} : { from: `/document${operation.from}` }) } as Operation & { from?: string }
    const fits = applies(holder, moved)
    if (fits && moved.op === 'copy') {
      // Copies of copies double: a short patch could fill the memory.
      copied += JSON.stringify(Pointer.fromJSON(moved.from).get(holder)).length
      if (copied > MOST_COPIED) return { refused: { code: 422, message: `the JSON patch copies more than ${MOST_COPIED} bytes` } }
    }
    if (fits && (applyPatch(holder, [moved])[0] ?? undefined) === undefined) continue
    const why = operation.op === 'test' ? `testing value ${operation.path} failed` : `${operation.op} operation does not apply: doc is missing path: "${operation.path}": missing value`
    return { refused: { code: 422, message: `the server rejected our request due to an error in our request: ${why}` } }
  }
  return { ok: holder.document }
}

const INDEX = /^(?:0|[1-9]\d{0,8})$/

/** Where a pointer leads: whether there is something it could be put into, and whether it is there. Own properties only. */
const placeOf = (holder: unknown, pointer: string): { readonly open: boolean; readonly there: boolean } => {
  const tokens = Pointer.fromJSON(pointer).tokens.slice(1)
  const last = tokens.pop() as string
  let parent = holder
  for (const token of tokens) {
    if (typeof parent !== 'object' || parent === null || !Object.hasOwn(parent, token)) return { open: false, there: false }
    parent = (parent as Record<string, unknown>)[token]
  }
  if (Array.isArray(parent)) return { open: last === '-' || (INDEX.test(last) && Number(last) <= parent.length), there: INDEX.test(last) && Number(last) < parent.length }
  return typeof parent === 'object' && parent !== null ? { open: true, there: Object.hasOwn(parent, last) } : { open: false, there: false }
}

/** The library writes to whatever a pointer leads to; what leads to text, or to nothing of the document's own, does not apply. */
const applies = (holder: unknown, { op, path, from }: Operation & { from?: string }): boolean => {
  const { open, there } = placeOf(holder, path)
  if (op === 'add') return open
  if (op === 'copy' || op === 'move') return open && placeOf(holder, from as string).there
  return there || (op === 'test' && open)
}
