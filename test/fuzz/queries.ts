/** What requests say besides their bodies: query parameters and headers, mostly as people mean them. */
import fc from 'fast-check'

export type Headers = Readonly<Record<string, string | readonly string[]>>

const BOOLEANS = [
  ['true', 'false', '1', '0'],
  ['', 'x', 'TRUE']
] as const
const BAD_NUMBERS = ['-1', '', 'x', '1e3', '1.5', '99999999999999999999', '9007199254740993', ' 1', '+1', '0x1', 'NaN']
const token = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

/** By parameter: what people say, and what nobody should. */
export const QUERY: Readonly<Record<string, readonly [good: readonly string[], bad: readonly string[]]>> = {
  dryRun: [['All'], ['', 'all', 'None']],
  fieldManager: [
    ['fuzz', 'kubectl', 'x'.repeat(128)],
    ['x'.repeat(129), 'a\nb', 'ä', '\u0000', '\u200b']
  ],
  fieldValidation: [['Strict', 'Warn', 'Ignore', ''], ['x']],
  force: BOOLEANS,
  gracePeriodSeconds: [['0', '1', '30'], BAD_NUMBERS],
  propagationPolicy: [
    ['Background', 'Foreground', 'Orphan'],
    ['x', '']
  ],
  orphanDependents: BOOLEANS,
  labelSelector: [
    ['app=web', 'app in (web,db)', '!tier', 'tier notin (x)', 'version>1', 'app', ''],
    [
      'a=',
      '=',
      'app in (',
      '(',
      ',,',
      'x y',
      'a==b=c',
      `${'a'.repeat(300)}=b`,
      'ä=b',
      '\u0000',
      'in in (in)',
      `a in (${'b,'.repeat(3_000)})`
    ]
  ],
  fieldSelector: [
    ['metadata.name=web', 'metadata.namespace!=default', 'metadata.name=a,metadata.namespace=fuzz'],
    ['spec.nodeName=n1', 'status.phase=Running', 'type=Opaque', 'nope=1', '=', 'metadata.name', 'a=b=c', 'metadata.name=a\\,b', ',']
  ],
  limit: [['0', '1', '2', '100'], BAD_NUMBERS],
  continue: [
    ['', token({ v: 20, k: 'default/a', t: Date.UTC(2100, 0) })],
    [
      'x',
      token({ v: 1, k: 'default/a', t: 1 }),
      token({ v: -1, k: 5, t: 'x' }),
      token(null),
      token([]),
      token({ v: 1e300, k: 'a', t: 1e300 })
    ]
  ],
  resourceVersion: [
    ['', '0', '1', '20'],
    ['-1', 'x', '18446744073709551616', '1.5']
  ],
  resourceVersionMatch: [[''], ['Exact', 'NotOlderThan', 'x']],
  sendInitialEvents: BOOLEANS,
  allowWatchBookmarks: BOOLEANS,
  timeoutSeconds: [
    ['0', '1'],
    ['', '-1', 'x', '1e9', '99999999999', '2147483648']
  ],
  watch: BOOLEANS,
  pretty: BOOLEANS,
  includeObject: [['None', 'Metadata', 'Object'], ['x']],
  container: [['web'], ['x', '']],
  tailLines: [['1', '10'], BAD_NUMBERS],
  sinceSeconds: [['1', '10'], BAD_NUMBERS],
  limitBytes: [['1', '1000'], BAD_NUMBERS],
  sinceTime: [['2030-01-01T00:00:00Z'], ['x', '']],
  previous: BOOLEANS,
  follow: BOOLEANS,
  command: [
    ['ls', '-la'],
    ['', '\u0000', 'x'.repeat(2_000)]
  ],
  stdin: BOOLEANS,
  stdout: BOOLEANS,
  stderr: BOOLEANS,
  tty: BOOLEANS
}

/** Parameters of subresources that the document does not list. */
const UNLISTED: Readonly<Record<string, readonly string[]>> = {
  log: ['container', 'tailLines', 'sinceSeconds', 'limitBytes', 'sinceTime', 'previous', 'follow'],
  exec: ['command', 'stdin', 'stdout', 'stderr', 'tty', 'container'],
  attach: ['stdin', 'stdout', 'stderr', 'tty', 'container']
}

