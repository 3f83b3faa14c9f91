/** Keeps pods off nodes with a taint they do not tolerate. */
import { tolerates, type Filter } from '../plugin.ts'

export const TaintToleration: Filter = {
  name: 'TaintToleration',
  filter: (pod, node) => {
    const taint = node.taints.find((candidate) => candidate.effect !== 'PreferNoSchedule' && !tolerates(pod.tolerations, candidate))
    return taint === undefined ? undefined : `node(s) had untolerated taint {${taint.key}: ${taint.value ?? ''}}`
  }
}
