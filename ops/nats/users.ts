/**
 * Who may do what at the NATS door, as data. Every component has a user of its own, known by an nkey; there is no
 * anonymous one. A user's identity towards the API server is the token of `intent.<user>`, which nobody else may publish.
 */
import { encodeToken } from '#events/Subject.ts'

export interface NatsUser {
  readonly name: string
  readonly publish: readonly string[]
  readonly subscribe: readonly string[]
  /** May answer requests it receives on whatever inbox they name. */
  readonly responds: boolean
}

export const INBOX = '_INBOX_'

/** The prefix to connect with: a user can listen on its own inbox only. */
export const inboxPrefix = (user: string): string => `${INBOX}${user}`

const STREAMS = ['EVENTS', 'NOTICES', 'PULSE', 'REPORTS', 'BINDINGS', 'AUDIT']

/** Reading a whole stream: any consumer, any filter; creating, using and deleting them. */
const reads = (stream: string): string[] => [
  `$JS.API.STREAM.INFO.${stream}`,
  `$JS.API.CONSUMER.CREATE.${stream}`,
  `$JS.API.CONSUMER.CREATE.${stream}.>`,
  `$JS.API.CONSUMER.INFO.${stream}.*`,
  `$JS.API.CONSUMER.MSG.NEXT.${stream}.*`,
  `$JS.API.CONSUMER.DELETE.${stream}.*`,
  `$JS.API.STREAM.MSG.GET.${stream}`,
  `$JS.API.DIRECT.GET.${stream}`,
  `$JS.API.DIRECT.GET.${stream}.>`
]

/** Reading a part of a stream, through one consumer of a fixed name and filter. */
const readsOnly = (stream: string, consumer: string, filter: string): string[] => [
  `$JS.API.STREAM.INFO.${stream}`,
  `$JS.API.CONSUMER.CREATE.${stream}.${consumer}.${filter}`,
  `$JS.API.CONSUMER.INFO.${stream}.${consumer}`,
  `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`,
  `$JS.API.CONSUMER.DELETE.${stream}.${consumer}`
]

const user = (name: string, publish: readonly string[], more: { subscribe?: readonly string[]; responds?: boolean } = {}): NatsUser => ({
  name,
  publish: ['$JS.API.INFO', ...publish],
  subscribe: [`${inboxPrefix(name)}.>`, ...(more.subscribe ?? [])],
  responds: more.responds ?? false
})

const apiserver = user(
  'apiserver',
  [
    'ev.>',
    'notice.>',
    'pulse.object.>',
    'pulse.lease.>',
    'bind.>',
    'audit.>',
    'node.>',
    'stream.>',
    '$JS.API.STREAM.NAMES',
    // Reports are worked off one by one and acknowledged: a durable consumer remembers how far.
    '$JS.API.CONSUMER.DURABLE.CREATE.REPORTS.>',
    '$JS.ACK.REPORTS.>',
    ...STREAMS.flatMap((stream) => [`$JS.API.STREAM.CREATE.${stream}`, `$JS.API.STREAM.UPDATE.${stream}`, ...reads(stream)])
  ],
  { subscribe: ['intent.>', 'pulse.node.*', 'stream.>'], responds: true }
)

/** A component of the control plane: sees every object, asks for changes. */
const controller = (name: string): NatsUser => user(name, [`intent.${name}`, ...reads('EVENTS'), ...reads('PULSE'), ...reads('NOTICES')])

/** The person's command line. Durable consumers on EVENTS are the cursors of `reckon follow`. */
const admin = user('admin', [
  'intent.admin',
  ...reads('EVENTS'),
  ...reads('NOTICES'),
  ...reads('PULSE'),
  '$JS.API.CONSUMER.DURABLE.CREATE.EVENTS.>',
  '$JS.API.CONSUMER.LIST.EVENTS',
  '$JS.API.CONSUMER.NAMES.EVENTS',
  '$JS.ACK.EVENTS.>'
])

/** An agent: what its own node must run, and what it sees there. It never sees EVENTS. */
const agent = (node: string): NatsUser => {
  const token = encodeToken(node)
  const name = `node-${token}`
  return user(
    name,
    [
      `intent.${name}`,
      `report.${token}.>`,
      `pulse.node.${token}`,
      `stream.${token}.>`,
      ...readsOnly('BINDINGS', name, `bind.${token}.>`)
    ],
    { subscribe: [`node.${token}.>`, `stream.${token}.>`], responds: true }
  )
}

/** A reader of Services and EndpointSlices and of nothing else: no Secret passes by it. */
const endpointReader = (component: 'kube-proxy' | 'dns', node: string): NatsUser => {
  const name = `${component}-${encodeToken(node)}`
  return user(name, [
    ...readsOnly('EVENTS', `${name}-services`, SERVICES),
    ...readsOnly('EVENTS', `${name}-endpointslices`, ENDPOINT_SLICES)
  ])
}

export const SERVICES = 'ev.core.services.>'
export const ENDPOINT_SLICES = `ev.${encodeToken('discovery.k8s.io')}.endpointslices.>`

/** Every user of a cluster with these nodes. */
export const natsUsers = (nodes: readonly string[]): NatsUser[] => [
  apiserver,
  controller('scheduler'),
  controller('controller-manager'),
  admin,
  ...nodes.flatMap((node) => [agent(node), endpointReader('kube-proxy', node), endpointReader('dns', node)])
]
