/** Keeps pods off cordoned nodes, unless they tolerate it. */
import { tolerates, type Filter } from '../plugin.ts'

const CORDONED = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' } as const

export const NodeUnschedulable: Filter = {
  name: 'NodeUnschedulable',
  filter: (pod, node) => (node.unschedulable && !tolerates(pod.tolerations, CORDONED) ? 'node(s) were unschedulable' : undefined)
}
