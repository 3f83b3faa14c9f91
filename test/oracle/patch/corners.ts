/** Questions that random objects hardly ever ask: what stands twice, who goes over from kubectl apply, orders of lists, many managers. */
import type { Question } from './Oracle.ts'

type Json = Record<string, unknown>

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration'
const RESET = ['status'] as const

const entry = (manager: string, operation: 'Apply' | 'Update', apiVersion: string, fieldsV1: Json, more: Json = {}): Json => ({
  manager,
  operation,
  apiVersion,
  time: '2026-01-01T00:00:00Z',
  fieldsType: 'FieldsV1',
  fieldsV1,
  ...more
})

/** Stored, with that of metadata besides. */
const meta = (more: Json = {}): Json => ({ name: 'x', namespace: 'default', uid: 'u', ...more })
const sent = { name: 'x', namespace: 'default' }
const configMap = (data: Json, metadata: Json): Json => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata, data })
const pod = (spec: Json, metadata: Json): Json => ({ apiVersion: 'v1', kind: 'Pod', metadata, spec })
const deployment = (spec: Json, metadata: Json): Json => ({ apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec })

const apply = (live: Json, given: Json, manager = 'one', more: Partial<Question> = {}): Question => ({
  op: 'apply',
  apiVersion: given['apiVersion'] as string,
  kind: given['kind'] as string,
  live,
  given,
  manager,
  force: false,
  reset: RESET,
  ...more
})
const update = (live: Json, given: Json, manager = 'one', more: Partial<Question> = {}): Question => ({
  op: 'update',
  apiVersion: given['apiVersion'] as string,
  kind: given['kind'] as string,
  live,
  given,
  manager,
  reset: RESET,
  ...more
})

/** Values of one variable, as it stands in a list. */
const env = (...values: readonly string[]): Json => ({ containers: [{ name: 'c', env: values.map((value) => ({ name: 'A', value })) }] })
const owned = (fields: Json): Json => meta({ managedFields: [entry('one', 'Apply', 'v1', fields)] })
const ENV_OWNED = owned({
  'f:spec': { 'f:containers': { 'k:{"name":"c"}': { '.': {}, 'f:name': {}, 'f:env': { 'k:{"name":"A"}': {} } } } }
})

const twice: readonly Question[] = [
  update(pod(env('1', '2'), meta({ managedFields: [entry('one', 'Update', 'v1', { 'f:spec': {} })] })), pod(env('1', '3'), meta()), 'two'),
  update(pod(env('1', '2'), ENV_OWNED), pod(env('3'), ENV_OWNED), 'two'),
  update(pod(env('1'), ENV_OWNED), pod(env('1', '2'), ENV_OWNED), 'two'),
  apply(pod(env('1', '2'), meta()), pod(env('3'), sent), 'two', { force: true }),
  apply(pod(env('1', '2'), meta()), pod(env(), sent), 'two', { force: true }),
  apply(pod(env('1', '2'), ENV_OWNED), pod({ containers: [{ name: 'c' }] }, sent), 'one', { force: true }),
  apply(pod(env('1'), meta()), pod(env('1', '2'), sent), 'two')
]

const NOTE = (data: Json, apiVersion = 'v1'): Json => ({
  [LAST_APPLIED]: JSON.stringify({ apiVersion, kind: 'ConfigMap', metadata: sent, data })
})
const byKubectl = (note: Json): Json =>
  meta({
    annotations: note,
    managedFields: [entry('kubectl-client-side-apply', 'Update', 'v1', { 'f:data': { '.': {}, 'f:x': {}, 'f:y': {} } })]
  })
const goingOver: readonly Question[] = [
  apply(configMap({ x: '1', y: '1' }, byKubectl(NOTE({ x: '1', y: '1' }))), configMap({ x: '2', y: '1' }, sent), 'kubectl'),
  apply(configMap({ x: '1', y: '1' }, byKubectl(NOTE({ x: '0', y: '1' }))), configMap({ x: '2', y: '2' }, sent), 'kubectl'),
  apply(configMap({ x: '1', y: '1' }, byKubectl(NOTE({ y: '1' }))), configMap({ x: '2', y: '2' }, sent), 'other'),
  apply(configMap({ x: '1', y: '1' }, byKubectl(NOTE({ x: '1', y: '1' }, 'v2'))), configMap({ x: '2' }, sent), 'kubectl'),
  apply(configMap({ x: '1', y: '1' }, byKubectl({ [LAST_APPLIED]: '{' })), configMap({ x: '2' }, sent), 'kubectl'),
  apply(configMap({ x: '1', y: '1' }, byKubectl(NOTE({ x: '1' }))), configMap({ x: '2' }, sent), 'other'),
  // Only kubectl's note is kubectl's to keep.
  apply(configMap({ x: '1', y: '1' }, byKubectl(NOTE({ x: '1', y: '1' }))), configMap({ x: '1' }, sent), 'other'),
  apply(configMap({ x: '1', y: '1' }, byKubectl(NOTE({ x: '1', y: '1' }))), configMap({ x: '1' }, sent), 'kubectl')
]

