/** Service: one stable address in front of the pods its selector matches. Cluster IPs and node ports are given by the decider. */
import type * as types from '#events/schema/generated/core.v1.ts'
import type { ServicePort, ServiceSpec } from '#events/schema/generated/core.v1.ts'
import type { Indexes, Kind } from '#events/Kind.ts'
import { keepOtherHalf } from '#events/meta/halves.ts'
import { formatLabels } from '#events/meta/LabelSelector.ts'
import { same } from '#events/meta/faults.ts'
import { age, AGE, NAME, orNone, text, wide } from '#events/meta/Table.ts'
import { ALL_VERBS, STATUS } from '#events/meta/verbs.ts'
import { validateService, validateServiceUpdate } from './serviceValidate.ts'

const specOf = (service: types.Service): ServiceSpec => service.spec ?? {}

const hasClusterIP = (spec: ServiceSpec): boolean => spec.type !== 'ExternalName'
const hasNodePorts = (spec: ServiceSpec): boolean => spec.type === 'NodePort' || spec.type === 'LoadBalancer'

const defaultSpec = (spec: ServiceSpec): void => {
  spec.type ||= 'ClusterIP'
  spec.sessionAffinity ||= 'None'
  if (spec.sessionAffinity === 'None') delete spec.sessionAffinityConfig
  else if (spec.sessionAffinity === 'ClientIP') spec.sessionAffinityConfig ??= { clientIP: { timeoutSeconds: 10800 } }
  for (const port of spec.ports ?? []) {
    port.protocol ||= 'TCP'
    if (port.targetPort === undefined || port.targetPort === 0 || port.targetPort === '') port.targetPort = port.port
  }
  if (hasNodePorts(spec)) spec.externalTrafficPolicy ||= 'Cluster'
  if (spec.type === 'LoadBalancer') spec.allocateLoadBalancerNodePorts ??= true
  if (!hasClusterIP(spec)) return
  spec.internalTrafficPolicy ||= 'Cluster'
  if (spec.clusterIP && !spec.clusterIPs?.length) spec.clusterIPs = [spec.clusterIP]
  spec.ipFamilyPolicy ||= 'SingleStack'
  if (!spec.ipFamilies?.length) spec.ipFamilies = [spec.clusterIP?.includes(':') ? 'IPv6' : 'IPv4']
}

const portId = (port: ServicePort): string => `${port.protocol ?? 'TCP'}/${port.port}`

/** As upstream: who changes `clusterIP` and leaves `clusterIPs` as it was, as a patch of the one does, means both. */
const pairIPs = (spec: ServiceSpec, old: ServiceSpec): void => {
  if ((spec.clusterIP ?? '') === (old.clusterIP ?? '') || !same(spec.clusterIPs, old.clusterIPs)) return
  if (spec.clusterIP) spec.clusterIPs = [spec.clusterIP]
  else delete spec.clusterIPs
}

/** What was given to the service stays with it when an update leaves it out, and goes when the type no longer has it. */
const carryAllocated = (spec: ServiceSpec, old: ServiceSpec): void => {
  const type = spec.type || 'ClusterIP'
  const oldType = old.type || 'ClusterIP'
  pairIPs(spec, old)
  if (type !== 'ExternalName') {
    if (oldType !== 'ExternalName' && !spec.clusterIP && !spec.clusterIPs?.length && old.clusterIP) {
      spec.clusterIP = old.clusterIP
      if (old.clusterIPs !== undefined) spec.clusterIPs = old.clusterIPs
    }
  } else if (oldType !== 'ExternalName' && spec.clusterIP === old.clusterIP) {
    delete spec.clusterIP
    delete spec.clusterIPs
    delete spec.ipFamilies
    delete spec.ipFamilyPolicy
    delete spec.internalTrafficPolicy
  }
  const nodePorts = new Map((old.ports ?? []).filter((port) => port.nodePort).map((port) => [portId(port), port.nodePort as number]))
  if (type === 'NodePort' || type === 'LoadBalancer') {
    const taken = new Set((spec.ports ?? []).map((port) => port.nodePort))
    for (const port of spec.ports ?? []) {
      const given = nodePorts.get(portId(port))
      if (!port.nodePort && given !== undefined && !taken.has(given)) port.nodePort = given
    }
  } else if (hasNodePorts(old)) {
    for (const port of spec.ports ?? []) if (port.nodePort === nodePorts.get(portId(port))) delete port.nodePort
    if (spec.externalTrafficPolicy === old.externalTrafficPolicy) delete spec.externalTrafficPolicy
    delete spec.allocateLoadBalancerNodePorts
    delete spec.healthCheckNodePort
  }
}

