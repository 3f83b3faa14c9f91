/**
 * What must hold of nodes' traffic: where packet filters send connections and what names are answered with, beside what the log says of
 * Services and EndpointSlices. Neither is computed with what kube-proxy and the DNS compute theirs with.
 */
import { decodeFacts } from '#events/Event.ts'
import { ENDPOINT_SLICES, SERVICES } from '#events/collections.ts'
import { resourceId, type ResourceRef } from '#events/Key.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import type { Endpoint, EndpointSlice } from '#events/schema/generated/discovery.v1.ts'
import type { ServicePort, ServiceSpec } from '#events/schema/generated/core.v1.ts'
import type { MemoryLog } from '#services/platform/MemoryLog.ts'
import type { Endpoints } from './Endpoints.ts'
import { SERVICE_NAMES } from './script.ts'
import type { World } from './World.ts'

/** Versions of the objects of one kind, and when each was written. */
class Past {
  readonly #versions = new Map<string, { readonly sequence: number; readonly object: KubeObject | undefined }[]>()

  static async of(log: MemoryLog, ref: ResourceRef): Promise<Past> {
    const past = new Past()
    const last = await log.lastSequence()
    for (let sequence = 1; sequence <= last; sequence++) {
      const entry = await log.get(sequence)
      if (entry === undefined) continue
      const { key, deleted } = decodeFacts('EVENTS', entry)
      if (resourceId(key) !== resourceId(ref)) continue
      const id = `${key.namespace}/${key.name}`
      const versions = past.#versions.get(id) ?? []
      versions.push({ sequence, object: deleted ? undefined : (JSON.parse(entry.text) as KubeObject) })
      past.#versions.set(id, versions)
    }
    return past
  }
  /** As of a place in the log. */
  get(id: string, at = Number.POSITIVE_INFINITY): KubeObject | undefined {
    return this.#versions.get(id)?.findLast(({ sequence }) => sequence <= at)?.object
  }
  *at(at?: number): Generator<KubeObject> {
    for (const id of this.#versions.keys()) {
      const object = this.get(id, at)
      if (object !== undefined) yield object
    }
  }
  *ever(): Generator<KubeObject> {
    for (const versions of this.#versions.values()) for (const { object } of versions) if (object !== undefined) yield object
  }
}

const specOf = (service: KubeObject): ServiceSpec => service['spec'] as ServiceSpec

interface Place {
  /** `default/web:http` */
  readonly id: string
  readonly port: ServicePort
  readonly ip: string
  readonly to: readonly string[]
}

/** What connections to a Service are made to, port by port. */
const placesOf = (service: KubeObject): Place[] => {
  const { clusterIP: ip, ports } = specOf(service)
  if (ip === undefined || ip === 'None') return []
  return (ports ?? []).map((port) => {
    const protocol = (port.protocol ?? 'TCP').toLowerCase()
    const id = `${service.metadata.namespace}/${service.metadata.name}${port.name ? `:${port.name}` : ''}`
    return { id, port, ip, to: [`${protocol} ${ip}:${port.port}`, ...(port.nodePort ? [`${protocol} node:${port.nodePort}`] : [])] }
  })
}

const endpointsIn = ({ metadata }: KubeObject, slice: KubeObject): readonly Endpoint[] =>
  slice.metadata.namespace === metadata.namespace && slice.metadata.labels?.['kubernetes.io/service-name'] === metadata.name
    ? ((slice as unknown as EndpointSlice).endpoints ?? [])
    : []

/** Endpoints of a Service's port that are ready; when there are none, those that serve while they go. */
const endsOf = (service: KubeObject, { name, protocol }: ServicePort, slices: readonly KubeObject[]): string[] => {
  const all = slices.flatMap((object) => {
    const target = (object as unknown as EndpointSlice).ports?.find((one) => (one.name ?? '') === (name ?? '') && one.protocol === protocol)
    return target === undefined
      ? []
      : endpointsIn(service, object).map(({ addresses, conditions }) => ({ end: `${addresses[0]}:${target.port}`, ...conditions }))
  })
  const ready = all.filter((one) => one.ready !== false)
  return (ready.length > 0 ? ready : all.filter(({ serving, terminating }) => serving === true && terminating === true)).map(
    ({ end }) => end
  )
}

/** Where connections should go. */
const waysBy = (services: readonly KubeObject[], slices: readonly KubeObject[]): ReadonlyMap<string, string> =>
  new Map(
    services.flatMap((service) =>
      placesOf(service).flatMap(({ port, to }) => to.map((place) => [place, textOf(endsOf(service, port, slices))] as const))
    )
  )

const textOf = (several: readonly string[]): string => [...new Set(several)].sort().join(' ')

const NAMES = Array.from({ length: SERVICE_NAMES }, (_, n) => `svc${n}`)

interface Moment {
  readonly node: string
  readonly services: number
  readonly slices: number
  readonly said: readonly string[]
}

export class Traffic {
  readonly #world: World
  readonly #moments: Moment[] = []

