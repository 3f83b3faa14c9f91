/**
 * What a home is configured with, checked where it is read. `config.json` is the cluster's: the same on every machine. `node.json`
 * is this machine's own. Before there were two, all of it stood in `config.json`.
 */
import * as Cause from 'effect/Cause'
import * as Exit from 'effect/Exit'
import * as Schema from 'effect/Schema'
import * as SchemaIssue from 'effect/SchemaIssue'
import { bitsOf, overlap, parseCIDR, prefixLength } from '#events/meta/cidr.ts'
import { isHost, isWithin, parseIP, parseNetwork, type Family, type Network } from '#events/meta/ip.ts'

const text = (pattern: RegExp, expected: string) => Schema.String.pipe(Schema.check(Schema.isPattern(pattern, { expected })))
const PORT = { expected: 'a port, 1 to 65535' }
const port = Schema.Number.pipe(Schema.check(Schema.isInt(PORT), Schema.isBetween({ minimum: 1, maximum: 65535 }, PORT)))
const own = (check: (value: string) => boolean, expected: string) =>
  Schema.String.pipe(Schema.check(Schema.makeFilter((value: string) => check(value), { expected })))
const network = own((value) => parseNetwork(value) !== undefined, 'a network: 10.244.0.0/16 or fd00:10:244::/56')
const networks = own(
  (value) => clusterCIDRsOf({ podCIDR: value }).every((one) => parseNetwork(one) !== undefined),
  'a network, or one of each address family with a comma between'
)
const address = own((value) => parseIP(value) !== undefined, 'an IP address')
const mask = Schema.Number.pipe(Schema.check(Schema.isInt({ expected: 'a number of bits' })))
const count = { expected: 'a number of events, 100 or more' }
const events = Schema.Number.pipe(Schema.check(Schema.isInt(count), Schema.isBetween({ minimum: 100, maximum: 1_000_000_000 }, count)))
const url = text(/^(nats|tls):\/\/(\[[0-9a-fA-F:.]+\]|[^\s:/[\]]+):\d{1,5}$/, 'tls://HOST:PORT')
/** Checked where it is used, with what it may be. */
const elsewhere = Schema.optionalKey(Schema.Unknown)

const Settings = Schema.Struct({
  keepDeletedSecrets: elsewhere,
  podSecurity: elsewhere,
  keepHistory: elsewhere,
  backup: elsewhere,
  components: elsewhere,
  disk: elsewhere,
  leaderElection: elsewhere,
  scrub: elsewhere,
  keyframes: Schema.optionalKey(Schema.Struct({ every: Schema.optionalKey(events) })),
  nodeCIDRMaskSize: Schema.optionalKey(Schema.Struct({ ipv4: Schema.optionalKey(mask), ipv6: Schema.optionalKey(mask) })),
  nats: Schema.optionalKey(
    Schema.Struct({
      listen: Schema.optionalKey(address),
      names: Schema.optionalKey(Schema.Array(text(/^[^\s/]+$/, 'a host name or an IP address')))
    })
  )
})

const Cluster = Schema.Struct({
  name: Schema.String,
  instance: text(/^[a-z0-9]{5}$/, 'five lowercase letters or digits'),
  apiPort: port,
  natsPort: port,
  podCIDR: networks,
  serviceCIDR: network,
  clusterDNS: address,
  clusterDomain: text(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/, 'a DNS name'),
  nodePortRange: text(/^\d{1,5}-\d{1,5}$/, 'FIRST-LAST'),
  settings: Schema.optionalKey(Settings)
})

const Node = Schema.Struct({
  nodeName: text(/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/, "a node name: lowercase letters, digits, '-' and '.'"),
  nodePodCIDR: Schema.optionalKey(Schema.Union([network, Schema.Literal('')])),
  bridge: text(/^[^\s/]{1,15}$/, 'the name of an interface'),
  natsURLs: Schema.optionalKey(Schema.Array(url).pipe(Schema.check(Schema.isMinLength(1, { expected: 'at least one' })))),
  caPin: Schema.optionalKey(text(/^sha256:[0-9a-f]{64}$/, 'sha256: and 64 hexadecimal digits'))
})

const NODE_FIELDS = Object.keys(Node.fields)

type Fields = Readonly<Record<string, unknown>>

const pick = (from: Fields, names: readonly string[]): Fields =>
  Object.fromEntries(Object.entries(from).filter(([name]) => names.includes(name)))

export interface Configuration {
  /** What `config.json` holds, as it is written. */
  readonly cluster: Fields
  /** What `node.json` holds. */
  readonly node: Fields
}

/** What of a configuration belongs where. Anything that is in neither stays in the cluster's, to be complained of. */
export const apart = (whole: Fields): Configuration => ({
  cluster: Object.fromEntries(Object.entries(whole).filter(([name]) => !NODE_FIELDS.includes(name))),
  node: pick(whole, NODE_FIELDS)
})

