/** Values for the fields of a schema: what people write there, by the field's name and format; and what breaks programs. */
import fc from 'fast-check'
import { refOf, type Json } from './document.ts'

/** Few names, so that requests meet what others made. */
export const NAMES = ['a', 'b', 'web', 'db-0'] as const
export const name: fc.Arbitrary<string> = fc.constantFrom(...NAMES)
const word = fc.constantFrom('web', 'db', 'v1', 'prod', 'a', 'x-1')
const labelKey = fc.constantFrom('app', 'tier', 'example.com/zone', 'kubernetes.io/os', 'version')
const labels = fc.dictionary(labelKey, word, { maxKeys: 3 })
const quantity = fc.constantFrom('1', '0', '500m', '1.5Gi', '128Mi', '2e3', '0.1', '100u', '1Ki', '7', '0.000001', '12E')
const time = fc.constantFrom('2030-01-01T00:00:00Z', '2030-01-01T00:00:00.123456Z', '2029-12-31T23:59:59+01:00')
const port = fc.constantFrom(80, 443, 8080, 30080, 65535, 1)
const ip = fc.constantFrom('10.1.2.3', '10.96.0.77', '192.168.0.1', 'fd00::1')
const count = fc.constantFrom(0, 1, 2, 3, 5, 10)
const int = fc.oneof({ weight: 4, arbitrary: count }, { weight: 1, arbitrary: fc.integer({ min: 0, max: 2 ** 31 - 1 }) })

