/**
 * A copy beside the cluster it is of has networks of its own, and what is in the log has addresses of the old ones: cluster
 * addresses and node ports of Services, pod ranges of Nodes. They are changed by events of the restore's own, each to the same
 * place in the new range. The API would refuse: they can't be changed in a cluster that goes on.
 */
import { randomUUID } from 'node:crypto'
import type { NatsConnection } from '@nats-io/transport-node'
import { decodeFacts, encodeEvent, objectOf, PREVIOUS_HEADER } from '#events/Event.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import type { LogEntry } from '#events/Log.ts'
import { parseCIDR } from '#events/meta/cidr.ts'
import { isWithin, parseIP, textOfIP } from '#events/meta/ip.ts'
import { clusterCIDRsOf } from '#ops/configuration.ts'
import type { ClusterConfig } from '#ops/home.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import type { Seal } from '#services/platform/ledger/Seal.ts'

const ADDRESSED = /^ev\.core\.(services|nodes)\./

/** The newest entry of each object that has addresses. */
export class Readdressing {
  readonly #wanted: boolean
  readonly #entries = new Map<string, LogEntry>()

  constructor(wanted: boolean) {
    this.#wanted = wanted
  }
  take(entry: LogEntry): void {
    if (!this.#wanted || !ADDRESSED.test(entry.subject) || entry.headers['reckon-lost'] === 'true') return
    if (entry.headers['reckon-deleted'] === 'true') this.#entries.delete(entry.subject)
    else this.#entries.set(entry.subject, entry)
  }
  objects(): readonly LogEntry[] {
    return [...this.#entries.values()]
  }
}

type Settings = Pick<ClusterConfig, 'serviceCIDR' | 'podCIDR' | 'nodePodCIDR' | 'nodePortRange'>

/** `10.96.3.4` of 10.96.0.0/16 in 10.97.0.0/16: `10.97.3.4`; a network likewise. Of a family the other has no network of, it stays. */
const moved = (text: string, from: string, to: string): string => {
  const [address = '', ...bits] = text.split('/')
  const ip = parseIP(address)
  const [old, next] = [from, to].map((cidrs) =>
    clusterCIDRsOf({ podCIDR: cidrs })
      .map(parseCIDR)
      .find((network) => network?.family === ip?.family)
  )
  if (ip === undefined || old === undefined || next === undefined || !isWithin(ip, old)) return text
  return [textOfIP({ family: ip.family, value: next.base + (ip.value - old.base) }), ...bits].join('/')
}

const portMoved = (port: number, from: string, to: string): number => {
  const [[low = 0, high = 0], [next = 0]] = [from, to].map((range) => range.split('-').map(Number)) as [number[], number[]]
  return port >= low && port <= high ? port - low + next : port
}

/** The object with the copy's addresses, or undefined when it has none of the old ones. Plain. */
export const withAddresses = (object: KubeObject, from: Settings, to: Settings): KubeObject | undefined => {
  const spec = structuredClone(object['spec'] ?? {}) as Record<string, unknown>
  if (object.kind === 'Service') {
    if (typeof spec['clusterIP'] === 'string') spec['clusterIP'] = moved(spec['clusterIP'], from.serviceCIDR, to.serviceCIDR)
    if (Array.isArray(spec['clusterIPs']))
      spec['clusterIPs'] = (spec['clusterIPs'] as string[]).map((ip) => moved(ip, from.serviceCIDR, to.serviceCIDR))
    for (const port of (spec['ports'] ?? []) as { nodePort?: number }[])
      if (port.nodePort) port.nodePort = portMoved(port.nodePort, from.nodePortRange, to.nodePortRange)
    if (typeof spec['healthCheckNodePort'] === 'number')
      spec['healthCheckNodePort'] = portMoved(spec['healthCheckNodePort'], from.nodePortRange, to.nodePortRange)
  }
  // Claims of the old addresses are given back, and those of the new ones made, when the copy's API server starts.
  if (object.kind === 'ServiceCIDR')
    spec['cidrs'] = ((spec['cidrs'] ?? []) as string[]).map((cidr) => moved(cidr, from.serviceCIDR, to.serviceCIDR))
  if (object.kind === 'Node') {
    if (typeof spec['podCIDR'] === 'string') spec['podCIDR'] = moved(spec['podCIDR'], from.podCIDR, to.podCIDR)
    if (Array.isArray(spec['podCIDRs']))
      spec['podCIDRs'] = (spec['podCIDRs'] as string[]).map((cidr) => moved(cidr, from.podCIDR, to.podCIDR))
  }
  return JSON.stringify(spec) === JSON.stringify(object['spec'] ?? {}) ? undefined : { ...object, spec }
}

/** Returns how many were changed. */
export const readdressed = async (
  nats: NatsConnection,
  seal: Seal,
  entries: readonly LogEntry[],
  from: Settings,
  to: Settings
): Promise<number> => {
  const log = new JetStreamLog(nats, 'EVENTS')
  const { first } = await log.state()
  let changed = 0
  for (const entry of entries) {
    const object = withAddresses(objectOf(entry), from, to)
    if (object === undefined) continue
    const id = randomUUID()
    const { key } = decodeFacts('EVENTS', entry)
    const event = {
      stream: 'EVENTS',
      key,
      id,
      type: `reckon.${object.kind.toLowerCase()}.updated.v1`,
      source: 'reckon',
      time: new Date().toISOString(),
      user: 'keeper',
      correlationId: id,
      verb: 'update',
      command: 'reckon restore --as-copy',
      deleted: false,
      object,
      expected: entry.sequence
    } as const
    const { headers, text } = encodeEvent(event)
    const kept = entry.sequence < first
    await log.append([
      seal.seal(
        'EVENTS',
        {
          subject: entry.subject,
          headers: kept ? { ...headers, [PREVIOUS_HEADER]: String(entry.sequence) } : headers,
          text,
          expected: kept ? 0 : entry.sequence
        },
        undefined
      )
    ])
    changed += 1
  }
  return changed
}
