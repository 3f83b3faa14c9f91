/** ServiceCIDR: one or two networks (one of each family) that Services get their cluster IPs from. */
import type * as types from '#events/schema/generated/networking.v1.ts'
import type { Kind } from '#events/Kind.ts'
import { badValue, required } from '#events/meta/faults.ts'
import { keepOtherHalfAndMetadata } from '#events/meta/halves.ts'
import { parseIP, parseNetwork, textOfIP } from '#events/meta/ip.ts'
import { age, AGE, NAME, orNone, text } from '#events/meta/Table.ts'
import { ALL_VERBS, STATUS } from '#events/meta/verbs.ts'
import type { FieldError } from '#events/Refusal.ts'

/** The one every cluster begins with. */
export const DEFAULT_SERVICE_CIDR = 'kubernetes'
/** Stays until nobody has an address from it any more. */
export const SERVICE_CIDR_FINALIZER = 'networking.k8s.io/service-cidr-finalizer'
export const READY = 'Ready'
const IMMUTABLE = 'field is immutable'

export const cidrsOf = (object: types.ServiceCIDR): readonly string[] => (object.spec?.cidrs ?? []) as readonly string[]

/** Addresses are given out from it. */
export const isReady = (object: types.ServiceCIDR): boolean =>
  object.metadata.deletionTimestamp === undefined &&
  ((object.status?.conditions ?? []) as readonly { readonly type: string; readonly status: string }[]).some(
    ({ type, status }) => type === READY && status === 'True'
  )

const networkFault = (cidr: string, field: string): FieldError | undefined => {
  if (parseNetwork(cidr)?.text === cidr) return undefined
  const [address = '', bits = ''] = cidr.split('/')
  const ip = parseIP(address)
  const [most, all] = ip?.family === 'IPv6' ? [128, 2n ** 128n] : [32, 2n ** 32n]
  if (ip === undefined || !/^\d{1,3}$/.test(bits) || Number(bits) > most)
    return badValue(field, cidr, 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)')
  const size = all >> BigInt(bits)
  return badValue(field, cidr, `must be in canonical form ("${textOfIP({ ...ip, value: ip.value - (ip.value % size) })}/${Number(bits)}")`)
}

export const ServiceCIDR: Kind<types.ServiceCIDR> = {
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'ServiceCIDR',
  resource: 'servicecidrs',
  singular: 'servicecidr',
  namespaced: false,
  verbs: ALL_VERBS,
  subresources: [STATUS],
  stream: 'EVENTS',
  hasStatus: true,
  default: (object) => void (object.status ??= {}),
  prepareForCreate: (object) => void (object.status = {}),
  prepareForUpdate: keepOtherHalfAndMetadata,
  validate(object) {
    const cidrs = cidrsOf(object)
    if (cidrs.length === 0) return [required('spec.cidrs', 'at least one CIDR required')]
    if (cidrs.length > 2) return [badValue('spec.cidrs', cidrs, 'may only hold up to 2 values')]
    const families = new Set(cidrs.map((cidr) => (cidr.includes(':') ? 'IPv6' : 'IPv4')))
    const errors =
      families.size < cidrs.length
        ? [badValue('spec.cidrs', cidrs, 'may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/96')]
        : []
    return [...errors, ...cidrs.flatMap((cidr, at) => networkFault(cidr, `spec.cidrs[${at}]`) ?? [])]
  },
  validateUpdate(object, old, subresource) {
    if (subresource !== '') return []
    const [now, before] = [cidrsOf(object), cidrsOf(old)]
    // A second family may be added: the way to dual stack.
    if (now.length !== before.length && !(before.length === 1 && now.length === 2)) return [badValue('spec.cidrs', now, IMMUTABLE)]
    return before.flatMap((cidr, at) => (cidr === now[at] ? [] : [badValue(`spec.cidrs[${at}]`, now[at], IMMUTABLE)]))
  },
  columns: [NAME, text('CIDRs', 'The networks addresses are given out from.'), AGE],
  row: (object, now) => [object.metadata.name ?? '', orNone(cidrsOf(object).join(',')), age(object, now)]
}
