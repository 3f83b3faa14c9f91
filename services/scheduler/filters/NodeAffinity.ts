/** nodeSelector and required node affinity. */
import { matchesTerm, type NodeSelectorTerm } from '../affinity.ts'
import type { Filter } from '../plugin.ts'

interface Spec {
  readonly nodeSelector?: Readonly<Record<string, string>>
  readonly affinity?: { readonly nodeAffinity?: { readonly requiredDuringSchedulingIgnoredDuringExecution?: { readonly nodeSelectorTerms?: readonly NodeSelectorTerm[] } } }
}

export const NodeAffinity: Filter = {
  name: 'NodeAffinity',
  filter: ({ object }, node) => {
    const { nodeSelector, affinity } = object['spec'] as Spec
    for (const key in nodeSelector) if (node.labels[key] !== nodeSelector[key]) return "node(s) didn't match Pod's node affinity/selector"
    const terms = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms
    return terms === undefined || terms.some((term) => matchesTerm(term, node.name, node.labels)) ? undefined : "node(s) didn't match Pod's node affinity/selector"
  }
}
