/**
 * The ServiceCIDR controller: looks at a network when it changes, and at those that go when an address is given back or another network
 * comes.
 */
import { IP_ADDRESSES, SERVICE_CIDRS } from '#events/collections.ts'
import type { ObjectsView } from '#projections/Objects.ts'
import type { ControllerDefinition } from '#services/platform/decision.ts'
import { decide, NAME } from './decide.ts'

const going = (view: ObjectsView): readonly string[] =>
  view
    .collection(SERVICE_CIDRS)
    .list()
    .filter(({ object }) => object.metadata.deletionTimestamp !== undefined)
    .map(({ key }) => key.name)

export const servicecidr: ControllerDefinition = {
  name: NAME,
  watches: [
    { ref: SERVICE_CIDRS, keys: ({ entry }, view) => [entry.key.name, ...going(view)] },
    { ref: IP_ADDRESSES, keys: ({ type }, view) => (type === 'DELETED' ? going(view) : []) }
  ],
  decide
}
