/** Node: a machine that runs pods. */
import type * as types from '#events/schema/generated/core.v1.ts'
import type { Node as NodeType, Taint } from '#events/schema/generated/core.v1.ts'
import type { Kind } from '#events/Kind.ts'
import { conditionOf, isTrue } from '#events/meta/Conditions.ts'
import { badValue, badValues, duplicate, forbiddenField, oneOf, required, same } from '#events/meta/faults.ts'
import { keepOtherHalf } from '#events/meta/halves.ts'
import { parseCIDR } from '#events/meta/cidr.ts'
import { labelValue, qualifiedName } from '#events/meta/names.ts'
import { canonicalQuantity } from '#events/meta/Quantity.ts'
import { age, AGE, NAME, orNone, text, wide } from '#events/meta/Table.ts'
import { ALL_VERBS, STATUS } from '#events/meta/verbs.ts'
import type { FieldError } from '#events/Refusal.ts'

const EFFECTS = ['NoExecute', 'NoSchedule', 'PreferNoSchedule']
const ROLE_PREFIX = 'node-role.kubernetes.io/'

const addressOf = (node: types.Node, type: string): string =>
  orNone(((node.status?.addresses ?? []) as { type: string; address: string }[]).find((one) => one.type === type)?.address)

const statusOf = (node: types.Node): string => {
  const ready = conditionOf(node, 'Ready')
  const words = [ready === undefined ? 'Unknown' : ready.status === 'True' ? 'Ready' : 'NotReady']
  if (node.spec?.unschedulable === true) words.push('SchedulingDisabled')
  return words.join(',')
}

const rolesOf = (node: types.Node): string => {
  const roles = new Set<string>()
  for (const [key, value] of Object.entries(node.metadata.labels ?? {})) {
    if (key.startsWith(ROLE_PREFIX) && key.length > ROLE_PREFIX.length) roles.add(key.slice(ROLE_PREFIX.length))
    else if (key === 'kubernetes.io/role' && value !== '') roles.add(value)
  }
  return roles.size === 0 ? '<none>' : [...roles].sort().join(',')
}

const unknown = (value: string | undefined): string => (value === undefined || value === '' ? '<unknown>' : value)

const validateTaints = (taints: readonly Taint[], errors: FieldError[]): void => {
  const seen = new Set<string>()
  taints.forEach((taint, index) => {
    const path = `spec.taints[${index}]`
    errors.push(...badValues(`${path}.key`, taint.key ?? '', qualifiedName(taint.key ?? '')))
    if (taint.value) errors.push(...badValues(`${path}.value`, taint.value, labelValue(taint.value)))
    oneOf(taint.effect, `${path}.effect`, EFFECTS, errors)
    const id = `${taint.key}:${taint.effect}`
    if (seen.has(id)) errors.push({ ...duplicate(path, taint), detail: 'taints must be unique by key and effect pair' })
    seen.add(id)
  })
}

const validateAddresses = (node: types.Node, errors: FieldError[]): void => {
  const addresses = new Set<string>()
  ;((node.status?.addresses ?? []) as { type?: string; address?: string }[]).forEach((address, index) => {
    if (!address.type) errors.push(required(`status.addresses[${index}].type`))
    const id = JSON.stringify([address.type, address.address])
    if (addresses.has(id)) errors.push(duplicate(`status.addresses[${index}]`, address))
    addresses.add(id)
  })
}

