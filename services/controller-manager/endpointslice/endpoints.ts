/** From a Service and its pods to addresses: what EndpointSlices and Endpoints both say, each in its form. Plain functions. */
import { NODES, PODS, SERVICES } from '#events/collections.ts'
import { selectorValue } from '#events/core/Service.ts'
import type { Node, ObjectReference, Pod, PodStatus, Service, ServicePort, ServiceSpec } from '#events/schema/generated/core.v1.ts'
import { conditionOf } from '#events/meta/Conditions.ts'
import { type Family, parseIP } from '#events/meta/ip.ts'
import { matches, selectorOfMap } from '#events/meta/LabelSelector.ts'
import type { Change, ObjectsView } from '#projections/Objects.ts'
import { isReady, isTerminating } from '#services/controller-manager/pods.ts'

const ZONE = 'topology.kubernetes.io/zone'

export interface Address {
  readonly ip: string
  readonly pod: Pod
  readonly nodeName: string
  readonly zone?: string
  readonly hostname?: string
  readonly ready: boolean
  readonly serving: boolean
  readonly terminating: boolean
}

/** Ports by where they lead: pods that name a port differently form groups of their own. */
export interface Group {
  readonly ports: { readonly name: string; readonly port: number; readonly protocol: string; readonly appProtocol?: string }[]
  readonly addresses: readonly Address[]
}

/** The family a Service's endpoints are of: its first. One of both families has slices of the first. */
export const familyOf = ({ ipFamilies, clusterIP = '' }: ServiceSpec): Family =>
  (ipFamilies?.[0] as Family | undefined) ?? parseIP(clusterIP)?.family ?? 'IPv4'

const ipOf = ({ podIP, podIPs = [] }: Pick<PodStatus, 'podIP' | 'podIPs'>, family: Family): string | undefined =>
  [podIP, ...podIPs.map(({ ip }) => ip)].find((ip) => ip !== undefined && parseIP(ip)?.family === family)

/** The services that select one of the pods, by id; found by the pods' labels. */
export const servicesOf = (view: ObjectsView, pods: readonly (Pod | undefined)[], namespace: string): string[] => {
  const found = new Set<string>()
  const services = view.collection(SERVICES)
  for (const pod of pods)
    for (const [key, value] of Object.entries(pod?.metadata.labels ?? {}))
      for (const { id, object } of services.indexed('selector', selectorValue(namespace, key, value)))
        if (!found.has(id) && matches(selectorOfMap(object.spec.selector ?? {}), pod?.metadata.labels)) found.add(id)
  return [...found]
}

/** The services whose endpoints look different after a node was lost, found again, or moved to another zone. */
export const servicesOnNode = (view: ObjectsView, { entry, previous }: Change<Node>): string[] => {
  if (previous !== undefined && isLost(previous.object) === isLost(entry.object) && zoneOf(previous.object) === zoneOf(entry.object))
    return []
  const found = new Set<string>()
  for (const { object: pod } of view.collection(PODS).indexed('node', entry.key.name))
    for (const service of servicesOf(view, [pod], pod.metadata.namespace as string)) found.add(service)
  return [...found]
}

/** Nothing is heard of the node: what its pods last said of themselves counts no more. */
const isLost = (node: Node | undefined): boolean => node !== undefined && conditionOf(node, 'Ready')?.status === 'Unknown'
const zoneOf = (node: Node | undefined): string | undefined => node?.metadata.labels?.[ZONE]

const portNumber = (pod: Pod, { targetPort, port, protocol = 'TCP' }: ServicePort): number | undefined => {
  if (targetPort === undefined || targetPort === 0 || targetPort === '') return port
  if (typeof targetPort === 'number') return targetPort
  for (const container of pod.spec.containers)
    for (const named of container.ports ?? [])
      if (named.name === targetPort && (named.protocol ?? 'TCP') === protocol) return named.containerPort
  return undefined
}

export const groupsOf = (view: ObjectsView, service: Service): readonly Group[] => {
  const spec = service.spec
  const family = familyOf(spec)
  const selector = selectorOfMap(spec.selector)
  const first = Object.entries(spec.selector ?? {})[0]
  if (first === undefined) return []
  const groups = new Map<string, { ports: Group['ports']; addresses: Address[] }>()
  const candidates = [...view.collection(PODS).indexed('label', `${first[0]}=${first[1]}`)]
    .filter(({ key }) => key.namespace === service.metadata.namespace)
    .sort((a, b) => (a.id < b.id ? -1 : 1))
  for (const { object: pod } of candidates) {
    const status = pod.status ?? {}
    const { phase } = status
    const ip = ipOf(status, family)
    if (!matches(selector, pod.metadata.labels) || ip === undefined || phase === 'Succeeded' || phase === 'Failed') continue
    const ports: Group['ports'][number][] = []
    for (const port of spec.ports ?? []) {
      const number = portNumber(pod, port)
      if (number !== undefined)
        ports.push({
          name: port.name ?? '',
          port: number,
          protocol: port.protocol ?? 'TCP',
          ...(port.appProtocol === undefined ? {} : { appProtocol: port.appProtocol })
        })
    }
    const key = JSON.stringify(ports)
    let group = groups.get(key)
    if (group === undefined) groups.set(key, (group = { ports, addresses: [] }))
    const terminating = isTerminating(pod)
    const { hostname, subdomain, nodeName } = pod.spec
    const node = nodeName === undefined ? undefined : view.get({ ...NODES, namespace: '', name: nodeName })?.object
    const serving = isReady(pod) && !isLost(node)
    const zone = zoneOf(node)
    group.addresses.push({
      ip,
      pod,
      nodeName: nodeName ?? '',
      ready: spec.publishNotReadyAddresses === true || (serving && !terminating),
      serving,
      terminating,
      ...(zone === undefined ? {} : { zone }),
      ...(hostname !== undefined && subdomain === service.metadata.name ? { hostname } : {})
    })
  }
  return [...groups.values()]
}

export const targetRef = ({ metadata: { namespace, name, uid } }: Pod): ObjectReference => ({
  kind: 'Pod',
  ...(namespace === undefined ? {} : { namespace }),
  ...(name === undefined ? {} : { name }),
  ...(uid === undefined ? {} : { uid })
})
