/** Small damage to a JSON value or its text: what a broken client, or a clever one, would send. */
import fc from 'fast-check'
import { DEEP, nasty, nastyKey } from './values.ts'

export type Mutation =
  /** `at` picks one of the value's places. */
  | { readonly how: 'replace' | 'remove' | 'double'; readonly at: number; readonly by: unknown }
  | { readonly how: 'add'; readonly at: number; readonly key: string; readonly by: unknown }

export const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ how: fc.constant('replace' as const), at: fc.nat(), by: nasty }) },
  { weight: 2, arbitrary: fc.record({ how: fc.constant('remove' as const), at: fc.nat(), by: fc.constant(null) }) },
  { weight: 1, arbitrary: fc.record({ how: fc.constant('double' as const), at: fc.nat(), by: fc.constant(null) }) },
  { weight: 2, arbitrary: fc.record({ how: fc.constant('add' as const), at: fc.nat(), key: nastyKey, by: nasty }) }
)

/** Mostly none, sometimes up to three. */
export const mutations: fc.Arbitrary<readonly Mutation[]> = fc.oneof(
  { weight: 11, arbitrary: fc.constant([]) },
  { weight: 6, arbitrary: fc.array(mutation, { minLength: 1, maxLength: 1 }) },
  { weight: 3, arbitrary: fc.array(mutation, { minLength: 2, maxLength: 3 }) }
)

interface Place {
  readonly holder: Record<string, unknown> | unknown[]
  readonly key: string
}

const placesOf = (value: unknown, places: Place[] = []): Place[] => {
  if (typeof value !== 'object' || value === null) return places
  for (const key of Object.keys(value)) {
    places.push({ holder: value as Place['holder'], key })
    placesOf((value as Record<string, unknown>)[key], places)
  }
  return places
}

/** As a property of its own, whatever it is called; lists take no names. */
const set = (holder: object, key: string, value: unknown): void => {
  if (Array.isArray(holder) && !/^\d+$/.test(key)) holder.push(value)
  else Object.defineProperty(holder, key, { value, enumerable: true, configurable: true, writable: true })
}

/** A mutated copy. */
export const mutated = (value: unknown, changes: readonly Mutation[]): unknown => {
  const root: { value?: unknown } = { value: structuredClone(value) }
  for (const change of changes) {
    const by = structuredClone(change.by)
    const places = placesOf(root)
    const place = places[change.at % places.length]
    // Nothing is left to damage once the whole was taken away.
    if (place === undefined) break
    const { holder, key } = place
    const present = (holder as Record<string, unknown>)[key]
    if (change.how === 'replace') set(holder, key, by)
    else if (change.how === 'remove') Reflect.deleteProperty(holder, key)
    else if (change.how === 'double') {
      if (Array.isArray(present) && present.length > 0) present.push(structuredClone(present[0]))
      else if (Array.isArray(holder)) holder.push(structuredClone(present))
      else set(holder, `${key}`, [present, present])
    } else if (change.how === 'add') set(typeof present === 'object' && present !== null ? present : holder, change.key, by)
  }
  return root.value
}

const DEEP_TEXT: readonly number[] = [60, 900, 1_100, 6_000, 40_000]

/** The JSON text; `depth` says how deep what stands for deep values is, `twice` repeats the first key. */
export const jsonOf = (value: unknown, depth: number, twice: boolean): string => {
  let text = JSON.stringify(value) ?? 'null'
  if (text.includes(DEEP)) {
    const levels = DEEP_TEXT[depth % DEEP_TEXT.length] as number
    text = text.replaceAll(
      `"${DEEP}"`,
      depth % 2 === 0 ? '['.repeat(levels) + ']'.repeat(levels) : '{"a":'.repeat(levels) + '1' + '}'.repeat(levels)
    )
  }
  if (twice) text = text.replace(/^\{("[^"\\]*":)/, '{$1"twice",$1')
  return text
}