/** By the field's name; what is not here follows from its type. */
const BY_NAME: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  name,
  namespace: fc.constant('default'),
  generateName: fc.constantFrom('gen-', 'a'),
  image: fc.constantFrom('web:1', 'registry.example.com/team/web@sha256:0000000000000000000000000000000000000000000000000000000000000000'),
  protocol: fc.constantFrom('TCP', 'UDP', 'SCTP'),
  operator: fc.constantFrom('In', 'NotIn', 'Exists', 'DoesNotExist', 'Equal', 'Gt', 'Lt'),
  effect: fc.constantFrom('NoSchedule', 'NoExecute', 'PreferNoSchedule'),
  restartPolicy: fc.constantFrom('Always', 'OnFailure', 'Never'),
  dnsPolicy: fc.constantFrom('ClusterFirst', 'Default', 'None'),
  imagePullPolicy: fc.constantFrom('Always', 'IfNotPresent', 'Never'),
  terminationMessagePolicy: fc.constantFrom('File', 'FallbackToLogsOnError'),
  preemptionPolicy: fc.constantFrom('Never', 'PreemptLowerPriority'),
  sessionAffinity: fc.constantFrom('None', 'ClientIP'),
  externalTrafficPolicy: fc.constantFrom('Cluster', 'Local'),
  internalTrafficPolicy: fc.constantFrom('Cluster', 'Local'),
  whenUnsatisfiable: fc.constantFrom('DoNotSchedule', 'ScheduleAnyway'),
  topologyKey: fc.constantFrom('kubernetes.io/hostname', 'topology.kubernetes.io/zone'),
  propagationPolicy: fc.constantFrom('Background', 'Foreground', 'Orphan'),
  type: fc.constantFrom(
    'ClusterIP',
    'NodePort',
    'ExternalName',
    'LoadBalancer',
    'RollingUpdate',
    'Recreate',
    'Opaque',
    'kubernetes.io/tls',
    'Ready',
    'Normal',
    'Warning',
    'RuntimeDefault'
  ),
  status: fc.constantFrom('True', 'False', 'Unknown'),
  phase: fc.constantFrom('Pending', 'Running', 'Succeeded', 'Failed', 'Active'),
  key: labelKey,
  labels,
  annotations: fc.dictionary(labelKey, fc.string({ maxLength: 20 }), { maxKeys: 3 }),
  matchLabels: labels,
  selector: fc.oneof(labels, fc.record({ matchLabels: labels })),
  finalizers: fc.array(fc.constantFrom('example.com/hold', 'kubernetes', 'orphan', 'foregroundDeletion'), { maxLength: 2 }),
  apiVersion: fc.constantFrom('v1', 'apps/v1'),
  apiGroup: fc.constantFrom('', 'rbac.authorization.k8s.io', 'apps'),
  kind: fc.constantFrom('Pod', 'Node', 'User', 'Group', 'ServiceAccount', 'ClusterRole', 'Role', 'ReplicaSet'),
  uid: fc.constantFrom('0d5d3a4e-1111-4222-8333-444455556666', ''),
  resourceVersion: fc.constantFrom('', '0', '1', '17'),
  fieldsV1: fc.constantFrom(
    {},
    { 'f:data': { '.': {}, 'f:a': {} } },
    { 'f:metadata': { 'f:labels': {} } },
    { 'k:{"name":"web"}': { '.': {} } },
    { 'v:"x"': {} }
  ),
  operation: fc.constantFrom('Apply', 'Update'),
  fieldsType: fc.constant('FieldsV1'),
  verbs: fc.subarray(['get', 'list', 'create', '*'], { minLength: 1 }),
  resources: fc.subarray(['pods', 'pods/log', 'deployments', '*'], { minLength: 1 }),
  apiGroups: fc.subarray(['', 'apps', '*'], { minLength: 1 }),
  nonResourceURLs: fc.subarray(['/healthz', '/api/*', '*'], { minLength: 1 }),
  containerPort: port,
  port,
  targetPort: fc.oneof(port, fc.constantFrom('http', '80%')),
  hostPort: port,
  nodePort: fc.constantFrom(30080, 31000, 32767),
  replicas: count,
  path: fc.constantFrom('/', '/healthz', 'token', 'a/b'),
  mountPath: fc.constantFrom('/data', '/etc/config'),
  clusterIP: fc.constantFrom('None', '10.96.0.77', ''),
  clusterIPs: fc.constantFrom(['None'], ['10.96.0.78'], []),
  externalName: fc.constantFrom('example.com', 'db.prod.svc.cluster.local'),
  addressType: fc.constantFrom('IPv4', 'IPv6', 'FQDN'),
  addresses: fc.oneof(fc.array(ip, { minLength: 1, maxLength: 3 }), fc.constant([{ ip: '10.1.2.3' }])),
  ip,
  hostIP: ip,
  podIP: ip,
  podCIDR: fc.constant('10.244.0.0/24'),
  nodeName: fc.constantFrom('n1', 'n2'),
  serviceAccountName: fc.constantFrom('default', 'nobody'),
  dryRun: fc.constant(['All']),
  gracePeriodSeconds: fc.constantFrom(0, 1, 30),
  expirationSeconds: fc.constantFrom(600, 3600, 86400),
  token: fc.constantFrom('x', 'eyJhbGciOiJub25lIn0.e30.'),
  maxSurge: fc.constantFrom(0, 1, '25%', '150%'),
  maxUnavailable: fc.constantFrom(0, 1, '25%'),
  reason: fc.constantFrom('Started', 'BecauseItIs'),
  namespaceSelector: fc.record({ matchLabels: labels })
}

const DEEPEST = 7
const MOST_OPTIONAL = 3

/** Arbitraries of a document's schemas; made once each. */
export class Values {
  readonly #schemas: ReadonlyMap<string, Json>
  readonly #made = new Map<string, fc.Arbitrary<unknown>>()

