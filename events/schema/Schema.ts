/**
 * One schema for built-in kinds and custom ones: field types, value rules, merge rules and descriptions. Built-in types are
 * looked up by name or by kind here; those of a CustomResourceDefinition are made by `structural.ts`.
 */
import generated from './generated/schema.json' with { type: 'json' }

/**
 * One field of a type, or the element of a list or map.
 *
 * `map` is an object with arbitrary keys (`items` says what the values are); `object` has its fields in `object`; `any` is
 * free JSON. List and map rules are those of structured merge (KEP-555), patch rules those of strategic merge patch.
 */
export interface FieldSchema extends ValueRules {
  readonly type:
    'string' | 'integer' | 'number' | 'boolean' | 'object' | 'array' | 'map' | 'any' | 'int-or-string' | 'quantity' | 'time' | 'bytes'
  /** Name of a built-in {@link TypeSchema} when `type` is `object`, e.g. `io.k8s.api.core.v1.PodSpec`; inline ones have none. */
  readonly ref?: string
  /** The fields, when `type` is `object`: those of `ref`, or the field's own. */
  readonly object?: TypeSchema
  /** Element of an `array`, value of a `map`. */
  readonly items?: FieldSchema
  readonly required?: true
  /**
   * How Go writes a field of a built-in type: `always`, whether anything was given or not (structs, and what has no `omitempty`);
   * `unlessEmpty`, so that an empty list is none; `orNull`, a pointer that is written even when nothing is behind it; otherwise (other
   * pointers, and all fields of custom types) just when it was given.
   */
  readonly presence?: 'always' | 'unlessEmpty' | 'orNull'
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

/** What a value must be besides its type: the words of OpenAPI v3 (JSON Schema), and of CustomResourceDefinitions. */
export interface ValueRules {
  readonly title?: string
  readonly enum?: readonly unknown[]
  readonly pattern?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly exclusiveMinimum?: boolean
  readonly exclusiveMaximum?: boolean
  readonly multipleOf?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly uniqueItems?: boolean
  readonly minProperties?: number
  readonly maxProperties?: number
  readonly nullable?: boolean
  /** What is filled in when the field is left out. */
  readonly default?: unknown
  /** Conditions on the same value; they have no types, defaults or descriptions of their own. */
  readonly allOf?: readonly FieldSchema[]
  readonly anyOf?: readonly FieldSchema[]
  readonly oneOf?: readonly FieldSchema[]
  readonly not?: FieldSchema
  /** `x-kubernetes-preserve-unknown-fields`: what no field describes is kept. */
  readonly preserveUnknown?: true
  /** `x-kubernetes-embedded-resource`: a whole object, with apiVersion, kind and metadata. */
  readonly embedded?: true
  /** `x-kubernetes-validations`: rules in CEL (KEP-2876), as the definition has them. */
  readonly validations?: readonly ValidationRule[]
  readonly example?: unknown
  readonly externalDocs?: unknown
}

/** A rule in CEL; `reason` as in a cause's, `fieldPath` relative to where the rule stands. */
export interface ValidationRule {
  readonly rule: string
  readonly message?: string
  readonly messageExpression?: string
  readonly reason?: string
  readonly fieldPath?: string
  readonly optionalOldSelf?: boolean
}

/** Free JSON of a custom object: objects merge field by field, lists as a whole ("deduced" in structured merge). */
export const DEDUCED: FieldSchema = { type: 'any', preserveUnknown: true }

/** An object type; `fields` keeps the declaration order. */
export interface TypeSchema {
  /** `io.k8s.api.core.v1.PodSpec`; of an inline one, what Go would call it in a message. */
  readonly name: string
  /** Names that must be there and have no field, or stand in a condition (`anyOf: [{required: [a]}, …]`). */
  readonly required?: readonly string[]
  readonly description?: string
  readonly fields: Readonly<Record<string, FieldSchema>>
  /** What fields are that are not among them, where those are kept. */
  readonly unknown?: FieldSchema
  readonly mapType?: 'atomic' | 'granular'
}

interface Generated {
  /** `group/version/Kind` (`/v1/Pod` for core) to type name. */
  readonly kinds: Readonly<Record<string, string>>
  readonly types: Readonly<Record<string, Omit<TypeSchema, 'name'>>>
}

const { kinds, types: raw } = generated as unknown as Generated

const types: ReadonlyMap<string, TypeSchema> = new Map(Object.entries(raw).map(([name, type]) => [name, { name, ...type }]))

/** Types refer to each other, and to themselves: once all are there, a name becomes what it names. */
const link = (field: FieldSchema): void => {
  // Not to be seen by who walks over the field itself: there would be no end.
  if (field.ref !== undefined) Object.defineProperty(field, 'object', { value: typeNamed(field.ref) })
  if (field.items !== undefined) link(field.items)
}
const kindTypes: ReadonlyMap<string, string> = new Map(Object.entries(kinds))

/** The type of this name, e.g. `io.k8s.api.apps.v1.DeploymentSpec`; throws when there is none. */
export const typeNamed = (name: string): TypeSchema => {
  const type = types.get(name)
  if (type === undefined) throw new Error(`no schema for type ${name}`)
  return type
}

for (const { fields } of types.values()) for (const name in fields) link(fields[name] as FieldSchema)

/** Kinds every group version has: a client may name any of them in `apiVersion`. */
const EVERYWHERE = new Set(['DeleteOptions', 'Status'])

/** The type of a kind (`group` is `''` for core), or undefined when the kind is not built in. */
export const typeOfKind = (group: string, version: string, kind: string): TypeSchema | undefined => {
  const name = kindTypes.get(`${group}/${version}/${kind}`) ?? (EVERYWHERE.has(kind) ? kindTypes.get(`/v1/${kind}`) : undefined)
  return name === undefined ? undefined : types.get(name)
}

/** The field of this JSON name; undefined where there is none. */
export const fieldOf = (type: TypeSchema, name: string): FieldSchema | undefined => {
  return Object.hasOwn(type.fields, name) ? type.fields[name] : type.unknown
}

/** Names of every type, in the order of the generated file. */
export const typeNames = (): Iterable<string> => {
  return types.keys()
}

/** `[group, version, kind]` of every kind that has a type. */
export const kindNames = (): readonly (readonly [group: string, version: string, kind: string])[] => {
  return [...kindTypes.keys()].map((key) => {
    const [group, version, kind] = key.split('/') as [string, string, string]
    return [group, version, kind] as const
  })
}
