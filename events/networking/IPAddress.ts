/**
 * IPAddress: one address of the Services' networks, and whose it is. Its name is the address; that there is one object of a name is the
 * claim.
 */
import type * as types from '#events/schema/generated/networking.v1.ts'
import type { Kind } from '#events/Kind.ts'
import { badValues, immutable, required } from '#events/meta/faults.ts'
import { subdomainName } from '#events/meta/names.ts'
import { age, AGE, NAME, text } from '#events/meta/Table.ts'
import { ALL_VERBS } from '#events/meta/verbs.ts'
import type { FieldError } from '#events/Refusal.ts'
import type { ParentReference } from './parent.ts'

const parentOf = (address: types.IPAddress): ParentReference | undefined => address.spec?.parentRef as ParentReference | undefined

/** What a segment of a path may not be (apimachinery's `IsValidPathSegmentName`). */
const segment = (value: string): readonly string[] => {
  if (value === '.' || value === '..') return [`may not be '${value}'`]
  return ['/', '%'].filter((sign) => value.includes(sign)).map((sign) => `may not contain '${sign}'`)
}

const PARENT = 'spec.parentRef'

const shownParent = (parent: ParentReference | undefined): string => {
  if (parent === undefined) return '<none>'
  const { group = '', resource = '', namespace = '', name = '' } = parent
  return `${(group === '' ? resource : `${resource}.${group}`).toLowerCase()}/${namespace === '' ? name : `${namespace}/${name}`}`
}

export const IPAddress: Kind<types.IPAddress> = {
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'IPAddress',
  resource: 'ipaddresses',
  singular: 'ipaddress',
  namespaced: false,
  shortNames: ['ip'],
  verbs: ALL_VERBS,
  stream: 'EVENTS',
  nameRule: 'ip',
  validate(address) {
    const parent = parentOf(address)
    if (parent === undefined) return [required(PARENT)]
    const errors: FieldError[] = []
    const { group = '', resource = '', namespace = '', name = '' } = parent
    // The core group is '': a group can't be asked for.
    if (group !== '') errors.push(...badValues(`${PARENT}.group`, group, subdomainName(group)))
    if (resource === '') errors.push(required(`${PARENT}.resource`))
    else errors.push(...badValues(`${PARENT}.resource`, resource, segment(resource)))
    if (name === '') errors.push(required(`${PARENT}.name`))
    else errors.push(...badValues(`${PARENT}.name`, name, segment(name)))
    if (namespace !== '') errors.push(...badValues(`${PARENT}.namespace`, namespace, segment(namespace)))
    return errors
  },
  validateUpdate(address, old) {
    const errors: FieldError[] = []
    immutable(parentOf(address), parentOf(old), PARENT, errors)
    return errors
  },
  fields: {
    'spec.parentRef.group': (address) => parentOf(address)?.group ?? '',
    'spec.parentRef.resource': (address) => parentOf(address)?.resource ?? '',
    'spec.parentRef.namespace': (address) => parentOf(address)?.namespace ?? '',
    'spec.parentRef.name': (address) => parentOf(address)?.name ?? ''
  },
  columns: [NAME, text('ParentRef', 'The object that has the address.'), AGE],
  row: (address, now) => [address.metadata.name ?? '', shownParent(parentOf(address)), age(address, now)]
}