export const Node: Kind<types.Node> = {
  group: '',
  version: 'v1',
  kind: 'Node',
  resource: 'nodes',
  singular: 'node',
  namespaced: false,
  shortNames: ['no'],
  verbs: ALL_VERBS,
  subresources: [STATUS],
  stream: 'EVENTS',
  hasStatus: true,
  default(node) {
    const spec: NonNullable<NodeType['spec']> = (node.spec ??= {})
    // Either says the other.
    if (spec.podCIDR && !spec.podCIDRs?.length) spec.podCIDRs = [spec.podCIDR]
    else if (spec.podCIDRs?.length && !spec.podCIDR) spec.podCIDR = spec.podCIDRs[0] as string
    const status: NonNullable<NodeType['status']> = (node.status ??= {})
    for (const half of ['capacity', 'allocatable'] as const)
      for (const name in status[half]) status[half][name] = canonicalQuantity(status[half][name] as string)
    if (status.capacity !== undefined) status.allocatable ??= { ...status.capacity }
  },
  // A kubelet registers its node together with the first status, so creating does not clear it.
  prepareForUpdate: keepOtherHalf,
  validate(node) {
    const errors: FieldError[] = []
    const spec: NonNullable<NodeType['spec']> = node.spec ?? {}
    if (spec.taints?.length) validateTaints(spec.taints, errors)
    const cidrs = spec.podCIDRs ?? []
    cidrs.forEach((cidr, index) => {
      if (parseCIDR(cidr) === undefined)
        errors.push(badValue(`spec.podCIDRs[${index}]`, cidr, 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)'))
    })
    const families = cidrs.map((cidr) => parseCIDR(cidr)?.family)
    if (cidrs.length > 1 && families.every((family) => family !== undefined) && (cidrs.length > 2 || families[0] === families[1]))
      errors.push(badValue('spec.podCIDRs', cidrs, 'may specify no more than one CIDR for each IP family'))
    if (cidrs.length > 0 && spec.podCIDR !== cidrs[0])
      errors.push(badValue('spec.podCIDRs[0]', cidrs[0], 'must be the same as spec.podCIDR'))
    validateAddresses(node, errors)
    return errors
  },
  validateUpdate(node, old, subresource) {
    const errors: FieldError[] = []
    // What a status write stores would otherwise be refused at the next write of the node itself, for ever.
    if (subresource === 'status') validateAddresses(node, errors)
    const [spec, before] = [node.spec ?? {}, old.spec ?? {}]
    if (before.podCIDRs?.length && !same(spec.podCIDRs, before.podCIDRs))
      errors.push(forbiddenField('spec.podCIDRs', 'node updates may not change podCIDR except from "" to valid'))
    if (before.providerID && spec.providerID !== before.providerID)
      errors.push(forbiddenField('spec.providerID', 'node updates may not change providerID except from "" to valid'))
    return errors
  },
  fields: { 'spec.unschedulable': (node) => String(node.spec?.unschedulable ?? false) },
  columns: [
    NAME,
    text('Status', 'The status of the node'),
    text('Roles', 'The roles of the node'),
    AGE,
    text('Version', 'The version of the kubelet.'),
    wide('Internal-IP'),
    wide('External-IP'),
    wide('OS-Image'),
    wide('Kernel-Version'),
    wide('Container-Runtime')
  ],
  row(node, now) {
    const info: Partial<types.NodeSystemInfo> = node.status?.nodeInfo ?? {}
    return [
      node.metadata.name ?? '',
      statusOf(node),
      rolesOf(node),
      age(node, now),
      info.kubeletVersion ?? '',
      addressOf(node, 'InternalIP'),
      addressOf(node, 'ExternalIP'),
      unknown(info.osImage),
      unknown(info.kernelVersion),
      unknown(info.containerRuntimeVersion)
    ]
  },
  eventType({ before, after, deleted, subresource }) {
    if (deleted) return undefined
    if (before === undefined) return 'reckon.node.registered.v1'
    if (subresource === 'status') {
      const [was, is] = [isTrue(before, 'Ready'), isTrue(after, 'Ready')]
      return was === is ? undefined : is ? 'reckon.node.ready.v1' : 'reckon.node.not-ready.v1'
    }
    const [was, is] = [before.spec?.unschedulable === true, after.spec?.unschedulable === true]
    if (was !== is) return is ? 'reckon.node.cordoned.v1' : 'reckon.node.uncordoned.v1'
    return same(before.spec?.taints ?? [], after.spec?.taints ?? []) ? undefined : 'reckon.node.taints-changed.v1'
  }
}
