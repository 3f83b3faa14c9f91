/** EndpointSlice: some of the addresses behind a Service. */
import type * as types from '#events/schema/generated/discovery.v1.ts'
import type { EndpointSlice as SliceType } from '#events/schema/generated/discovery.v1.ts'
import type { Kind } from '#events/Kind.ts'
import { badValue, badValues, duplicate, immutable, oneOf, required, tooMany } from '#events/meta/faults.ts'
import { isIPv4, isIPv6, labelName, portName, portNumber, subdomainName } from '#events/meta/names.ts'
import { age, AGE, firstFew, NAME, text } from '#events/meta/Table.ts'
import { ALL_VERBS } from '#events/meta/verbs.ts'
import type { FieldError } from '#events/Refusal.ts'
import { PROTOCOLS } from '#events/core/protocols.ts'

type Endpoint = NonNullable<SliceType['endpoints']>[number]
type Port = NonNullable<SliceType['ports']>[number]

const ADDRESS_TYPES = ['FQDN', 'IPv4', 'IPv6']
const ENDPOINTS_MAX = 1000
const ADDRESSES_MAX = 100
const PORTS_MAX = 20000

const checkAddress = (type: string, address: string, field: string, errors: FieldError[]): void => {
  if (type === 'IPv4' ? isIPv4(address) : type === 'IPv6' ? isIPv6(address) : subdomainName(address).length === 0) return
  errors.push(
    badValue(
      field,
      address,
      type === 'IPv4' ? 'must be an IPv4 address' : type === 'IPv6' ? 'must be an IPv6 address' : (subdomainName(address)[0] as string)
    )
  )
}

const validateEndpoint = (endpoint: Endpoint, type: string, path: string, errors: FieldError[]): void => {
  const addresses = endpoint.addresses ?? []
  if (addresses.length === 0) errors.push(required(`${path}.addresses`, 'must contain at least 1 address'))
  else if (addresses.length > ADDRESSES_MAX) errors.push(tooMany(`${path}.addresses`, addresses.length, ADDRESSES_MAX))
  addresses.forEach((address, index) => checkAddress(type, address, `${path}.addresses[${index}]`, errors))
  if (endpoint.hostname) errors.push(...badValues(`${path}.hostname`, endpoint.hostname, labelName(endpoint.hostname)))
}

const shownPorts = (slice: types.EndpointSlice): string =>
  firstFew(
    ((slice.ports ?? []) as Port[]).map(({ port }) => (port === undefined || port === null ? '*' : String(port))),
    3,
    '<unset>'
  )

const shownEndpoints = (slice: types.EndpointSlice): string =>
  firstFew(
    ((slice.endpoints ?? []) as Endpoint[]).flatMap(({ addresses }) => addresses ?? []),
    3,
    '<unset>'
  )

export const EndpointSlice: Kind<types.EndpointSlice> = {
  group: 'discovery.k8s.io',
  version: 'v1',
  kind: 'EndpointSlice',
  resource: 'endpointslices',
  singular: 'endpointslice',
  namespaced: true,
  verbs: ALL_VERBS,
  stream: 'EVENTS',
  default(slice) {
    slice.endpoints ??= []
    for (const port of (slice.ports ?? []) as Port[]) {
      port.name ??= ''
      port.protocol ??= 'TCP'
    }
  },
  validate(slice) {
    const errors: FieldError[] = []
    const type: string = slice.addressType ?? ''
    oneOf(type, 'addressType', ADDRESS_TYPES, errors)
    const endpoints: Endpoint[] = slice.endpoints ?? []
    if (endpoints.length > ENDPOINTS_MAX) errors.push(tooMany('endpoints', endpoints.length, ENDPOINTS_MAX))
    else endpoints.forEach((endpoint, index) => validateEndpoint(endpoint, type, `endpoints[${index}]`, errors))
    const names = new Set<string>()
    const ports: Port[] = slice.ports ?? []
    if (ports.length > PORTS_MAX) errors.push(tooMany('ports', ports.length, PORTS_MAX))
    ports.forEach((port, index) => {
      const name = port.name ?? ''
      if (name !== '') errors.push(...badValues(`ports[${index}].name`, name, labelName(name).length === 0 ? [] : portName(name)))
      if (names.has(name)) errors.push(duplicate(`ports[${index}].name`, name))
      names.add(name)
      oneOf(port.protocol, `ports[${index}].protocol`, PROTOCOLS, errors)
      if (port.port !== undefined && port.port !== null) errors.push(...badValues(`ports[${index}].port`, port.port, portNumber(port.port)))
    })
    return errors
  },
  validateUpdate(slice, old) {
    const errors: FieldError[] = []
    immutable(slice.addressType, old.addressType, 'addressType', errors)
    return errors
  },
  columns: [
    NAME,
    text('AddressType', 'The type of addresses.'),
    text('Ports', 'The ports of every endpoint.'),
    text('Endpoints', 'The addresses.'),
    AGE
  ],
  row: (slice, now) => [slice.metadata.name ?? '', slice.addressType ?? '', shownPorts(slice), shownEndpoints(slice), age(slice, now)]
}
