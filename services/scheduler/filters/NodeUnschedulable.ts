/** Keeps pods off cordoned nodes, unless they tolerate it. */
import { tolerates, type Filter, type Refusal } from '#services/scheduler/plugin.ts'

const CORDONED = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' } as const
const UNSCHEDULABLE: Refusal = { reasons: ['node(s) were unschedulable'], unresolvable: true }

export const NodeUnschedulable: Filter<true> = {
  name: 'NodeUnschedulable',
  prepare: ({ tolerations }) => (tolerates(tolerations, CORDONED) ? undefined : true),
  filter: (_, __, { unschedulable }) => (unschedulable ? UNSCHEDULABLE : undefined)
}
