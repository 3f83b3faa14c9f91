/** Bodies: an object of the operation's schema, or a patch of one, put on the wire whole or damaged. */
import { dump } from 'js-yaml'
import fc from 'fast-check'
import { KINDS } from '#test/support/builtIns.ts'
import { sampleOf } from '#test/support/samples.ts'
import { refOf, type Document, type Json, type Operation } from './document.ts'
import { jsonOf, mutated, mutations, type Mutation } from './mutate.ts'
import { protobufOf } from './protobuf.ts'
import { name, nasty, Values } from './values.ts'

export interface Body {
  readonly bytes: string | Uint8Array | undefined
  readonly contentType: string | undefined
}

export const APPLY = 'application/apply-patch+yaml'
const MERGE = 'application/merge-patch+json'
const STRATEGIC = 'application/strategic-merge-patch+json'
const JSON_PATCH = 'application/json-patch+json'
const PROTOBUF = 'application/vnd.kubernetes.protobuf'
const NOTHING: Body = { bytes: undefined, contentType: undefined }

/** What is asked of kinds that are no resources of their own. */
const QUESTIONS: Readonly<Record<string, Json>> = {
  SubjectAccessReview: { spec: { user: 'ada', resourceAttributes: { verb: 'get', resource: 'pods', namespace: 'default' } } },
  LocalSubjectAccessReview: { spec: { user: 'ada', groups: ['dev'], nonResourceAttributes: undefined } },
  SelfSubjectAccessReview: { spec: { nonResourceAttributes: { path: '/healthz', verb: 'get' } } },
  SelfSubjectRulesReview: { spec: { namespace: 'default' } },
  SelfSubjectReview: {},
  TokenReview: { spec: { token: 'eyJhbGciOiJFUzI1NiJ9.e30.x' } },
  TokenRequest: { spec: { expirationSeconds: 3600 } },
  Binding: { target: { kind: 'Node', name: 'n1' } },
  Eviction: { deleteOptions: { gracePeriodSeconds: 1 } },
  Scale: { spec: { replicas: 2 } }
}
/** Those among them that have a name. */
const NAMED = new Set(['Binding', 'Eviction', 'Scale'])

export const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

const merged = (base: Json, more: Json): Json => {
  const result: Record<string, unknown> = { ...base }
  for (const key of Object.keys(more)) {
    const [present, value] = [result[key], more[key]]
    result[key] =
      isObject(present) && isObject(value)
        ? merged(present, value)
        : Array.isArray(present) && Array.isArray(value) && isObject(present[0]) && isObject(value[0])
          ? [merged(present[0], value[0]), ...value.slice(1)]
          : value
  }
  return result
}

const identityOf = ({ group, version, kind }: Operation): Json => ({ apiVersion: group === '' ? version : `${group}/${version}`, kind })

export class Bodies {
  readonly #document: Document
  readonly #values: Values

