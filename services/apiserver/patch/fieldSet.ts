/**
 * Sets of fields (FieldsV1, KEP-555) as the trees they are written as: `f:` names a field, `k:` an item of a keyed list, `v:` one of
 * a set; a node that is empty or holds `.` is a member itself. Undefined is the set of nothing; the root is never a member.
 */

export interface FieldSet {
  readonly [segment: string]: FieldSet
}

type Children = Record<string, FieldSet>

export const LEAF: FieldSet = {}
const SELF = '.'

export const isEmpty = (set: FieldSet): boolean => {
  for (const _ in set) return false
  return true
}
const isMember = (node: FieldSet): boolean => SELF in node || isEmpty(node)
const hasChildren = (node: FieldSet): boolean => {
  for (const segment in node) if (segment !== SELF) return true
  return false
}

const nodeOf = (member: boolean, children: Children): FieldSet | undefined => {
  if (isEmpty(children)) return member ? LEAF : undefined
  return member ? { [SELF]: LEAF, ...children } : children
}

/** The node as a member of the set. */
export const withSelf = (node: FieldSet | undefined): FieldSet =>
  node === undefined ? LEAF : isMember(node) ? node : { [SELF]: LEAF, ...node }

/** Whether the set holds what `segment` of it leads to. */
export const holds = (set: FieldSet, segment: string): boolean => {
  const node = set[segment]
  return node !== undefined && isMember(node)
}
/** What the set holds below `segment`; undefined where that is nothing. */
export const below = (set: FieldSet, segment: string): FieldSet | undefined => {
  const node = set[segment]
  return node !== undefined && hasChildren(node) ? node : undefined
}

export const union = (a: FieldSet | undefined, b: FieldSet | undefined): FieldSet | undefined => {
  if (a === b || b === undefined) return a
  if (a === undefined) return b
  const children: Children = {}
  for (const segment in a)
    if (segment !== SELF) children[segment] = segment in b ? (union(a[segment], b[segment]) as FieldSet) : (a[segment] as FieldSet)
  for (const segment in b) if (segment !== SELF && !(segment in a)) children[segment] = b[segment] as FieldSet
  return nodeOf(isMember(a) || isMember(b), children)
}

/** Of many sets in one go: added up one by one, what has come together is copied with each of them, and managers come by the thousand. */
export const unionOf = (sets: readonly (FieldSet | undefined)[]): FieldSet | undefined => {
  const some = [...new Set(sets)].filter((set) => set !== undefined)
  if (some.length <= 1) return some[0]
  const parts = new Map<string, FieldSet[]>()
  for (const set of some)
    for (const segment in set) {
      if (segment === SELF) continue
      const known = parts.get(segment)
      if (known === undefined) parts.set(segment, [set[segment] as FieldSet])
      else known.push(set[segment] as FieldSet)
    }
  const children: Children = {}
  for (const [segment, nodes] of parts) children[segment] = unionOf(nodes) as FieldSet
  return nodeOf(some.some(isMember), children)
}

/** Members of `a` that are not members of `b`; a parent in `b` does not take what is below it. `a` itself where nothing goes. */
export const minus = (a: FieldSet | undefined, b: FieldSet | undefined): FieldSet | undefined => {
  if (a === undefined || b === undefined) return a
  const member = isMember(a)
  const stays = member && !isMember(b)
  let children: Children | undefined
  for (const segment in b) {
    const mine = a[segment]
    if (segment === SELF || mine === undefined) continue
    const rest = minus(mine, b[segment])
    if (rest === mine) continue
    children ??= childrenOf(a)
    if (rest === undefined) delete children[segment]
    else children[segment] = rest
  }
  if (children === undefined) return stays === member ? a : nodeOf(stays, childrenOf(a))
  return nodeOf(stays, children)
}

const childrenOf = (node: FieldSet): Children => {
  const { [SELF]: _, ...children } = node
  return children
}

