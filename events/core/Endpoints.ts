/** Endpoints: the addresses behind a Service, in the older form. */
import type * as types from '#events/schema/generated/core.v1.ts'
import type { Endpoints as EndpointsType } from '#events/schema/generated/core.v1.ts'
import type { Kind } from '#events/Kind.ts'
import { badValues, oneOf, required } from '#events/meta/faults.ts'
import { ipAddress, labelName, portName, portNumber } from '#events/meta/names.ts'
import { age, AGE, firstFew, NAME, text } from '#events/meta/Table.ts'
import { ALL_VERBS } from '#events/meta/verbs.ts'
import type { FieldError } from '#events/Refusal.ts'
import { PROTOCOLS } from './protocols.ts'

type Subset = NonNullable<EndpointsType['subsets']>[number]

const subsetsOf = (endpoints: types.Endpoints): readonly Subset[] => endpoints.subsets ?? []

const validateSubset = (subset: Subset, path: string, errors: FieldError[]): void => {
  if (!subset.addresses?.length && !subset.notReadyAddresses?.length)
    errors.push(required(path, 'must specify `addresses` or `notReadyAddresses`'))
  for (const half of ['addresses', 'notReadyAddresses'] as const)
    subset[half]?.forEach((address, index) => {
      const at = `${path}.${half}[${index}]`
      errors.push(...badValues(`${at}.ip`, address.ip ?? '', ipAddress(address.ip ?? '')))
      if (address.hostname) errors.push(...badValues(`${at}.hostname`, address.hostname, labelName(address.hostname)))
    })
  subset.ports?.forEach((port, index) => {
    const at = `${path}.ports[${index}]`
    if (!port.name) {
      if ((subset.ports?.length ?? 0) > 1) errors.push(required(`${at}.name`))
    } else errors.push(...badValues(`${at}.name`, port.name, labelName(port.name).length === 0 ? [] : portName(port.name)))
    errors.push(...badValues(`${at}.port`, port.port ?? 0, portNumber(port.port ?? 0)))
    oneOf(port.protocol, `${at}.protocol`, PROTOCOLS, errors)
  })
}

/** `10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 2 more...` */
const shown = (endpoints: types.Endpoints): string => {
  const pairs = subsetsOf(endpoints).flatMap((subset) =>
    subset.ports?.length
      ? subset.ports.flatMap((port) =>
          (subset.addresses ?? []).map(({ ip }) => (ip.includes(':') ? `[${ip}]:${port.port}` : `${ip}:${port.port}`))
        )
      : (subset.addresses ?? []).map(({ ip }) => ip)
  )
  return firstFew(pairs, 3, '<none>')
}

export const Endpoints: Kind<types.Endpoints> = {
  group: '',
  version: 'v1',
  kind: 'Endpoints',
  resource: 'endpoints',
  singular: 'endpoints',
  namespaced: true,
  shortNames: ['ep'],
  verbs: ALL_VERBS,
  stream: 'EVENTS',
  default(endpoints) {
    for (const subset of subsetsOf(endpoints)) for (const port of subset.ports ?? []) port.protocol ||= 'TCP'
  },
  validate(endpoints) {
    const errors: FieldError[] = []
    subsetsOf(endpoints).forEach((subset, index) => validateSubset(subset, `subsets[${index}]`, errors))
    return errors
  },
  columns: [NAME, text('Endpoints', 'The addresses and ports behind the service.'), AGE],
  row: (endpoints, now) => [endpoints.metadata.name ?? '', shown(endpoints), age(endpoints, now)]
}
