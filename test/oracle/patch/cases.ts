/** Random objects of a kind, edits of them and patches for them, from a seed: small worlds of names, so that what is made meets. */
import { isObject } from '#events/meta/json.ts'
import { fieldOf, typeOfKind, type FieldSchema, type TypeSchema } from '#events/schema/Schema.ts'

export type Json = Record<string, unknown>

export interface KindName {
  readonly group: string
  readonly version: string
  readonly kind: string
}

/** A number in [0, 1) from a seed, the same on every machine (mulberry32). */
export const randomFrom = (seed: number): (() => number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export class Maker {
  readonly #random: () => number
  readonly #type: TypeSchema
  readonly #name: KindName

  constructor(name: KindName, seed: number) {
    const type = typeOfKind(name.group, name.version, name.kind)
    if (type === undefined) throw new Error(`the schema has no ${name.kind}`)
    this.#random = randomFrom(seed)
    this.#type = type
    this.#name = name
  }
  get apiVersion(): string {
    return this.#name.group === '' ? this.#name.version : `${this.#name.group}/${this.#name.version}`
  }
  chance(of: number): boolean {
    return this.#random() < of
  }
  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.#random() * items.length)] as T
  }
  shuffled<T>(items: readonly T[]): T[] {
    return items
      .map((item) => [this.#random(), item] as const)
      .toSorted(([a], [b]) => a - b)
      .map(([, item]) => item)
  }

  /** Some fields, few of them deep down. */
  object(): Json {
    return { ...this.#fields(this.#type, 0), ...this.#head() }
  }
  #head(): Json {
    return { apiVersion: this.apiVersion, kind: this.#name.kind, metadata: this.#metadata() }
  }
  #metadata(): Json {
    const words = (): Json => Object.fromEntries(['a', 'b', 'c'].filter(() => this.chance(0.5)).map((key) => [key, this.pick(['1', '2'])]))
    return {
      name: 'x',
      namespace: 'default',
      ...(this.chance(0.6) ? { labels: words() } : {}),
      ...(this.chance(0.4) ? { annotations: words() } : {}),
      ...(this.chance(0.3) ? { finalizers: this.shuffled(['e/a', 'e/b', 'e/c']).slice(0, 1 + Math.floor(this.#random() * 3)) } : {})
    }
  }
  /** Of so many fields a type may have, a few are there; of a type that stands deep, fewer. */
  #fields(type: TypeSchema, depth: number): Json {
    const names = Object.keys(type.fields).filter((name) => depth > 0 || !['apiVersion', 'kind', 'metadata'].includes(name))
    const wanted = depth === 0 ? 1 : Math.min(0.8, (depth < 4 ? 4 : 2.2) / names.length)
    const chosen = names.filter((name) => type.fields[name]?.required === true || this.chance(wanted))
    return Object.fromEntries(chosen.map((name) => [name, this.value(fieldOf(type, name) as FieldSchema, depth + 1, name)]))
  }
  value(field: FieldSchema, depth: number, name = ''): unknown {
    switch (field.type) {
      case 'string':
        return this.pick(name === 'protocol' ? ['TCP', 'UDP'] : ['a', 'b', 'c'])
      case 'integer':
      case 'number':
        return this.pick([1, 2, 3])
      case 'boolean':
        return this.chance(0.7)
      case 'int-or-string':
        return this.pick([1, 'a'])
      case 'quantity':
        return this.pick(['1', '2Gi', '500m'])
      case 'time':
        return field.format === 'date-time' ? '2030-01-01T00:00:00Z' : '2030-01-01T00:00:00.000001Z'
      case 'bytes':
        return 'YQ=='
      case 'any':
        return { a: 1 }
      case 'map':
        return Object.fromEntries(
          ['a', 'b', 'c'].filter(() => this.chance(0.5)).map((key) => [key, this.value(field.items as FieldSchema, depth + 1)])
        )
      case 'object':
        return depth > 9 ? {} : this.#fields(field.object as TypeSchema, depth)
      case 'array':
        return this.#list(field, depth)
    }
  }
  #list(field: FieldSchema, depth: number): unknown[] {
    if (depth > 9) return []
    const items = Array.from({ length: 1 + Math.floor(this.#random() * 3) }, () => this.value(field.items as FieldSchema, depth + 1))
    const keys = field.listMapKeys ?? (field.patchMergeKey === undefined ? undefined : [field.patchMergeKey])
    if (keys !== undefined)
      for (const item of items)
        for (const key of keys) if (isObject(item)) item[key] ??= this.value(field.items?.object?.fields[key] as FieldSchema, depth, key)
    const seen = new Set<string>()
    return items.filter((item) => {
      const id = JSON.stringify(keys !== undefined && isObject(item) ? keys.map((key) => item[key]) : item)
      const isNew = seen.size === seen.add(id).size - 1
      return isNew || (field.listType !== 'map' && field.listType !== 'set' && keys === undefined)
    })
  }

  /** The value with some of it changed, added, taken away or in another order. */
  edited(value: Json): Json {
    const edited = this.#editFields(this.#type, structuredClone(value), 0)
    return { ...edited, apiVersion: value['apiVersion'], kind: value['kind'], metadata: this.#editMetadata(value['metadata'] as Json) }
  }
  #editMetadata(metadata: Json): Json {
    if (this.chance(0.6)) return metadata
    return { ...metadata, ...this.#metadata(), name: metadata['name'], namespace: metadata['namespace'] }
  }
  #editFields(type: TypeSchema, value: Json, depth: number): Json {
    for (const name of Object.keys(value)) {
      const field = fieldOf(type, name)
      if (field === undefined || (depth === 0 && ['apiVersion', 'kind', 'metadata'].includes(name))) continue
      const roll = this.#random()
      if (roll < 0.08 && depth > 0) delete value[name]
      else value[name] = roll < 0.16 && depth > 0 ? this.value(field, depth + 1, name) : this.#edit(field, value[name], depth + 1)
    }
    if (depth > 0 && this.chance(0.15)) Object.assign(value, this.#fields(type, depth))
    return value
  }
  #edit(field: FieldSchema, value: unknown, depth: number): unknown {
    if (field.object !== undefined && isObject(value)) return this.#editFields(field.object, value, depth)
    if (field.type === 'map' && isObject(value)) return this.chance(0.2) ? { ...value, ...(this.value(field, depth) as Json) } : value
    if (field.type !== 'array' || !Array.isArray(value)) return value
    let items = value.map((item: unknown) => this.#edit(field.items as FieldSchema, item, depth + 1))
    if (this.chance(0.15)) items = items.filter(() => this.chance(0.6))
    if (this.chance(0.15)) items = this.#unique(field, [...items, ...(this.value(field, depth) as unknown[])])
    return this.chance(0.15) ? this.shuffled(items) : items
  }
  #unique(field: FieldSchema, items: unknown[]): unknown[] {
    const keys = field.listMapKeys ?? (field.patchMergeKey === undefined ? undefined : [field.patchMergeKey])
    if (keys === undefined && field.listType !== 'set') return items
    const byKey = new Map(
      items.map((item) => [JSON.stringify(isObject(item) && keys !== undefined ? keys.map((key) => item[key]) : item), item])
    )
    return [...byKey.values()]
  }

  /** A part of an object, as a manager would apply it: the keys of what it keeps are kept. */
  part(value: Json): Json {
    return {
      ...(this.#partFields(this.#type, value, 0) as Json),
      apiVersion: value['apiVersion'],
      kind: value['kind'],
      metadata: this.#partOfMetadata(value['metadata'] as Json)
    }
  }
  #partOfMetadata({ name, namespace, labels, annotations, finalizers }: Json): Json {
    const given = Object.entries({ labels, annotations, finalizers }).filter(([, part]) => part !== undefined && this.chance(0.6))
    return { name, namespace, ...Object.fromEntries(given) }
  }
  #partFields(type: TypeSchema, value: Json, depth: number, keys: readonly string[] = []): Json {
    const kept = Object.entries(value).filter(([name]) => keys.includes(name) || name === 'spec' || this.chance(depth === 0 ? 0.8 : 0.7))
    return Object.fromEntries(
      kept
        .filter(([name]) => depth > 0 || !['apiVersion', 'kind', 'metadata'].includes(name))
        .map(([name, part]) => [name, this.#part(fieldOf(type, name), part, depth + 1)])
    )
  }
  #part(field: FieldSchema | undefined, value: unknown, depth: number): unknown {
    if (field?.object !== undefined && isObject(value)) return this.#partFields(field.object, value, depth)
    if (field?.type !== 'array' || !Array.isArray(value) || field.items?.object === undefined) return value
    const keys = field.listMapKeys
    if (keys === undefined) return value
    return value
      .filter(() => this.chance(0.8))
      .map((item: unknown) => (isObject(item) ? this.#partFields(field.items?.object as TypeSchema, item, depth + 1, keys) : item))
  }

  /** A strategic merge patch, with directives here and there. */
  strategic(live: Json): Json {
    const { apiVersion: _, kind: __, metadata: ___, status: ____, ...rest } = this.#patchFields(this.#type, live, 0)
    return { ...rest, ...(this.chance(0.4) ? { metadata: { labels: this.#mapPatch({ a: '1', b: '2' }) } } : {}) }
  }
  #mapPatch(of: Json): Json {
    return Object.fromEntries(Object.keys(of).map((key) => [key, this.chance(0.3) ? null : this.pick(['1', '2', '3'])]))
  }
  #patchFields(type: TypeSchema, live: Json, depth: number, keys: readonly string[] = []): Json {
    const patch: Json = {}
    const names = new Set([...Object.keys(live), ...Object.keys(this.#fields(type, Math.max(depth, 1)))])
    for (const name of names) {
      const field = fieldOf(type, name)
      if (field === undefined || (depth === 0 && ['apiVersion', 'kind', 'metadata', 'status'].includes(name))) continue
      if (keys.includes(name) || (depth > 0 && this.chance(0.35))) continue
      const roll = this.#random()
      if (roll < 0.08 && depth > 0) patch[name] = null
      else this.#patchField(patch, name, field, live[name], depth + 1)
    }
    const strategies = new Set(Object.keys(patch).filter((name) => !name.startsWith('$')))
    if (depth > 1 && this.chance(0.05)) patch['$retainKeys'] = [...new Set([...strategies, ...keys])]
    if (depth > 1 && keys.length === 0 && this.chance(0.03)) patch['$patch'] = this.pick(['replace', 'delete', 'merge'])
    return patch
  }
  #patchField(patch: Json, name: string, field: FieldSchema, live: unknown, depth: number): void {
    if (depth > 8) return
    if (field.object !== undefined) patch[name] = this.#patchFields(field.object, isObject(live) ? live : {}, depth)
    else if (field.type === 'map' && field.items?.type === 'string')
      patch[name] = this.#mapPatch(isObject(live) ? { ...live, c: '1' } : { a: '1' })
    else if (field.type !== 'array' || field.patchStrategy?.includes('merge') !== true) patch[name] = this.value(field, depth, name)
    else this.#patchList(patch, name, field, Array.isArray(live) ? live : [], depth)
  }
  #patchList(patch: Json, name: string, field: FieldSchema, live: readonly unknown[], depth: number): void {
    const key = field.patchMergeKey
    if (key === undefined) {
      if (this.chance(0.7)) patch[name] = [...new Set(this.value(field, depth) as unknown[])]
      if (this.chance(0.3) && live.length > 0) patch[`$deleteFromPrimitiveList/${name}`] = [this.pick(live)]
      if (this.chance(0.3))
        patch[`$setElementOrder/${name}`] = this.shuffled([...new Set([...live, ...((patch[name] as unknown[]) ?? [])])])
      return
    }
    const items = this.#unique({ ...field, listMapKeys: [key] }, [
      ...live.filter(() => this.chance(0.6)),
      ...(this.chance(0.5) ? (this.value(field, depth) as unknown[]) : [])
    ])
    const patched = items.filter(isObject).map((item) => {
      if (this.chance(0.15)) return { [key]: item[key], $patch: 'delete' }
      return { ...this.#patchFields(field.items?.object as TypeSchema, item, depth + 1, [key]), [key]: item[key] }
    })
    if (this.chance(0.04)) patched.push({ $patch: 'replace' } as Json)
    patch[name] = patched
    if (!this.chance(0.3)) return
    const keysOf = [...live, ...patched]
      .filter(isObject)
      .filter((item) => item['$patch'] === undefined)
      .map((item) => item[key])
    patch[`$setElementOrder/${name}`] = this.shuffled([...new Set(keysOf)]).map((value) => ({ [key]: value }))
  }
}
