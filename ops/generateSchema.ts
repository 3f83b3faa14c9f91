/**
 * Writes events/schema/generated: schema.json, and its types for tsc, from the pinned Kubernetes client's models and our fact tables; run
 * after install.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { FieldSchema, TypeSchema } from '#events/schema/Schema.ts'
import { declarations } from './schemaTypes.ts'

/** Every kind a schema is wanted for, by `group/version`; each kind's `…List` comes along when the client has one. */
const kindsOf: Readonly<Record<string, string>> = {
  '/v1':
    'Namespace Node Pod Service Endpoints ConfigMap Secret ServiceAccount Event Binding PodTemplate ReplicationController ' +
    'PersistentVolume PersistentVolumeClaim ResourceQuota LimitRange ComponentStatus ' +
    'Status DeleteOptions APIGroup APIGroupList APIResourceList APIVersions',
  'apps/v1': 'Deployment ReplicaSet StatefulSet DaemonSet ControllerRevision',
  'batch/v1': 'Job CronJob',
  'discovery.k8s.io/v1': 'EndpointSlice',
  'coordination.k8s.io/v1': 'Lease',
  'rbac.authorization.k8s.io/v1': 'Role RoleBinding ClusterRole ClusterRoleBinding',
  'authorization.k8s.io/v1': 'LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview SubjectAccessReview',
  'authentication.k8s.io/v1': 'TokenReview TokenRequest SelfSubjectReview',
  'autoscaling/v1': 'Scale HorizontalPodAutoscaler',
  'autoscaling/v2': 'HorizontalPodAutoscaler',
  'policy/v1': 'Eviction PodDisruptionBudget',
  'events.k8s.io/v1': 'Event',
  'networking.k8s.io/v1': 'Ingress IngressClass NetworkPolicy IPAddress ServiceCIDR',
  'scheduling.k8s.io/v1': 'PriorityClass',
  'storage.k8s.io/v1': 'StorageClass CSIDriver CSINode CSIStorageCapacity VolumeAttachment VolumeAttributesClass',
  'certificates.k8s.io/v1': 'CertificateSigningRequest',
  'node.k8s.io/v1': 'RuntimeClass',
  'apiextensions.k8s.io/v1': 'CustomResourceDefinition'
}

/** Kinds of the shared meta package, whatever group asks for them. */
const metaKinds = new Set(['Status', 'DeleteOptions', 'APIGroup', 'APIGroupList', 'APIResourceList', 'APIVersions'])

interface ProtoField {
  readonly name: string
  readonly type: string
  readonly inline: boolean
  readonly presence: FieldSchema['presence']
}

type Writable<T> = { -readonly [K in keyof T]: T[K] }

const root = join(import.meta.dirname, '..')
const facts = join(root, 'events/schema/facts')
const models = join(dirname(createRequire(import.meta.url).resolve('@kubernetes/client-node')), 'gen/models')

const tsv = (file: string): string[][] =>
  readFileSync(join(facts, file), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split('\t'))

const SCALARS = new Set(['string', 'bool', 'int32', 'int64', 'double', 'bytes'])

/** How Go writes a field: pointers when there is something behind them, structs always, what may be omitted when it is not empty. */
const presenceOf = (label: string, type: string, flags: string): FieldSchema['presence'] => {
  if (flags.includes('pointer')) return flags.includes('omitempty') ? undefined : 'orNull'
  const isStruct = label === '' && !SCALARS.has(type)
  return flags.includes('omitempty') && !isStruct ? 'unlessEmpty' : 'always'
}

/** Message (`core.v1.Pod`) to its fields, types made absolute. */
const messages = new Map<string, ProtoField[]>()
for (const [pkg = '', message, , name = '', label, type = '', flags = ''] of tsv('proto-fields.tsv')) {
  const value = label === 'map' ? type.slice(type.indexOf(',') + 1) : type
  const absolute = value.includes('.') || /^[a-z]/.test(value) ? value : `${pkg}.${value}`
  const key = `${pkg}.${message}`
  const presence = presenceOf(label ?? '', type, flags)
  messages.set(key, [...(messages.get(key) ?? []), { name, type: absolute, inline: flags.includes('inline'), presence }])
}

const versionOf = (message: string): string => message.split('.').at(-2) ?? ''
const baseOf = (message: string): string => message.slice(message.lastIndexOf('.') + 1)