  constructor(document: Document) {
    this.#document = document
    this.#values = new Values(document.schemas)
  }
  /** `called`: the name in the path, as it is written there. */
  of(operation: Operation, called: string): fc.Arbitrary<Body> {
    if (operation.action === 'patch') return this.#patch(operation, called)
    if (operation.body === undefined)
      return fc.oneof(
        { weight: 30, arbitrary: fc.constant(NOTHING) },
        { weight: 1, arbitrary: fc.constant<Body>({ bytes: '{', contentType: 'application/json' }) }
      )
    const body = fc
      .tuple(this.#object(operation, operation.body, called), mutations, written(operation))
      .map(([value, changes, write]) => write(value, changes))
    return operation.method === 'DELETE' ? fc.oneof({ weight: 2, arbitrary: fc.constant(NOTHING) }, { weight: 3, arbitrary: body }) : body
  }
  /** A good object of the kind, as it is or with something of its schema added; seldom one made of the schema alone. */
  #object(operation: Operation, schema: string, called: string): fc.Arbitrary<Json> {
    const made = this.#values.of(schema) as fc.Arbitrary<Json>
    if (schema.endsWith('.DeleteOptions')) return made
    const sample = this.#sample(operation, called)
    return fc.oneof(
      { weight: 5, arbitrary: sample },
      { weight: 5, arbitrary: fc.tuple(sample, this.#part(schema)).map(([base, part]) => merged(base, part)) },
      {
        weight: 1,
        arbitrary: fc.tuple(made, sample).map(([value, base]) => ({
          ...value,
          ...identityOf(operation),
          ...(base['metadata'] === undefined ? {} : { metadata: base['metadata'] })
        }))
      }
    )
  }
  #sample(operation: Operation, called: string): fc.Arbitrary<Json> {
    const kind = KINDS.find((one) => one.kind === operation.kind && one.group === operation.group)
    const question = QUESTIONS[operation.kind]
    if (kind === undefined)
      return fc.constant({
        ...identityOf(operation),
        ...(NAMED.has(operation.kind) ? { metadata: { name: decoded(called) } } : {}),
        ...question
      })
    const fresh = fc.oneof({ weight: 1, arbitrary: name }, { weight: 2, arbitrary: fc.nat(500).map((number) => `n${number}`) })
    return (operation.method === 'POST' ? fresh : fc.constant(decoded(called))).map((own) => {
      const {
        metadata: { namespace: _, ...metadata },
        ...rest
      } = sampleOf(kind, own)
      return { ...rest, ...(kind.kind === 'Event' ? { involvedObject: { kind: 'Pod', name: 'web' } } : {}), metadata }
    })
  }
  /** One field of a schema, with what is in it: what a person would add. */
  #part(schema: string): fc.Arbitrary<Json> {
    const properties = (this.#document.schemas.get(schema)?.['properties'] ?? {}) as Readonly<Record<string, Json>>
    const fields = Object.keys(properties).filter((field) => !['apiVersion', 'kind', 'status'].includes(field))
    if (fields.length === 0) return fc.constant({})
    return fc.constantFrom(...fields).chain((field) => {
      const ref = refOf(properties[field])
      return (ref === undefined ? this.#values.of(schema).map((value) => (value as Json)[field]) : this.#values.of(ref, 2)).map((value) =>
        value === undefined ? {} : { [field]: value }
      )
    })
  }
  #patch(operation: Operation, called: string): fc.Arbitrary<Body> {
    const schema = [...this.#document.schemas.keys()].find((one) => one.endsWith(`.${operation.version}.${operation.kind}`)) ?? ''
    const part = this.#part(schema)
    const identity = { ...identityOf(operation), metadata: { name: decoded(called) } }
    const asText = (contentType: string, value: fc.Arbitrary<unknown>): fc.Arbitrary<Body> =>
      fc
        .tuple(value, mutations, fc.nat(4), twice)
        .map(([whole, changes, depth, again]) => ({ contentType, bytes: jsonOf(mutated(whole, changes), depth, again) }))
    return fc.oneof(
      { weight: 6, arbitrary: asText(MERGE, part) },
      {
        weight: 6,
        arbitrary: asText(
          STRATEGIC,
          fc.tuple(part, directives).map(([value, more]) => merged(value, more))
        )
      },
      { weight: 6, arbitrary: asText(JSON_PATCH, fc.array(jsonOperation, { maxLength: 3 })) },
      {
        weight: 8,
        arbitrary: asText(
          APPLY,
          part.map((value) => merged(identity, value))
        )
      },
      { weight: 2, arbitrary: asText(APPLY, this.#object(operation, schema, called)) },
      {
        weight: 1,
        arbitrary: fc
          .constantFrom('application/json', '', 'x', 'application/merge-patch+json; charset=utf-8', 'application/apply-patch+cbor')
          .chain((type) => asText(type, part))
      }
    )
  }
}

/** The first key a second time. */
const twice = fc.constantFrom(false, false, false, false, true)

/** What is put in YAML besides the object: aliases, merges, tags, more documents. */
const YAML_EXTRA = [
  '',
  '',
  '',
  '',
  '\nx: &x {a: b}\ny: *x\n',
  '\n<<: {labels: {a: b}}\n',
  '\nz: *unknown\n',
  '\n---\nkind: Pod\n',
  '\nb: !!binary aGk=\n',
  '\nt: !x y\n',
  '\n\tq: 1\n',
  '\n? [a]\n: b\n',
  '\nn: .inf\n',
  '\nc: &c [*c]\n',
  '\na: &a [x,x]\nb: &b [*a,*a]\n'
]

const ODD: readonly Body[] = [
  { contentType: 'text/plain', bytes: 'x' },
  { contentType: 'application/json', bytes: '' },
  { contentType: 'application/json', bytes: 'null' },
  { contentType: 'application/json', bytes: '[]' },
  { contentType: 'application/json', bytes: '{"a":' },
  { contentType: 'application/json', bytes: Uint8Array.of(0x7b, 0xff, 0xfe) },
  { contentType: 'application/yaml', bytes: '%' },
  { contentType: PROTOBUF, bytes: 'k8s\0' },
  { contentType: 'application/cbor', bytes: Uint8Array.of(0xd9, 0xd9, 0xf7) }
]

type Write = (value: Json, changes: readonly Mutation[]) => Body

/** How a body is put on the wire: as JSON mostly, as YAML or protobuf. */
const written = (operation: Operation): fc.Arbitrary<Write> => {
  const { apiVersion, kind } = identityOf(operation) as { readonly apiVersion: string; readonly kind: string }
  const asJson = fc
    .tuple(fc.nat(4), twice, fc.constantFrom('application/json', 'application/json', 'application/json; charset=utf-8', ''))
    .map(([depth, again, contentType]): Write => (value, changes) => ({
      contentType,
      bytes: jsonOf(mutated(value, changes), depth, again)
    }))
  const asYaml = fc.constantFrom(...YAML_EXTRA).map((extra): Write => (value, changes) => ({
    contentType: 'application/yaml',
    bytes: `${dump(mutated(value, changes), { noRefs: true, skipInvalid: true })}${extra}`
  }))
  const damage = fc.oneof({ weight: 5, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.nat(400) })
  const asProtobuf = fc.tuple(damage, fc.nat(255)).map(([at, byte]): Write => (value, changes) => {
    const object = mutated(value, changes)
    const bytes = protobufOf(isObject(object) ? object : {}, apiVersion, kind)
    if (bytes === undefined) return { contentType: 'application/json', bytes: JSON.stringify(object) ?? '' }
    if (at !== undefined && at < bytes.length) bytes[at] = byte
    return { contentType: PROTOBUF, bytes }
  })
  return fc.oneof(
    { weight: 24, arbitrary: asJson },
    { weight: 5, arbitrary: asYaml },
    { weight: 5, arbitrary: asProtobuf },
    {
      weight: 1,
      arbitrary: fc.constantFrom(...ODD).map(
        (body): Write =>
          () =>
            body
      )
    }
  )
}

/** What strategic merge patches say beside values. */
const directives = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Json>({}) },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Json>(
      { $patch: 'replace' },
      { $patch: 'delete' },
      { $patch: 'x' },
      { $patch: 5 },
      { $retainKeys: ['spec'] },
      { $retainKeys: 'x' },
      { metadata: { '$deleteFromPrimitiveList/finalizers': ['x'] } },
      { metadata: { '$deleteFromPrimitiveList/finalizers': 5 } },
      { '$setElementOrder/x': [] },
      { metadata: { '$setElementOrder/ownerReferences': [{ uid: 'x' }] } },
      { spec: { '$setElementOrder/containers': [{ name: 'web' }] } },
      { spec: { containers: [{ name: 'web', $patch: 'delete' }] } },
      { spec: { containers: [{ $patch: 'replace' }] } },
      { metadata: { labels: { $patch: 'replace', a: 'b' } } }
    )
  }
)