export type Query = readonly (readonly [key: string, value: string])[]

/** Parameters of an operation, a few at a time; seldom ones it does not know. `names`: those it lists. */
export const queryOf = (names: readonly string[], subresource: string): fc.Arbitrary<Query> => {
  const parameter = (from: readonly string[]): fc.Arbitrary<readonly [string, string]> =>
    fc.constantFrom(...from).chain((key) => {
      const [good, bad] = QUERY[key] ?? [['x'], ['x']]
      return fc
        .oneof({ weight: 6, arbitrary: fc.constantFrom(...good) }, { weight: 1, arbitrary: fc.constantFrom(...bad) })
        .map((value) => [key, value] as const)
    })
  const own = (UNLISTED[subresource] ?? names).filter((key) => key in QUERY)
  const few = fc.array(parameter(own.length === 0 ? ['pretty'] : own), { maxLength: 2 })
  return fc.oneof(
    { weight: 8, arbitrary: few },
    { weight: 2, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(parameter(Object.keys(QUERY)), { maxLength: 4 }) }
  )
}

const ACCEPTS = [
  'application/json',
  '*/*',
  'application/json;as=Table;v=v1;g=meta.k8s.io',
  'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json',
  'application/vnd.kubernetes.protobuf',
  'text/html',
  '',
  ',,;;',
  'application/json;as=x',
  'application/yaml'
]
const AGENTS = ['kubectl/v1.36.0 (linux/amd64)', 'curl/8', '', '/', 'x'.repeat(500), 'ä/1', '\u00a0/1']

export const headers: fc.Arbitrary<Headers> = fc.record(
  {
    accept: fc.oneof(
      { weight: 6, arbitrary: fc.constantFrom('application/json', '*/*') },
      { weight: 1, arbitrary: fc.constantFrom(...ACCEPTS) }
    ),
    'user-agent': fc.constantFrom(...AGENTS),
    'kubectl-command': fc.constantFrom('kubectl apply', 'x'.repeat(400), 'ü'),
    'accept-encoding': fc.constantFrom('gzip', 'br, gzip;q=0', 'x'),
    'if-none-match': fc.constantFrom('"x"', '*', ',')
  },
  { requiredKeys: [] }
)

/** Who asks: nearly always the administrator; else somebody with fewer rights, by impersonation or a token. */
export const identity: fc.Arbitrary<Headers> = fc.oneof(
  { weight: 30, arbitrary: fc.constant({}) },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Headers>(
      { 'impersonate-user': 'system:node:n1', 'impersonate-group': 'system:nodes' },
      { 'impersonate-user': 'ada' },
      { 'impersonate-group': ['a', 'b'] },
      { 'impersonate-user': 'system:serviceaccount:default:default' },
      { 'impersonate-user': 'system:serviceaccount:' },
      { 'impersonate-user': '' },
      { authorization: 'Bearer x' },
      { authorization: 'Bearer eyJhbGciOiJub25lIn0.e30.' },
      { authorization: 'Basic eDp5' },
      { authorization: 'Bearer' }
    )
  }
)

/** An upgrade as kubectl exec asks for one, or not quite. */
export const upgrade: fc.Arbitrary<Headers> = fc.oneof(
  { weight: 2, arbitrary: fc.constant({}) },
  {
    weight: 1,
    arbitrary: fc
      .record(
        {
          upgrade: fc.constantFrom('websocket', 'SPDY/3.1', 'x'),
          'sec-websocket-protocol': fc.constantFrom('v5.channel.k8s.io', 'x', ''),
          'sec-websocket-version': fc.constantFrom('13', '1', 'x'),
          'sec-websocket-key': fc.constantFrom('dGhlIHNhbXBsZSBub25jZQ==', 'x', ''),
          'x-stream-protocol-version': fc.constantFrom('v4.channel.k8s.io', 'x')
        },
        { requiredKeys: ['upgrade'] }
      )
      .map((given) => ({ connection: 'Upgrade', ...given }))
  }
)
