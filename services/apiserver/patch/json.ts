/** JSON Patch (RFC 6902), through the rfc6902 package, with the API server's limits and answers. */
import { applyPatch, type Operation } from 'rfc6902'

export type Patched = { readonly ok: unknown } | { readonly refused: { readonly code: 400 | 422; readonly message: string } }

/** As upstream's limit: a patch is small, or it is an attack. */
const MOST_OPERATIONS = 10_000
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
    for (const pointer of [operation.path, ...('from' in operation ? [operation.from] : [])])
      if (typeof pointer !== 'string' || (pointer !== '' && !pointer.startsWith('/')) || FORBIDDEN.test(pointer)) return malformed(`invalid path ${JSON.stringify(pointer)}`)
  }
  const copy: unknown = structuredClone(document)
  const holder = { document: copy }
  // Pointers are applied below a holder, so that an operation on the whole document ("") works like any other.
  const moved = (operations as (Operation & { from?: string })[]).map((operation) => ({
    ...structuredClone(operation),
    path: `/document${operation.path}`,
    ...(operation.from === undefined ? {} : { from: `/document${operation.from}` })
  })) as Operation[]
  for (const [at, failure] of applyPatch(holder, moved).entries()) {
    if (failure === null) continue
    const operation = operations[at] as Operation
    const why = operation.op === 'test' ? `testing value ${operation.path} failed` : `${operation.op} operation does not apply: doc is missing path: "${operation.path}": missing value`
    return { refused: { code: 422, message: `the server rejected our request due to an error in our request: ${why}` } }
  }
  return { ok: holder.document }
}