const externalIP = (service: types.Service): string => {
  const spec = specOf(service)
  const balanced = ((service.status?.loadBalancer?.ingress ?? []) as { ip?: string; hostname?: string }[])
    .map(({ ip, hostname }) => ip ?? hostname ?? '')
    .filter((one) => one !== '')
  switch (spec.type) {
    case 'ExternalName':
      return orNone(spec.externalName)
    case 'LoadBalancer': {
      const all = [...balanced, ...(spec.externalIPs ?? [])]
      return all.length === 0 ? '<pending>' : all.join(',')
    }
    default:
      return orNone((spec.externalIPs ?? []).join(','))
  }
}

const portsOf = (spec: ServiceSpec): string =>
  orNone(
    (spec.ports ?? [])
      .map(({ port, nodePort, protocol }) => (nodePort ? `${port}:${nodePort}/${protocol ?? 'TCP'}` : `${port}/${protocol ?? 'TCP'}`))
      .join(',')
  )

export const selectorValue = (namespace: string, key: string, value: string): string => `${namespace}/${key}=${value}`

const indexes: Indexes<types.Service> = {
  clusterIP: (service) => (specOf(service).clusterIPs ?? []).filter((ip) => ip !== 'None' && ip !== ''),
  nodePort: (service) => (specOf(service).ports ?? []).filter((port) => port.nodePort).map((port) => String(port.nodePort)),
  /** One pair of the selector, with the namespace: a pod it selects has it among its labels. */
  selector: (service) => {
    const [first] = Object.entries(specOf(service).selector ?? {})
    return first === undefined ? [] : [selectorValue(service.metadata.namespace ?? '', ...first)]
  }
}

export const Service: Kind<types.Service> = {
  group: '',
  version: 'v1',
  kind: 'Service',
  resource: 'services',
  singular: 'service',
  namespaced: true,
  shortNames: ['svc'],
  categories: ['all'],
  verbs: ALL_VERBS,
  subresources: [STATUS],
  stream: 'EVENTS',
  indexes,
  hasStatus: true,
  returnsDeleted: true,
  nameRule: 'label1035',
  default(service) {
    defaultSpec((service.spec ??= {}))
    service.status ??= {}
    service.status.loadBalancer ??= {}
  },
  prepareForCreate(service) {
    service.status = { loadBalancer: {} }
  },
  prepareForUpdate(service, old, subresource) {
    keepOtherHalf(service, old, subresource)
    if (subresource === '') carryAllocated((service.spec ??= {}), specOf(old))
  },
  validate: (service) => validateService(specOf(service)),
  validateUpdate: (service, old, subresource) => (subresource === '' ? validateServiceUpdate(specOf(service), specOf(old)) : []),
  fields: {
    'spec.clusterIP': (service) => specOf(service).clusterIP ?? '',
    'spec.type': (service) => specOf(service).type ?? ''
  },
  columns: [
    NAME,
    text('Type', 'How the service is exposed.'),
    text('Cluster-IP', 'The address inside the cluster.'),
    text('External-IP', 'Addresses outside the cluster.'),
    text('Port(s)', 'The ports of the service.'),
    AGE,
    wide('Selector', 'The labels of the pods behind the service.')
  ],
  row(service, now) {
    const spec = specOf(service)
    return [
      service.metadata.name ?? '',
      spec.type ?? '',
      orNone(spec.clusterIPs?.[0] ?? spec.clusterIP),
      externalIP(service),
      portsOf(spec),
      age(service, now),
      formatLabels(spec.selector)
    ]
  },
  eventType({ before, after, deleted, subresource }) {
    if (deleted || before === undefined || subresource !== '') return undefined
    return same(specOf(before).selector ?? {}, specOf(after).selector ?? {}) ? undefined : 'reckon.service.selector-changed.v1'
  }
}
