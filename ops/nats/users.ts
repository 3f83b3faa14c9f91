/**
 * Who may do what at the NATS door, as data. Every component has a user of its own, known by an nkey that the operator's
 * key vouches for; there is no anonymous one. A user's identity towards the API server is the token of `intent.<user>`, which nobody else
 * may publish.
 *
 * The streams live in one account, the log's, which only the API server and the keeper may enter. Every other user is
 * alone in an account of its own and reaches single subjects of the log's account by import. Permissions within one account
 * would not do: whoever may ask JetStream for anything may name any subject for its answer, and whoever may make a
 * consumer may have stored bytes pushed to any subject; in the log's account that would write events.
 */
import { consumerOf, REPLICAS } from '#events/Follow.ts'
import { encodeToken } from '#events/Subject.ts'

/** The account the streams live in. */
export const LOG_ACCOUNT = 'LOG'

interface Permissions {
  readonly publish: readonly string[]
  readonly subscribe: readonly string[]
  /** May answer requests it receives on whatever inbox they name. */
  readonly responds: boolean
}

export interface NatsUser extends Permissions {
  readonly name: string
  readonly account: string
  /** Reached in the log's account; answers come back into the user's own. */
  readonly asks: readonly string[]
  /** Subjects the user serves for the API server. */
  readonly serves: readonly string[]
  /** What the user says and the API server hears, and the other way round; nobody answers. */
  readonly tells: readonly string[]
  readonly hears: readonly string[]
}

const INBOX = '_INBOX_'

/** The prefix to connect with: a user can listen on its own inbox only. */
export const inboxPrefix = (user: string): string => `${INBOX}${user}`

const STREAMS = ['EVENTS', 'BASE', 'NOTICES', 'PULSE', 'REPORTS', 'BINDINGS', 'KEYS', 'AUDIT', 'OBJ_keyframes']

/** Reading a whole stream: any consumer, any filter; creating, using and deleting them. */
const reads = (stream: string): string[] => [
  `$JS.API.STREAM.INFO.${stream}`,
  `$JS.API.CONSUMER.CREATE.${stream}`,
  `$JS.API.CONSUMER.CREATE.${stream}.>`,
  `$JS.API.CONSUMER.DURABLE.CREATE.${stream}.>`,
  `$JS.API.CONSUMER.INFO.${stream}.*`,
  `$JS.API.CONSUMER.MSG.NEXT.${stream}.*`,
  `$JS.API.CONSUMER.DELETE.${stream}.*`,
  `$JS.API.STREAM.MSG.GET.${stream}`,
  `$JS.API.DIRECT.GET.${stream}`,
  `$JS.API.DIRECT.GET.${stream}.>`
]

const trusted = (name: string, publish: readonly string[], subscribe: readonly string[] = []): NatsUser => ({
  name,
  account: LOG_ACCOUNT,
  publish: ['$JS.API.INFO', ...publish],
  subscribe: [`${inboxPrefix(name)}.>`, ...subscribe],
  responds: subscribe.length > 0,
  asks: [],
  serves: [],
  tells: [],
  hears: []
})

/** Decides: the only writer of events while the cluster works. It may not touch the streams themselves. */
const apiserver = trusted(
  'apiserver',
  [
    'ev.>',
    'notice.>',
    'pulse.object.>',
    'bind.>',
    'audit.>',
    'key.>',
    // A key that has to go is overwritten on disk; nothing else of the log can be.
    '$JS.API.STREAM.MSG.DELETE.KEYS',
    // Keyframes are put, and taken away by a message that rolls up its subject; their stream can not be purged.
    '$O.keyframes.>',
    '$JS.FC.OBJ_keyframes.>',
    'node.>',
    'stream.*.*.down',
    // Reports are worked off one by one and acknowledged: a durable consumer remembers how far.
    '$JS.ACK.REPORTS.>',
    // A node that fills the stream loses what is its own.
    '$JS.API.STREAM.PURGE.REPORTS',
    ...STREAMS.flatMap(reads)
  ],
  ['intent.>', 'follow.>', 'gone.>', 'self.*', 'erase.*', 'pulse.node.*', 'stream.*.*.up']
)

/**
 * Keeps the streams: makes them, changes their settings, fills what was accepted as lost, compacts, backs up, restores. Used
 * at a start, by `reckon log` and `reckon backup`, and while the cluster works by nothing else.
 */
const keeper = trusted('keeper', [
  'ev.>',
  'base.>',
  'notice.>',
  'pulse.object.>',
  'audit.>',
  'key.>',
  '$JS.API.STREAM.NAMES',
  // Cursors are backed up too.
  '$JS.API.CONSUMER.LIST.EVENTS',
  ...STREAMS.flatMap((stream) => [
    `$JS.API.STREAM.CREATE.${stream}`,
    `$JS.API.STREAM.UPDATE.${stream}`,
    `$JS.API.STREAM.PURGE.${stream}`,
    ...reads(stream)
  ])
])