const containers = (...names: readonly string[]): Json => ({ containers: names.map((name) => ({ name })) })
const orders: readonly Question[] = [
  ['a', 'b', 'c', 'd'],
  ['d', 'b'],
  ['c', 'a', 'e'],
  ['b', 'e', 'a'],
  ['e', 'd', 'f', 'a'],
  ['d', 'c', 'b', 'a'],
  ['e', 'f'],
  ['c', 'e', 'd'],
  ['b', 'd', 'a', 'c'],
  ['e', 'c', 'f', 'b', 'g']
].flatMap((names) => [
  apply(pod(containers('a', 'b', 'c', 'd'), meta()), pod(containers(...names), sent)),
  apply(
    configMap({}, meta({ finalizers: ['a/a', 'a/b', 'a/c', 'a/d'] })),
    configMap({}, { ...sent, finalizers: names.map((name) => `a/${name}`) })
  )
])

/** Writers one after the other, as many as are kept and more. */
const many = (count: number, more: (n: number) => Json = () => ({})): readonly Json[] =>
  Array.from({ length: count }, (_, n) =>
    entry(`w${n}`, 'Update', 'v1', { 'f:data': { [`f:k${n}`]: {} } }, { time: `2019-01-01T00:00:${10 + n}Z`, ...more(n) })
  )
const keys = (count: number): Json => Object.fromEntries(Array.from({ length: count }, (_, n) => [`k${n}`, '1']))
const crowds: readonly Question[] = [9, 10, 11, 14].flatMap((count) =>
  [
    many(count),
    many(count, (n) => (n % 2 === 0 ? { subresource: 'status' } : {})),
    many(count).map((one, n) => (n === 0 ? { ...one, manager: 'ancient-changes' } : one))
  ].map((managedFields) =>
    update(configMap(keys(count), meta({ managedFields })), configMap({ ...keys(count), more: '1' }, meta({ managedFields })), 'late')
  )
)

const MAIN = entry('one', 'Update', 'apps/v1', { 'f:spec': { 'f:replicas': {} } })
const replicas = (count: number, metadata: Json, status: Json): Json => ({ ...deployment({ replicas: count }, metadata), status })
const throughStatus = { subresource: 'status', reset: ['spec'] } as const
const halves: readonly Question[] = [
  update(
    replicas(1, meta({ managedFields: [MAIN] }), {}),
    replicas(1, meta({ managedFields: [MAIN] }), { replicas: 1 }),
    'one',
    throughStatus
  ),
  update(replicas(1, meta({ managedFields: [MAIN] }), {}), replicas(1, meta({ managedFields: [] }), { replicas: 1 }), 'two', throughStatus),
  update(replicas(1, meta({ managedFields: [MAIN] }), {}), replicas(2, meta({ managedFields: [] }), {}), 'two'),
  update(replicas(1, meta({ managedFields: [MAIN] }), {}), replicas(2, meta({ managedFields: [{}] }), {}), 'two')
]

const security = (context: Json | undefined): Json => ({
  containers: [{ name: 'c', ...(context === undefined ? {} : { securityContext: context }) }]
})
const SECURITY_OWNED = owned({
  'f:spec': { 'f:containers': { 'k:{"name":"c"}': { '.': {}, 'f:name': {}, 'f:securityContext': { 'f:runAsUser': {} } } } }
})
const parts: readonly Question[] = [
  // What nobody owns goes with the named field it is part of.
  apply(pod(security({ runAsUser: 1, runAsGroup: 2 }), SECURITY_OWNED), pod(security(undefined), sent)),
  apply(pod(security({ runAsUser: 1 }), SECURITY_OWNED), pod(security({}), sent)),
  apply(configMap({ x: '1' }, owned({ 'f:data': { 'f:x': {} } })), configMap({}, sent)),
  apply(configMap({ x: '1', y: '1' }, owned({ 'f:data': { 'f:x': {} } })), configMap({}, sent)),
  apply(deployment({ template: { spec: { containers: null } } }, meta()), deployment({ template: { spec: { containers: [] } } }, sent)),
  apply(deployment({ template: { spec: { nodeSelector: {} } } }, meta()), deployment({ template: { spec: { nodeSelector: {} } } }, sent)),
  apply(pod(env('1'), meta()), pod({ ...env('1'), foo: 1, hostNetwork: 'yes' }, sent)),
  apply(pod(env('1'), meta()), pod({ containers: [{ image: 'x' }, { name: 'c', ports: [{ name: 'p' }, null] }] }, sent))
]

