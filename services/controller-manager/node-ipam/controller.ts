/** The node IPAM controller: looks when a node comes without a part of the pod network, and when one goes and leaves its own. */
import { NODES } from '#events/collections.ts'
import { watch, type ControllerDefinition } from '#services/platform/decision.ts'
import { cidrsOf, decide, KEY, NAME, type NodeIpamConfig } from './decide.ts'

export const nodeIpam = (config: NodeIpamConfig): ControllerDefinition => ({
  name: NAME,
  watches: [watch(NODES, ({ type, entry }) => (type === 'DELETED' || cidrsOf(entry.object).length === 0 ? [KEY] : []))],
  decide: (view, _, context) => decide(view, config, context)
})