const POINTERS = [
  '',
  '/',
  '/metadata',
  '/metadata/labels',
  '/metadata/labels/app',
  '/metadata/annotations',
  '/metadata/finalizers/-',
  '/metadata/finalizers/0',
  '/metadata/name',
  '/spec',
  '/spec/replicas',
  '/spec/containers/0',
  '/spec/containers/-',
  '/spec/containers/99',
  '/spec/ports/0/port',
  '/data',
  '/data/key',
  '/data/a~1b',
  '/data/~',
  '/x/y',
  'x',
  '/__proto__/x',
  '/constructor/prototype/x',
  '/metadata/managedFields',
  '/status',
  '/metadata/labels/',
  '/spec/template/metadata/labels/app',
  '/rules/0/verbs/0',
  '/apiVersion',
  '/kind'
]

const jsonOperation: fc.Arbitrary<Json> = fc.record(
  {
    op: fc.oneof(
      { weight: 20, arbitrary: fc.constantFrom('add', 'replace', 'remove', 'test', 'copy', 'move') },
      { weight: 1, arbitrary: fc.constant('x') }
    ),
    path: fc.constantFrom(...POINTERS),
    from: fc.constantFrom(...POINTERS),
    value: fc.oneof(nasty, fc.constantFrom<unknown>('web', 3, { app: 'web' }, ['x']))
  },
  { requiredKeys: ['op', 'path'] }
)