/** `a` without the members of `b` and all below them. */
export const without = (a: FieldSet | undefined, b: FieldSet): FieldSet | undefined => {
  if (a === undefined) return a
  const children = childrenOf(a)
  for (const segment in b) {
    const mine = children[segment]
    if (mine === undefined) continue
    const rest = holds(b, segment) ? undefined : without(mine, b[segment] as FieldSet)
    if (rest === undefined) delete children[segment]
    else children[segment] = rest
  }
  return nodeOf(isMember(a), children)
}

/** Members of both. */
export const intersection = (a: FieldSet | undefined, b: FieldSet | undefined): FieldSet | undefined => {
  if (a === undefined || b === undefined) return undefined
  const children: Children = {}
  for (const segment in a) {
    if (segment === SELF || !(segment in b)) continue
    const shared = intersection(a[segment], b[segment])
    if (shared !== undefined) children[segment] = shared
  }
  return nodeOf(isMember(a) && isMember(b), children)
}

type Order = (a: string, b: string) => number

const byText: Order = (a, b) => (a < b ? -1 : a > b ? 1 : 0)
const KINDS = '.fkvi'

/** Numbers before texts, each in its own order, as upstream's values compare. */
const byValue = (a: unknown, b: unknown): number => {
  if (typeof a === 'number' && typeof b === 'number') return a - b
  if (typeof a === 'number' || typeof b === 'number') return typeof a === 'number' ? -1 : 1
  return byText(String(a), String(b))
}

/** A segment, and what it is compared by: read once, and not with each comparison. */
type Read = readonly [segment: string, value: unknown]

const readSegment = (segment: string): Read => {
  if (segment.startsWith('v:')) return [segment, JSON.parse(segment.slice(2))]
  return [segment, segment.startsWith('k:') ? Object.entries(JSON.parse(segment.slice(2)) as object) : undefined]
}

const bySegment = ([a, valueOfA]: Read, [b, valueOfB]: Read): number => {
  if (a[0] !== b[0]) return KINDS.indexOf(a[0] as string) - KINDS.indexOf(b[0] as string)
  if (a[0] === 'v') return byValue(valueOfA, valueOfB)
  if (a[0] !== 'k') return byText(a, b)
  const [left, right] = [valueOfA, valueOfB] as [[string, unknown][], [string, unknown][]]
  for (let at = 0; at < Math.min(left.length, right.length); at++) {
    const [[name, value], [otherName, otherValue]] = [left[at] as [string, unknown], right[at] as [string, unknown]]
    const order = byText(name, otherName) || byValue(value, otherValue)
    if (order !== 0) return order
  }
  return left.length - right.length
}

const inOrder = (segments: readonly string[]): readonly string[] =>
  segments.length <= 1
    ? segments
    : segments
        .map(readSegment)
        .sort(bySegment)
        .map(([segment]) => segment)

/** The same set in the order upstream writes it in. */
export const sorted = (set: FieldSet): FieldSet => {
  const result: Children = {}
  for (const segment of inOrder(Object.keys(set))) result[segment] = sorted(set[segment] as FieldSet)
  return result
}

/** The members, as people read them (`.spec.containers[name="web"].image`), in upstream's order: a node's own before those below. */
export const paths = (set: FieldSet, prefix = ''): string[] => {
  const segments = inOrder(Object.keys(set).filter((segment) => segment !== SELF))
  return [
    ...segments.filter((segment) => holds(set, segment)).map((segment) => prefix + readable(segment)),
    ...segments.flatMap((segment) => paths(set[segment] as FieldSet, prefix + readable(segment)))
  ]
}

export const readable = (segment: string): string => {
  const text = segment.slice(2)
  if (segment.startsWith('f:')) return `.${text}`
  if (segment.startsWith('v:')) return `[=${text}]`
  const keys = Object.entries(JSON.parse(text) as Record<string, unknown>)
  return `[${keys.map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(',')}]`
}