const ports = (...list: readonly Json[]): Json => ({ containers: [{ name: 'c', ports: list }] })
/** What is left out of a key is what Go or the published default says. */
const defaults: readonly Question[] = [
  apply(pod(ports({ containerPort: 1, protocol: 'TCP' }), meta()), pod(ports({ containerPort: 1, name: 'p' }), sent), 'one', {
    force: true
  }),
  // One that stands twice is nobody's to merge with.
  apply(
    pod(ports({ containerPort: 1, name: 'p' }, { containerPort: 1, hostPort: 5 }), meta()),
    pod(ports({ containerPort: 1, protocol: 'TCP' }), sent),
    'one',
    { force: true }
  ),
  apply(pod({ containers: [{ name: 'c' }], imagePullSecrets: [{}] }, meta()), pod({ imagePullSecrets: [{}, { name: 'a' }] }, sent), 'one'),
  update(
    pod({ containers: [{ name: 'c' }], imagePullSecrets: [{}] }, owned({ 'f:spec': { 'f:imagePullSecrets': { 'k:{"name":""}': {} } } })),
    pod({ containers: [{ name: 'c' }], imagePullSecrets: [{ name: 'a' }] }, meta()),
    'two'
  ),
  update(
    replicas(1, meta({ managedFields: [MAIN] }), {}),
    replicas(1, meta({ managedFields: [{ ...MAIN, manager: 'forged' }] }), { replicas: 1 }),
    'two',
    throughStatus
  )
]

const strategic = (live: Json, given: Json): Question => ({
  op: 'strategic',
  apiVersion: live['apiVersion'] as string,
  kind: live['kind'] as string,
  live,
  given
})
const named = (names: readonly string[], more: Json = {}): readonly Json[] => names.map((name) => ({ name, ...more }))
const letters = (count: number): readonly string[] => Array.from({ length: count }, (_, n) => `n${n}`)
const directives: readonly Question[] = [
  strategic(pod({ containers: named(['a', 'b'], { image: 'i' }) }, meta()), {
    spec: { containers: [{ name: 'c' }, { $patch: 'replace' }, { name: 'a' }] }
  }),
  // Lists of more than some dozen items are put in order another way.
  strategic(pod({ containers: named(letters(30)) }, meta()), { spec: { containers: named(letters(30).toReversed(), { image: 'i' }) } }),
  strategic(pod({ containers: named(letters(30)) }, meta()), {
    spec: { '$setElementOrder/containers': named(['n20', 'n3', 'n25']), containers: named(['n3'], { image: 'i' }) }
  }),
  strategic(pod({ containers: named(['a', 'b']), securityContext: { runAsUser: 1 } }, meta()), {
    spec: {
      securityContext: { $patch: 'replace', runAsGroup: 2 },
      volumes: [
        { name: 'v', $patch: 'delete' },
        { name: 'w', emptyDir: {} }
      ]
    }
  }),
  strategic(pod({ containers: named(['a']) }, meta()), {
    spec: {
      securityContext: { $patch: 'delete' },
      affinity: { nodeAffinity: { $patch: 'replace', a: 1 } },
      nodeSelector: { a: null, b: '1' }
    }
  }),
  strategic(pod({ containers: named(['a', 'b', 'c', 'd']) }, meta()), {
    spec: {
      '$setElementOrder/containers': named(['d', 'x', 'a']),
      containers: [...named(['x'], { image: 'i' }), { name: 'b', $patch: 'delete' }]
    }
  }),
  strategic(configMap({ x: '1' }, meta({ finalizers: ['a/a', 'a/b', 'a/c'] })), {
    metadata: {
      finalizers: ['a/d', 'a/b'],
      '$setElementOrder/finalizers': ['a/d', 'a/c', 'a/b'],
      '$deleteFromPrimitiveList/finalizers': ['a/a']
    }
  }),
  strategic(deployment({ strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1 } } }, meta()), {
    spec: { strategy: { $retainKeys: ['type'], type: 'Recreate' } }
  }),
  strategic(deployment({ selector: { matchLabels: { a: '1' } } }, meta()), { spec: { selector: { matchLabels: { b: '1' } } } })
]

export const CORNERS: readonly Question[] = [...defaults, ...directives, ...twice, ...goingOver, ...orders, ...crowds, ...halves, ...parts]