  constructor(schemas: ReadonlyMap<string, Json>) {
    this.#schemas = schemas
  }
  /** An object of the named schema: what it must have and a few of the things it may have. */
  of(schema: string, depth = 0): fc.Arbitrary<unknown> {
    const key = `${schema}@${depth}`
    let made = this.#made.get(key)
    // What an object is made of is only asked when one is made, so a schema may refer to itself.
    if (made === undefined)
      this.#made.set(key, (made = this.#value(this.#schemas.get(schema) ?? {}, schema.split('.').at(-1) ?? '', depth)))
    return made
  }
  #value(schema: Json, field: string, depth: number): fc.Arbitrary<unknown> {
    const ref = refOf(schema)
    const known = Object.hasOwn(BY_NAME, field) ? BY_NAME[field] : undefined
    if (ref?.endsWith('.Quantity') === true) return fc.oneof(quantity, count)
    if (ref?.endsWith('Time') === true) return time
    if (ref?.endsWith('.IntOrString') === true) return known ?? fc.oneof(port, fc.constantFrom('http', '25%'))
    if (ref !== undefined)
      return known !== undefined && depth > 1 && field !== 'selector'
        ? fc.oneof({ weight: 1, arbitrary: known }, { weight: 3, arbitrary: this.of(ref, depth + 1) })
        : this.of(ref, depth + 1)
    if (known !== undefined && schema['properties'] === undefined) return known
    switch (schema['type']) {
      case 'string':
        return schema['format'] === 'byte'
          ? fc.constantFrom('', 'dmFsdWU=', 'AAECAw==')
          : schema['format'] === 'date-time'
            ? time
            : fc.oneof(word, fc.string({ maxLength: 12 }))
      case 'boolean':
        return fc.boolean()
      case 'integer':
        return int
      case 'number':
        return fc.constantFrom(0, 0.5, 1)
      case 'array':
        return depth > DEEPEST
          ? fc.constant([])
          : fc.array(this.#value((schema['items'] ?? {}) as Json, field, depth + 1), { maxLength: 2 })
      case 'object':
        return this.#object(schema, depth)
      default:
        return fc.jsonValue({ maxDepth: 2 })
    }
  }
  #object(schema: Json, depth: number): fc.Arbitrary<unknown> {
    const properties = (schema['properties'] ?? {}) as Readonly<Record<string, Json>>
    const additional = schema['additionalProperties'] as Json | undefined
    if (Object.keys(properties).length === 0)
      return additional === undefined
        ? fc.dictionary(word, word, { maxKeys: 2 })
        : fc.dictionary(labelKey, this.#value(additional, '', depth + 1), { maxKeys: 3 })
    const required = ((schema['required'] ?? []) as readonly string[]).filter((field) => field in properties)
    const optional = Object.keys(properties).filter(
      (field) => !required.includes(field) && (depth > 0 || !['apiVersion', 'kind'].includes(field))
    )
    return fc
      .subarray(optional, { maxLength: depth > DEEPEST ? 0 : Math.min(MOST_OPTIONAL, optional.length) })
      .chain((chosen) =>
        fc.record(
          Object.fromEntries([...required, ...chosen].map((field) => [field, this.#value(properties[field] as Json, field, depth + 1)]))
        )
      )
  }
}

/** Stands in a JSON text for brackets nested so deep that no value of that depth could be written. */
export const DEEP = '@@deep@@'

/** What programs do not expect, most common first. */
export const nasty: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom<unknown>(null, '', 'x', 0, -1, 1, true, false, [], {}, [null], [[]], [{}], { a: { b: 1 } }) },
  {
    weight: 3,
    arbitrary: fc.constantFrom<unknown>(
      -0.5,
      0.1,
      1e308,
      -(2 ** 63),
      2 ** 53,
      2 ** 31,
      1e21,
      '-1',
      '1e99',
      'NaN',
      '0x10',
      '99999999999999999999'
    )
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom<unknown>(
      '\ud800',
      '\udfff\ud800',
      '\u0000',
      'a\r\nb: c',
      '\u2028',
      'ÄÖÜ',
      '😀',
      '../../x',
      'a/b',
      'a%2fb',
      '<script>',
      '${x}',
      ' ',
      '.',
      '..',
      'A_B',
      '-a',
      'a.',
      '*'
    )
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom<unknown>('x'.repeat(300), 'y'.repeat(70_000), Array(2_000).fill({}), Array(500).fill('x'), DEEP)
  },
  { weight: 2, arbitrary: fc.jsonValue({ maxDepth: 3 }) }
)
export const nastyKey = fc.constantFrom(
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'x',
  '',
  '$patch',
  'metadata',
  'f:x',
  'a/b',
  '\ud800',
  'length',
  '0',
  '-1',
  'k'.repeat(400)
)