const options = { errors: 'all', onExcessProperty: 'error' } as const
const decodeCluster = Schema.decodeUnknownExit(Cluster, options)
const decodeNode = Schema.decodeUnknownExit(Node, options)
const format = SchemaIssue.makeFormatterStandardSchemaV1()

/** `settings.nats.listen: "x" can't be used: expected an IP address`: one line for each fault. */
const faultsIn = (exit: Exit.Exit<unknown, Schema.SchemaError>, given: unknown): readonly string[] => {
  if (Exit.isSuccess(exit)) return []
  const error = Cause.squash(exit.cause)
  if (!Schema.isSchemaError(error)) return [String(error)]
  return format(error.issue).issues.map(({ path = [], message }) => {
    const names = path.map((part) => (typeof part === 'object' ? part.key : part))
    const field = names.map((name, at) => (typeof name === 'number' ? `[${name}]` : `${at === 0 ? '' : '.'}${String(name)}`)).join('')
    if (message === 'Missing key') return `${field}: is missing`
    if (message.includes('excess property')) return `${field}: there is no such field`
    const value = names.reduce<unknown>((inner, name) => (inner as Record<PropertyKey, unknown> | undefined)?.[name as string], given)
    return `${field}: ${JSON.stringify(value)} can't be used: ${message.charAt(0).toLowerCase()}${message.slice(1)}`
  })
}

const unusable = (field: string, value: unknown, expected: string): string =>
  `${field}: ${JSON.stringify(value)} can't be used: ${expected}`

interface Faults {
  readonly cluster: readonly string[]
  readonly node: readonly string[]
}

/** What does not go together, once each field is what it must be. */
const together = (cluster: typeof Cluster.Type, { nodePodCIDR = '' }: Partial<typeof Node.Type>): Faults => {
  const { podCIDR, serviceCIDR, clusterDNS, settings } = cluster
  const pods = clusterCIDRsOf({ podCIDR }).map((one) => parseNetwork(one) as Network)
  const services = parseNetwork(serviceCIDR) as Network
  const dns = parseIP(clusterDNS)
  const sizes = maskSizesOf({ settings })
  const faults: string[] = []
  if (pods.length > 2 || (pods.length === 2 && pods[0]?.family === pods[1]?.family)) {
    faults.push(unusable('podCIDR', podCIDR, 'expected at most one network of each address family'))
  }
  if (pods.some((one) => overlap(one, services)))
    faults.push(unusable('serviceCIDR', serviceCIDR, `it has addresses of pods (podCIDR ${podCIDR})`))
  if (dns !== undefined && !isHost(dns, services))
    faults.push(unusable('clusterDNS', clusterDNS, `expected an address in serviceCIDR ${serviceCIDR}`))
  for (const one of pods) {
    const [size, least, most] = [sizes[one.family], prefixLength(one), bitsOf(one.family) - 3]
    const expected = `expected ${least} to ${most}, parts of ${one.text} with room for pods`
    if (size < least || size > most) faults.push(unusable(`settings.nodeCIDRMaskSize.${one.family.toLowerCase()}`, size, expected))
  }
  const own = parseCIDR(nodePodCIDR)
  const whole = pods.find(
    (one) => own !== undefined && isWithin({ family: own.family, value: own.base }, one) && prefixLength(own) >= prefixLength(one)
  )
  return {
    cluster: faults,
    node: own === undefined || whole !== undefined ? [] : [unusable('nodePodCIDR', nodePodCIDR, `expected a part of podCIDR ${podCIDR}`)]
  }
}

/** What is wrong with either, field by field; nothing when both can be used. */
export const faultsOf = ({ cluster, node }: Configuration): Faults => {
  const [one, other] = [decodeCluster(cluster), decodeNode(node)]
  if (Exit.isSuccess(one) && Exit.isSuccess(other)) return together(one.value, other.value)
  return { cluster: faultsIn(one, cluster), node: faultsIn(other, node) }
}

interface Ranges {
  readonly podCIDR: string
}

export const clusterCIDRsOf = ({ podCIDR }: Ranges): readonly string[] => podCIDR.split(',').map((cidr) => cidr.trim())

interface Sized {
  readonly settings?:
    { readonly nodeCIDRMaskSize?: { readonly ipv4?: number | undefined; readonly ipv6?: number | undefined } | undefined } | undefined
}

export const maskSizesOf = ({ settings }: Sized): Readonly<Record<Family, number>> => ({
  IPv4: settings?.nodeCIDRMaskSize?.ipv4 ?? 24,
  IPv6: settings?.nodeCIDRMaskSize?.ipv6 ?? 64
})