interface Component {
  readonly asks?: readonly string[]
  readonly serves?: readonly string[]
  readonly tells?: readonly string[]
  readonly hears?: readonly string[]
}

const component = (name: string, { asks = [], serves = [], tells = [], hears = [] }: Component): NatsUser => ({
  name,
  account: name,
  publish: [...asks, ...tells],
  subscribe: [`${inboxPrefix(name)}.>`, ...serves, ...hears],
  responds: serves.length > 0,
  asks,
  serves,
  tells,
  hears
})

/** Of components that stand by for each other there may be several processes. */
const consumersOf = (name: string, part: string): string[] =>
  name === 'scheduler' || name === 'controller-manager'
    ? Array.from({ length: REPLICAS }, (_, replica) => consumerOf(name, part, replica))
    : [consumerOf(name, part)]

/** Fetching from the consumers that the API server makes for the user's parts (`services/apiserver/door/parts.ts`). */
const fetches = (name: string, parts: readonly (readonly [stream: string, part: string])[]): readonly string[] => [
  `follow.${name}`,
  // What was kept of events that were compacted is read in the same parts.
  ...parts.flatMap(([stream, part]) =>
    (stream === 'EVENTS' ? [stream, 'BASE'] : [stream]).flatMap((source) =>
      consumersOf(name, part).map((consumer) => `$JS.API.CONSUMER.MSG.NEXT.${source}.${consumer}`)
    )
  )
]

const scheduler = (name: string): NatsUser =>
  component(name, {
    asks: [
      `intent.${name}`,
      ...fetches(name, [
        ['EVENTS', 'events'],
        ['NOTICES', 'notices'],
        ['PULSE', 'leases']
      ])
    ]
  })

const controllerManager = (name: string): NatsUser =>
  component(name, {
    asks: [
      `intent.${name}`,
      ...fetches(name, [
        ['EVENTS', 'events'],
        ['NOTICES', 'notices'],
        ['PULSE', 'pulse']
      ])
    ]
  })

/** The person's command line: reads every object, follows what it names. Acknowledgements move the cursors of `reckon follow`. */
const admin = component('admin', {
  asks: [
    'intent.admin',
    'follow.admin',
    'erase.admin',
    '$JS.ACK.EVENTS.>',
    ...['EVENTS', 'BASE', 'NOTICES', 'PULSE', 'AUDIT'].flatMap((stream) => [
      `$JS.API.CONSUMER.MSG.NEXT.${stream}.*`,
      `$JS.API.DIRECT.GET.${stream}`,
      `$JS.API.DIRECT.GET.${stream}.>`
    ])
  ]
})

/** An agent: what its own node must run, and what it sees there. It never sees EVENTS. */
const agent = (node: string): NatsUser => {
  const token = encodeToken(node)
  const name = `node-${token}`
  return component(name, {
    asks: [
      `intent.${name}`,
      ...fetches(name, [['BINDINGS', 'bindings']]),
      `gone.${name}`,
      `self.${name}`,
      `report.${token}.>`,
      `pulse.node.${token}`
    ],
    serves: [`node.${token}.>`],
    tells: [`stream.${token}.*.up`],
    hears: [`stream.${token}.*.down`]
  })
}

/** A reader of Services and EndpointSlices and of nothing else: no Secret passes by it. */
const endpointReader = (kind: 'kube-proxy' | 'dns', node: string): NatsUser => {
  const name = `${kind}-${encodeToken(node)}`
  return component(name, {
    asks: fetches(name, [
      ['EVENTS', 'services'],
      ['EVENTS', 'endpointslices']
    ])
  })
}

/** The users of one node. */
export const nodeUsers = (node: string): NatsUser[] => [agent(node), endpointReader('kube-proxy', node), endpointReader('dns', node)]

/** Every user of a cluster with these nodes. */
export const natsUsers = (nodes: readonly string[]): NatsUser[] => [
  apiserver,
  keeper,
  scheduler('scheduler'),
  controllerManager('controller-manager'),
  admin,
  ...nodes.flatMap(nodeUsers)
]

/** Hands accounts to nats-server and takes them away, in an account that reaches nothing else. */
export const ACCOUNTANT = {
  name: 'accountant',
  publish: ['$SYS.REQ.CLAIMS.UPDATE', '$SYS.REQ.CLAIMS.DELETE', '$SYS.REQ.CLAIMS.PACK'],
  subscribe: [`${inboxPrefix('accountant')}.>`],
  responds: false
} as const