  constructor(world: World) {
    this.#world = world
  }
  /** Asks every DNS that answers for every name there may be; in the end it must have been what the log said where the node stood. */
  look(): void {
    for (const [node, one] of this.#world.endpoints)
      if (one.answers) this.#moments.push({ node, ...one.folded, said: NAMES.map((name) => textOf(one.ask(`${name}.default`, 'A'))) })
  }
  /** What is not yet as the log says; empty when every node does as it should. */
  async open(): Promise<string[]> {
    const { endpoints, logs } = this.#world
    const [services, slices] = [await Past.of(logs.EVENTS, SERVICES), await Past.of(logs.EVENTS, ENDPOINT_SLICES)]
    const names = namesBy(services, slices)
    const open: string[] = []
    for (const [node, one] of endpoints) {
      open.push(...differences(`kube-proxy of ${node} sends`, await waysOf(one), waysBy([...services.at()], [...slices.at()])))
      if (!one.answers) open.push(`the DNS of ${node} does not answer`)
      else open.push(...differences(`the DNS of ${node} answered`, answersOf(one, names.keys()), names))
    }
    return open
  }
  /** What was said and done before that could not have been right. */
  async faults(): Promise<string[]> {
    const { endpoints, logs } = this.#world
    const [services, slices] = [await Past.of(logs.EVENTS, SERVICES), await Past.of(logs.EVENTS, ENDPOINT_SLICES)]
    const had = new Set([...services.ever()].flatMap((one) => placesOf(one).flatMap(({ id, to }) => to.map((place) => `${id} ${place}`))))
    const faults: string[] = []
    for (const [node, { filter, views }] of endpoints) {
      for (const pair of filter.seen) if (!had.has(pair)) faults.push(`kube-proxy of ${node} had rules for ${pair}, which it never was`)
      for (const { objects, name } of views.flatMap(({ byStream }) => [...byStream.values()]))
        if (objects.names > 0) faults.push(`${node} remembers ${objects.names} names of ${name} that are gone, and never writes any`)
    }
    for (const moment of this.#moments)
      for (const [at, name] of NAMES.entries()) {
        const ought = addressesOf(services.get(`default/${name}`, moment.services), [...slices.at(moment.slices)])
        if (moment.said[at] !== ought)
          faults.push(
            `the DNS of ${moment.node} answered ${name} with [${moment.said[at]}] when it stood at ${moment.services}, and that was [${ought}]`
          )
      }
    return faults
  }
}

/** What a name of a Service stands for. */
const addressesOf = (service: KubeObject | undefined, slices: readonly KubeObject[]): string => {
  if (service === undefined) return ''
  const { clusterIP } = specOf(service)
  if (clusterIP !== 'None') return clusterIP ?? ''
  const ready = slices.flatMap((slice) => endpointsIn(service, slice)).filter(({ conditions }) => conditions?.ready !== false)
  return textOf(ready.flatMap(({ addresses }) => addresses))
}

/** What names and addresses should be answered with; those that stand for nothing with nothing. */
const namesBy = (services: Past, slices: Past): ReadonlyMap<string, string> => {
  const there = [...slices.at()]
  const names = new Map(NAMES.map((name) => [`${name}.default`, addressesOf(services.get(`default/${name}`), there)]))
  for (const { metadata, ...service } of services.ever())
    for (const { ip } of placesOf({ metadata, ...service })) if (!names.has(ip)) names.set(ip, '')
  for (const service of services.at())
    for (const { ip } of placesOf(service)) names.set(ip, `${service.metadata.name}.${service.metadata.namespace}.svc.cluster.local`)
  return names
}

const answersOf = (one: Endpoints, names: Iterable<string>): ReadonlyMap<string, string> =>
  new Map([...names].map((name) => [name, textOf(one.ask(name, /^[\d.]+$/.test(name) ? 'PTR' : 'A'))]))

const waysOf = async ({ filter }: Endpoints): Promise<ReadonlyMap<string, string>> =>
  new Map([...(await filter.ways())].map(([to, { ends }]) => [to, textOf(ends)]))

const differences = (what: string, is: ReadonlyMap<string, string>, ought: ReadonlyMap<string, string>): string[] =>
  [...new Set([...is.keys(), ...ought.keys()])]
    .filter((one) => is.get(one) !== ought.get(one))
    .map((one) => `${what} ${one} with [${is.get(one) ?? 'no rule'}], and not with [${ought.get(one) ?? 'no rule'}]`)
