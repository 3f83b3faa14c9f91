/** Which parts of the log each NATS user may follow, by the names they ask for. Plain functions. */
import { encodeToken } from '#events/Subject.ts'

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
  // No Secret passes by the scheduler.
  scheduler: { events: ['EVENTS', resource('', 'pods'), resource('', 'nodes'), resource('', 'namespaces')], notices: ['NOTICES'] },
  // PULSE holds the agents' pulses as well, which are no objects.
  'controller-manager': { events: ['EVENTS'], notices: ['NOTICES'], pulse: ['PULSE', 'pulse.object.>'] },
  endpoints: { services: ['EVENTS', resource('', 'services')], endpointslices: ['EVENTS', resource('discovery.k8s.io', 'endpointslices')] }
}

/** Streams the administrator reads whole. */
const WHOLE: ReadonlySet<string> = new Set(['EVENTS', 'NOTICES', 'PULSE', 'AUDIT'])

/** The part of that name, or undefined when the user has none. `user` is a subject token. */
export const partOf = (user: string, name: string): Part | undefined => {
  const consumer = `${user}-${name}`
  if (user.startsWith('node-')) return name === 'bindings' ? { stream: 'BINDINGS', consumer, filters: [`bind.${user.slice('node-'.length)}.>`] } : undefined
  const parts = /^(kube-proxy|dns)-/.test(user) ? PARTS['endpoints'] : PARTS[user]
  const found = parts !== undefined && Object.hasOwn(parts, name) ? parts[name] : undefined
  if (found === undefined) return undefined
  const [stream, ...filters] = found
  return { stream, consumer, filters }
}

/** Whole streams, any filter and cursors are the administrator's alone. */
export const mayFollowWhole = (user: string, name: string): boolean => user === 'admin' && WHOLE.has(name)
