/** Which parts of the log each NATS user may follow, by the names they ask for. Plain functions. */
import { LEASES } from '#events/collections.ts'
import { LEASE_NAMESPACE, markerKey } from '#events/coordination/term.ts'
import { consumerOf } from '#events/Follow.ts'
import { encodeToken, subjectOf, subjectsOf } from '#events/Subject.ts'

export interface Part {
  readonly stream: string
  /** The consumer's name: the user's permissions name it too (`ops/nats/users.ts`). */
  readonly consumer: string
  /** Empty: the whole stream. */
  readonly filters: readonly string[]
}

/** Every object of a resource. */
const resource = (group: string, name: string): string => `ev.${group === '' ? 'core' : encodeToken(group)}.${name}.>`

const PARTS: Readonly<Record<string, Readonly<Record<string, readonly [stream: string, ...filters: string[]]>>>> = {
  // No Secret passes by the scheduler. Of Leases it needs those of components, its own among them, and of ConfigMaps where its term began.
  scheduler: {
    events: [
      'EVENTS',
      resource('', 'pods'),
      resource('', 'nodes'),
      resource('', 'namespaces'),
      subjectOf('EVENTS', markerKey('kube-scheduler'))
    ],
    notices: ['NOTICES'],
    leases: ['PULSE', subjectsOf('PULSE', LEASES, LEASE_NAMESPACE)]
  },
  // PULSE holds the agents' pulses as well, which are no objects.
  'controller-manager': { events: ['EVENTS'], notices: ['NOTICES'], pulse: ['PULSE', 'pulse.object.>'] },
  endpoints: { services: ['EVENTS', resource('', 'services')], endpointslices: ['EVENTS', resource('discovery.k8s.io', 'endpointslices')] }
}

/** Streams the administrator reads whole. */
const WHOLE: ReadonlySet<string> = new Set(['EVENTS', 'NOTICES', 'PULSE', 'AUDIT'])

/** The part of that name, or undefined when the user has none. `user` is a subject token. */
export const partOf = (user: string, name: string, replica = 0): Part | undefined => {
  const consumer = consumerOf(user, name, replica)
  if (user.startsWith('node-'))
    return name === 'bindings' ? { stream: 'BINDINGS', consumer, filters: [`bind.${user.slice('node-'.length)}.>`] } : undefined
  const parts = /^(kube-proxy|dns)-/.test(user) ? PARTS['endpoints'] : PARTS[user]
  const found = parts !== undefined && Object.hasOwn(parts, name) ? parts[name] : undefined
  if (found === undefined) return undefined
  const [stream, ...filters] = found
  return { stream, consumer, filters }
}

/** Whole streams, any filter and cursors are the administrator's alone. */
export const mayFollowWhole = (user: string, name: string): boolean => user === 'admin' && WHOLE.has(name)
