/** Values and the sets of their fields: what a value sets, where two differ, and a value without some of its fields (KEP-555). */
import { isObject } from '#events/meta/json.ts'
import { same } from '#events/meta/faults.ts'
import type { FieldSchema } from '#events/schema/Schema.ts'
import { below, holds, LEAF, union, withSelf, type FieldSet } from './fieldSet.ts'
import { fieldBelow, isNamed, isNothing, itemSegment, shapeFor, type Json, type Shape } from './shape.ts'

const orNothing = (children: Record<string, FieldSet>): FieldSet | undefined => {
  for (const _ in children) return children
  return undefined
}

const isEmptyObject = (value: unknown): boolean => isObject(value) && Object.keys(value).length === 0

/** Every field a value of this shape sets; itself aside, where it is taken apart. */
export const setOf = (shape: Shape, value: unknown): FieldSet | undefined => {
  if (shape.by === 'whole') return LEAF
  const children: Record<string, FieldSet> = {}
  if (shape.by === 'fields' || shape.by === 'entries') {
    if (!isObject(value)) return undefined
    for (const key in value) {
      const part = value[key]
      if (part === undefined) continue
      const field = fieldBelow(shape, key)
      const set = setOf(shapeFor(field, part), part)
      // What is empty has nothing below that could stand for it, and nobody else names what the schema doesn't.
      const self = part === null || isEmptyObject(part) || !isNamed(shape, key)
      const node = self ? withSelf(set) : set
      if (node !== undefined) children[`f:${key}`] = node
    }
    return orNothing(children)
  }
  if (!Array.isArray(value)) return undefined
  const items = shape.items
  const twice = new Set<string>()
  for (const item of value) {
    const segment = itemSegment(shape, item)
    if (segment in children) twice.add(segment)
    else children[segment] = withSelf(setOf(shapeFor(items, item), item))
  }
  for (const segment of twice) children[segment] = LEAF
  return orNothing(children)
}

/** Where two values differ; each field is in one of the sets at most. */
export interface Comparison {
  readonly added?: FieldSet | undefined
  readonly modified?: FieldSet | undefined
  readonly removed?: FieldSet | undefined
}

const NONE: Comparison = {}
const ADDED: Comparison = { added: LEAF }
const MODIFIED: Comparison = { modified: LEAF }
const REMOVED: Comparison = { removed: LEAF }

const compareWhole = (before: unknown, after: unknown): Comparison => {
  if (before === undefined) return ADDED
  if (after === undefined) return REMOVED
  return same(before, after) ? NONE : MODIFIED
}

type Collect = (segment: string, part: Comparison) => void

const combine = (before: unknown, after: unknown, collect: (add: Collect) => void): Comparison => {
  const parts = { added: {}, modified: {}, removed: {} } as Record<keyof Comparison, Record<string, FieldSet>>
  collect((segment, part) => {
    for (const side of ['added', 'modified', 'removed'] as const) {
      const set = part[side]
      if (set !== undefined) parts[side][segment] = set
    }
  })
  const [added, removed] = [orNothing(parts.added), orNothing(parts.removed)]
  return {
    added: before === undefined ? withSelf(added) : added,
    modified: orNothing(parts.modified),
    removed: after === undefined ? withSelf(removed) : removed
  }
}

/** Subtrees shared by reference are not looked into. */
const compareField = (field: FieldSchema | undefined, before: unknown, after: unknown): Comparison => {
  if (before === after) return NONE
  const [left, right] = [shapeFor(field, before), shapeFor(field, after)]
  // Free JSON that was a map and is none any more, or has become one.
  if (before !== undefined && after !== undefined && (left.by === 'whole') !== (right.by === 'whole')) {
    const gone = left.by === 'whole' ? NONE : compareValues(left, before, undefined)
    const come = right.by === 'whole' ? NONE : compareValues(right, undefined, after)
    const parts = (set: FieldSet | undefined): FieldSet | undefined => {
      const { '.': _, ...children } = set ?? {}
      return orNothing(children)
    }
    return { added: parts(come.added), modified: LEAF, removed: parts(gone.removed) }
  }
  return compareValues(after === undefined ? left : right, before, after)
}

