/** The schema of every built-in kind: field types, merge rules and descriptions, looked up by type name or by kind. */
import generated from './generated/schema.json' with { type: 'json' }

/**
 * One field of a type, or the element of a list or map.
 *
 * `map` is an object with arbitrary keys (`items` says what the values are); `object` always names a
 * {@link TypeSchema} in `ref`; `any` is free JSON. List and map rules are those of structured merge
 * (KEP-555), patch rules those of strategic merge patch.
 */
export interface FieldSchema {
  readonly type:
    | 'string'
    | 'integer'
    | 'number'
    | 'boolean'
    | 'object'
    | 'array'
    | 'map'
    | 'any'
    | 'int-or-string'
    | 'quantity'
    | 'time'
    | 'bytes'
  /** Name of a {@link TypeSchema} when `type` is `object`, e.g. `io.k8s.api.core.v1.PodSpec`. */
  readonly ref?: string
  /** Element of an `array`, value of a `map`. */
  readonly items?: FieldSchema
  readonly required?: true
  /** `int32`, `int64`, `double`, `date-time`, `byte`. */
  readonly format?: string
  readonly description?: string
  readonly listType?: 'atomic' | 'set' | 'map'
  readonly listMapKeys?: readonly string[]
  readonly mapType?: 'atomic' | 'granular'
  /** `merge`, `replace`, `retainKeys`. */
  readonly patchStrategy?: readonly string[]
  readonly patchMergeKey?: string
}

/** A named object type; `fields` keeps the declaration order. */
export interface TypeSchema {
  readonly name: string
  readonly description?: string
  readonly fields: Readonly<Record<string, FieldSchema>>
  readonly mapType?: 'atomic' | 'granular'
}

interface Generated {
  /** `group/version/Kind` (`/v1/Pod` for core) to type name. */
  readonly kinds: Readonly<Record<string, string>>
  readonly types: Readonly<Record<string, Omit<TypeSchema, 'name'>>>
}

const { kinds, types: raw } = generated as unknown as Generated

const types: ReadonlyMap<string, TypeSchema> = new Map(
  Object.entries(raw).map(([name, type]) => [name, { name, ...type }]),
)
const kindTypes: ReadonlyMap<string, string> = new Map(Object.entries(kinds))

/** The type of this name, e.g. `io.k8s.api.apps.v1.DeploymentSpec`; throws when there is none. */
export function typeNamed(name: string): TypeSchema {
  const type = types.get(name)
  if (type === undefined) throw new Error(`no schema for type ${name}`)
  return type
}

/** Kinds every group version has: a client may name any of them in `apiVersion`. */
const EVERYWHERE = new Set(['DeleteOptions', 'Status'])

/** The type of a kind (`group` is `''` for core), or undefined when the kind is not built in. */
export function typeOfKind(group: string, version: string, kind: string): TypeSchema | undefined {
  const name = kindTypes.get(`${group}/${version}/${kind}`) ?? (EVERYWHERE.has(kind) ? kindTypes.get(`/v1/${kind}`) : undefined)
  return name === undefined ? undefined : types.get(name)
}

/** The field of this JSON name, or undefined. */
export function fieldOf(type: TypeSchema, name: string): FieldSchema | undefined {
  return Object.hasOwn(type.fields, name) ? type.fields[name] : undefined
}

/** Names of every type, in the order of the generated file. */
export function typeNames(): Iterable<string> {
  return types.keys()
}

/** `[group, version, kind]` of every kind that has a type. */
export function kindNames(): readonly (readonly [group: string, version: string, kind: string])[] {
  return [...kindTypes.keys()].map((key) => {
    const [group, version, kind] = key.split('/') as [string, string, string]
    return [group, version, kind] as const
  })
}
