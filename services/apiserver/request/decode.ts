/** From what a client sent to an object of the kind: types checked, unknown fields refused, warned of or dropped. */
import { isObject } from '#events/meta/json.ts'
import type { Intent } from '#events/Intent.ts'
import type { Kind } from '#events/Kind.ts'
import { asOneOf, type KubeObject, type Of } from '#events/KubeObject.ts'
import { badRequest, invalid } from '#events/Refusal.ts'
import { jsonWord } from '#events/schema/scalars.ts'
import { pruned } from '#events/schema/prune.ts'
import { typeNamed, typeOfKind, type FieldSchema, type TypeSchema } from '#events/schema/Schema.ts'
import { cannotDecode, decodeStrict, strictDecodingError } from '#events/schema/validate.ts'

export interface GroupVersionKind {
  readonly group: string
  readonly version: string
  readonly kind: string
}

/** The same for who knows the type: constants of this are what `decodeAs` gives its results the type by. */
export type TypedKind<Some extends KubeObject> = GroupVersionKind & Of<Some>

export const apiVersionOf = ({ group, version }: Pick<GroupVersionKind, 'group' | 'version'>): string =>
  group === '' ? version : `${group}/${version}`

const typeOfVersion = (wanted: GroupVersionKind): TypeSchema => {
  const type = typeOfKind(wanted.group, wanted.version, wanted.kind)
  if (type === undefined) throw new Error(`the schema has no ${apiVersionOf(wanted)} ${wanted.kind}; generate it again`)
  return type
}

const types = new WeakMap<Kind, TypeSchema>()

export const typeOf = (kind: Kind): TypeSchema => {
  let type = kind.schema?.object ?? types.get(kind)
  if (type === undefined) types.set(kind, (type = typeOfVersion(kind)))
  return type
}

export interface Decoded<Some extends KubeObject = KubeObject> {
  /** A copy of the caller's own: to be changed in place. */
  readonly object: Some
  readonly warnings: readonly string[]
}

const META_STRUCT = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'

/** What upstream says of a value whose apiVersion and kind can't even be read; undefined when they can. Null reads as nothing given. */
export const typeMetaFault = (value: unknown): string | undefined => {
  if (value === null || value === undefined) return undefined
  const of = (part: unknown, where: string): string =>
    `couldn't get version/kind; json parse error: json: cannot unmarshal ${jsonWord(part)} into ${where}`
  if (!isObject(value)) return of(value, `Go value of type ${META_STRUCT}`)
  for (const field of ['apiVersion', 'kind'])
    if (value[field] !== undefined && value[field] !== null && typeof value[field] !== 'string')
      return of(value[field], `Go struct field .${field} of type string`)
  return undefined
}

const splitVersion = (apiVersion: string): [group: string, version: string] => {
  const at = apiVersion.indexOf('/')
  return at < 0 ? ['', apiVersion] : [apiVersion.slice(0, at), apiVersion.slice(at + 1)]
}

/** `core`, `rbac`: how upstream's internal types of a group are called. */
const internalPackage = (group: string): string => (group === '' ? 'core' : (group.split('.')[0] as string))

/** Why an object is no `wanted`: what it says it is, or can't be read to be. What it leaves out it is taken to be. */
const typeMetaMismatch = (value: unknown, wanted: GroupVersionKind): { readonly as: string; readonly why: string } | undefined => {
  const fault = typeMetaFault(value)
  if (fault !== undefined) return { as: `the object provided is unrecognized (must be of type ${wanted.kind})`, why: fault }
  const { kind: givenKind, apiVersion: givenVersion } = (value ?? {}) as { kind?: string | null; apiVersion?: string | null }
  const apiVersion = givenVersion || apiVersionOf(wanted)
  const kind = givenKind || wanted.kind
  const [group, version] = splitVersion(apiVersion)
  if (kind === wanted.kind && group === wanted.group && version === wanted.version) return undefined
  const as = `${kind} in version "${version}" cannot be handled as a ${wanted.kind}`
  if (typeOfKind(group, version, kind) === undefined) return { as, why: `no kind "${kind}" is registered for version "${apiVersion}"` }
  if (kind !== wanted.kind)
    return { as, why: `converting (${version}.${kind}) to (${internalPackage(wanted.group)}.${wanted.kind}): unknown conversion` }
  return { as: '', why: `the API version in the data (${apiVersion}) does not match the expected API version (${apiVersionOf(wanted)})` }
}