export const compareValues = (shape: Shape, before: unknown, after: unknown): Comparison => {
  if (before === after) return NONE
  // Nothing on either side: which kind of nothing it is can be told only as a whole.
  if (shape.by === 'whole' || (isNothing(before) && isNothing(after))) return compareWhole(before, after)
  if (shape.by === 'fields' || shape.by === 'entries') {
    const [old, now] = [isObject(before) ? before : {}, isObject(after) ? after : {}]
    return combine(before, after, (add) => {
      for (const key in now) if (now[key] !== undefined) add(`f:${key}`, compareField(fieldBelow(shape, key), old[key], now[key]))
      for (const key in old)
        if (old[key] !== undefined && now[key] === undefined) add(`f:${key}`, compareField(fieldBelow(shape, key), old[key], undefined))
    })
  }
  const [old, now] = [grouped(shape, before), grouped(shape, after)]
  return combine(before, after, (add) => {
    for (const segment of new Set([...old.keys(), ...now.keys()]))
      add(segment, compareItems(shape.items, old.get(segment) ?? [], now.get(segment) ?? []))
  })
}

const grouped = (shape: Shape, list: unknown): Map<string, unknown[]> => {
  const groups = new Map<string, unknown[]>()
  for (const item of Array.isArray(list) ? list : []) {
    const segment = itemSegment(shape, item)
    const known = groups.get(segment)
    if (known === undefined) groups.set(segment, [item])
    else known.push(item)
  }
  return groups
}

/** Items of one key. Several of them are one thing: nobody can tell which is whose. */
const compareItems = (items: FieldSchema | undefined, before: readonly unknown[], after: readonly unknown[]): Comparison => {
  if (before.length <= 1 && after.length <= 1) return compareField(items, before[0], after[0])
  if (before.length > 1 && after.length > 1) return same(before, after) ? NONE : MODIFIED
  if (before.length > 1) {
    const come = after.length === 0 ? NONE : compareField(items, undefined, after[0])
    return { ...come, removed: withSelf(come.removed) }
  }
  const gone = before.length === 0 ? NONE : compareField(items, before[0], undefined)
  return { ...gone, added: withSelf(gone.added) }
}

/**
 * The value without these fields. What nothing is left of is null and not absent: somebody may own it all the same, and it goes when
 * the object is decoded.
 */
export const removeItems = (shape: Shape, value: unknown, gone: FieldSet): unknown => {
  if (shape.by === 'whole') return typeof value === 'object' ? null : value
  if (shape.by === 'fields' || shape.by === 'entries') {
    if (!isObject(value)) return null
    const rest: Json = {}
    let left = false
    for (const key in value) {
      const segment = `f:${key}`
      if (value[key] === undefined || holds(gone, segment)) continue
      const deeper = below(gone, segment)
      rest[key] = deeper === undefined ? value[key] : removeItems(shapeFor(fieldBelow(shape, key), value[key]), value[key], deeper)
      left = true
    }
    return left ? rest : null
  }
  if (!Array.isArray(value)) return null
  const rest = value.flatMap((item: unknown) => {
    const segment = itemSegment(shape, item)
    if (holds(gone, segment)) return []
    const deeper = below(gone, segment)
    return [deeper === undefined ? item : removeItems(shapeFor(shape.items, item), item, deeper)]
  })
  return rest.length === 0 ? null : rest
}

/** The set with every field the schema names that has members below it: whose parts somebody owns goes with them. */
export const withNamedFields = (shape: Shape, set: FieldSet | undefined): FieldSet | undefined => {
  if (set === undefined) return undefined
  const result: Record<string, FieldSet> = {}
  for (const segment in set) {
    const node = set[segment] as FieldSet
    if (segment === '.') {
      result[segment] = node
      continue
    }
    const name = segment.slice(2)
    const isField = segment.startsWith('f:')
    const field = isField ? fieldBelow(shape, name) : shape.by === 'keys' ? shape.items : undefined
    const deeper = withNamedFields(shapeFor(field, undefined), node) as FieldSet
    result[segment] = isField && isNamed(shape, name) ? withSelf(deeper) : deeper
  }
  return result
}

/** All that was changed: added and given another value. */
export const changedIn = ({ added, modified }: Comparison): FieldSet | undefined => union(modified, added)