/** JSON fields of a message with inlined messages spread out. */
const jsonFields = (message: string): ProtoField[] => {
  return (messages.get(message) ?? []).flatMap((field) => (field.inline ? jsonFields(field.type) : [field]))
}

const merges = new Map<string, string[]>()
for (const row of tsv('merge.tsv')) merges.set(`${row[0]} ${row[1]}`, row)

interface Model {
  readonly description?: string
  readonly fields: { name: string; type: string; format: string; required: boolean; description?: string }[]
}

const unescape = (text: string): string =>
  text
    .replace(/^\s*\/?\*+\/?\s?/gm, '')
    .replace(/\*\/\s*$/, '')
    .replace(/\\(['"])/g, '$1')
    .trim()

const modelCache = new Map<string, Model | undefined>()

/** Reads one model's declaration (descriptions, required) and attribute map (JSON names, types, formats). */
const model = (name: string): Model | undefined => {
  if (modelCache.has(name)) return modelCache.get(name)
  let declaration: string
  let code: string
  try {
    declaration = readFileSync(join(models, `${name}.d.ts`), 'utf8')
    code = readFileSync(join(models, `${name}.js`), 'utf8')
  } catch {
    modelCache.set(name, undefined)
    return undefined
  }
  const described = new Map<string, { required: boolean; description?: string }>()
  const at = declaration.indexOf('export declare class')
  const property = /(?:\/\*\*((?:(?!\*\/)[^])*)\*\/\s*)?^ {4}'([^']+)'(\?)?:/gm
  for (const [, comment, key = '', optional] of declaration.slice(at).matchAll(property)) {
    const description = comment === undefined ? '' : unescape(comment)
    described.set(key, { required: optional === undefined, ...(description === '' ? {} : { description }) })
  }
  const heads = [...declaration.slice(0, at).matchAll(/\/\*\*((?:(?!\*\/)[^])*)\*\//g)]
  const head = heads.length > 1 ? unescape(heads.at(-1)?.[1] ?? '') : ''
  const attribute = /"name": "([^"]*)",\s*"baseName": "([^"]*)",\s*"type": "([^"]*)",\s*"format": "([^"]*)"/g
  const fields = [...code.matchAll(attribute)].map(([, key = '', base = '', type = '', format = '']) => {
    const known = described.get(key)
    if (known === undefined) throw new Error(`${name}.${key} is in the attribute map but not in the declaration`)
    return { name: base, type, format, ...known }
  })
  const result: Model = { ...(head === '' ? {} : { description: head }), fields }
  modelCache.set(name, result)
  return result
}

const isModel = (type: string): boolean => /^[A-Z]\w*$/.test(type) && type !== 'Date' && type !== 'IntOrString' && type !== 'V1MicroTime'
const localName = (name: string): string => name.replace(/^.*?V\d+(?=[A-Z])/, '')

/**
 * The fact-table name (`core.v1.Container`) of a model: the candidate whose JSON fields are most alike; the owner's package when no table
 * knows it.
 */
const messageOf = (name: string, owner: string): string => {
  const local = localName(name)
  const version = /V\d+(?=[A-Z])/.exec(name)?.[0].toLowerCase() ?? 'v1'
  const alike = [...messages.keys()].filter((key) => baseOf(key) === local && versionOf(key) === version)
  // Where two groups have a type of one name, the client puts the group in front of its own: DiscoveryV1EndpointPort.
  const group = (/^(.*?)V\d+(?=[A-Z])/.exec(name)?.[1] ?? '').toLowerCase()
  const own = group === '' ? [] : alike.filter((key) => key.startsWith(`${group}.`))
  const candidates = own.length > 0 ? own : alike
  const names = new Set(model(name)?.fields.map((field) => field.name))
  const score = (key: string): number => jsonFields(key).reduce((sum, field) => sum + (names.has(field.name) ? 1 : -1), 0)
  const best = candidates.sort((a, b) => score(b) - score(a))[0]
  return best ?? `${owner.slice(0, owner.lastIndexOf('.'))}.${local}`
}

/** The published type name of a message: `core.v1.Pod` to `io.k8s.api.core.v1.Pod`. */
const typeName = (message: string): string => {
  if (message.startsWith('apis.meta.')) return `io.k8s.apimachinery.pkg.${message}`
  if (message.startsWith('apiextensions.')) return `io.k8s.apiextensions-apiserver.pkg.apis.${message}`
  return `io.k8s.api.${message}`
}

const types: Record<string, Omit<TypeSchema, 'name'>> = {}
const kinds: Record<string, string> = {}

const fieldType = (type: string, format: string, owner: string, proto: string | undefined): Writable<FieldSchema> => {
  const array = /^Array<(.*)>$/.exec(type)
  if (array) return { type: 'array', items: fieldType(array[1] ?? '', format, owner, proto) }
  const map = /^\{ \[key: string\]: (.*); \}$/.exec(type)
  if (map) return { type: 'map', items: fieldType(map[1] ?? '', format, owner, proto) }
  if (proto === 'api.resource.Quantity') return { type: 'quantity' }
  if (type === 'IntOrString') return { type: 'int-or-string', format: 'int-or-string' }
  if (type === 'Date' || type === 'V1MicroTime') return { type: 'time', format }
  if (type === 'string') return format === 'byte' ? { type: 'bytes', format } : { type: 'string' }
  if (type === 'boolean') return { type: 'boolean' }
  if (type === 'number') return { type: format.startsWith('int') ? 'integer' : 'number', format: format === '' ? 'double' : format }
  // Free JSON whose outermost value must be an object is told apart by its format.
  if (type === 'any')
    return proto === 'runtime.RawExtension' || proto === 'apis.meta.v1.FieldsV1' ? { type: 'any', format: 'object' } : { type: 'any' }
  if (isModel(type)) return { type: 'object', ref: typeName(addType(type, owner)) }
  throw new Error(`${owner}: no rule for type ${type}`)
}

/** Adds a model and everything it refers to; answers its message name. */
const addType = (name: string, owner: string, message = messageOf(name, owner)): string => {
  const published = typeName(message)
  if (types[published] !== undefined) return message
  const source = model(name)
  if (source === undefined) throw new Error(`${owner}: the client has no model ${name}`)
  const fields: Record<string, FieldSchema> = {}
  const whole = merges.get(`${message.replace(/^apis\./, '')} (whole)`)
  types[published] = {
    ...(source.description === undefined ? {} : { description: source.description }),
    fields,
    ...(whole === undefined ? {} : { mapType: whole[6] as 'atomic' | 'granular' })
  }
  const proto = new Map(jsonFields(message).map((field) => [field.name, field]))
  for (const { name: key, type, format, required, description } of source.fields) {
    const field = fieldType(type, format, message, proto.get(key)?.type)
    if (required) field.required = true
    const presence = proto.get(key)?.presence
    if (presence !== undefined) field.presence = presence
    if (description !== undefined) field.description = description
    const [, , listType, listKeys, strategies, mergeKey, mapType] = merges.get(`${message.replace(/^apis\./, '')} ${key}`) ?? []
    if (listType) field.listType = listType as 'atomic' | 'set' | 'map'
    if (listKeys) field.listMapKeys = listKeys.split(',')
    if (mapType) field.mapType = mapType as 'atomic' | 'granular'
    if (strategies) field.patchStrategy = strategies.split(',')
    if (mergeKey) field.patchMergeKey = mergeKey
    fields[key] = field
  }
  return message
}

const packageOf = (group: string): string => (group === '' ? 'core' : (group.split('.')[0] ?? ''))
const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)

for (const [groupVersion, names] of Object.entries(kindsOf)) {
  const [group = '', version = ''] = groupVersion.split('/')
  const pkg = packageOf(group)
  const prefix = capital(version)
  for (const kind of names.split(' ').flatMap((kind) => [kind, `${kind}List`])) {
    const message = `${metaKinds.has(kind) ? 'apis.meta' : pkg}.${version}.${kind}`
    const found = [`${capital(pkg)}${prefix}${kind}`, `${prefix}${kind}`].find((name) => model(name) !== undefined)
    if (found === undefined) {
      if (kind.endsWith('List')) continue
      throw new Error(`the client has no model for ${groupVersion} ${kind}`)
    }
    kinds[`${groupVersion}/${kind}`] = typeName(addType(found, message, message))
  }
}

const target = join(root, 'events/schema/generated')
mkdirSync(target, { recursive: true })
const text = JSON.stringify({ kinds, types })
writeFileSync(join(target, 'schema.json'), `${text}\n`)
const objects = new Set(Object.values(kinds))
for (const [file, declared] of declarations(types, (name) => objects.has(name))) writeFileSync(join(target, file), declared)
console.log(
  `events/schema/generated/schema.json: ${Object.keys(types).length} types, ${Object.keys(kinds).length} kinds, ${(text.length / 1024).toFixed(0)} KiB`
)