/** Refuses with 400 what says it is something else than `wanted`. */
export const checkKind = (value: unknown, wanted: GroupVersionKind): void => {
  const found = typeMetaMismatch(value, wanted)
  if (found !== undefined) throw badRequest(found.as === '' ? found.why : `${found.as}: ${found.why}`)
}

type Validation = NonNullable<Intent['options']>['fieldValidation']

const OBJECT_META = typeNamed('io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta')

/** Of a custom object only the metadata has Go types; everything else is judged by its definition, with all other values. */
const decodeCustom = (schema: FieldSchema, value: unknown): ReturnType<typeof decodeStrict> => {
  const { value: object, unknownFields, error } = pruned(schema, value)
  const given = (value as { readonly metadata?: unknown }).metadata
  const metadata = given === undefined || given === null ? undefined : decodeStrict(OBJECT_META, given, 'Ignore')
  if (metadata !== undefined) (object as { metadata: unknown }).metadata = metadata.value
  else delete (object as { metadata?: unknown }).metadata
  return { value: object, unknownFields: [...unknownFields], errors: error === undefined ? (metadata?.errors ?? []) : [error] }
}

/** The decoded object, or the fault in upstream's words alone. */
const decodeTyped = (
  wanted: GroupVersionKind & Pick<Kind, 'schema'>,
  type: TypeSchema,
  value: unknown,
  validation: Validation
): Decoded | string => {
  const mode = validation ?? 'Warn'
  const decoded = wanted.schema === undefined ? decodeStrict(type, value ?? {}, mode) : decodeCustom(wanted.schema, value ?? {})
  if (decoded.errors.length > 0) return decoded.errors[0] as string
  if (mode === 'Strict' && decoded.unknownFields.length > 0) return strictDecodingError(decoded.unknownFields)
  const object = decoded.value as KubeObject
  object.apiVersion = apiVersionOf(wanted)
  object.kind = wanted.kind
  object.metadata ??= {}
  return { object, warnings: mode === 'Warn' ? decoded.unknownFields : [] }
}

const decodeOr400 = (
  wanted: GroupVersionKind & Pick<Kind, 'schema'>,
  type: TypeSchema,
  value: unknown,
  validation: Validation
): Decoded => {
  checkKind(value, wanted)
  const decoded = decodeTyped(wanted, type, value, validation)
  if (typeof decoded === 'string') throw cannotDecode(wanted.version, wanted.kind, decoded)
  return decoded
}

/** What a client sent as an object of the kind. Refuses with 400 in the words of upstream's decoder. */
export const decodeObject = (kind: Kind, value: unknown, validation: Validation): Decoded =>
  decodeOr400(kind, typeOf(kind), value, validation)

/** An object of a type that is no resource of its own: an Eviction, a Binding, a Scale, a review. */
export const decodeAs = <Some extends KubeObject>(wanted: TypedKind<Some>, value: unknown, validation?: Validation): Decoded<Some> => {
  const { object, warnings } = decodeOr400(wanted, typeOfVersion(wanted), value, validation)
  return { object: asOneOf(wanted, object), warnings }
}

/** What a patch made: the patch is at fault, not the request, so 422. Upstream shows the whole object here; it may hold secrets. */
export const decodePatched = (wanted: GroupVersionKind & Pick<Kind, 'schema'>, value: unknown, validation: Validation): Decoded => {
  const decoded =
    typeMetaMismatch(value, wanted)?.why ?? decodeTyped(wanted, wanted.schema?.object ?? typeOfVersion(wanted), value, validation)
  if (typeof decoded === 'string') throw invalid('', '', '', [{ type: 'Invalid', field: 'patch', detail: decoded }])
  return decoded
}
