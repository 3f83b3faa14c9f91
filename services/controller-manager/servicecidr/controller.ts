/**
 * The ServiceCIDR controller: looks at a network when it changes, and at those that go when an address is given back or another network
 * comes.
 */
import { IP_ADDRESSES, SERVICE_CIDRS } from '#events/collections.ts'
import type { ObjectsView } from '#projections/Objects.ts'
import { watch, type ControllerDefinition } from '#services/platform/decision.ts'
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
    watch(SERVICE_CIDRS, ({ entry }, view) => [entry.key.name, ...going(view)]),
    watch(IP_ADDRESSES, ({ type }, view) => (type === 'DELETED' ? going(view) : []))
  ],
  decide
}
