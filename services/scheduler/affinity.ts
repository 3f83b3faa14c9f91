/** Node selector terms: the language of nodeSelector and node affinity. Plain functions. */
import type { NodeSelectorRequirement, NodeSelectorTerm, Pod } from '#events/schema/generated/core.v1.ts'

const meets = (value: string | undefined, { operator, values = [] }: NodeSelectorRequirement): boolean => {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value)
    case 'NotIn':
      return value === undefined || !values.includes(value)
    case 'Exists':
      return value !== undefined
    case 'DoesNotExist':
      return value === undefined
    case 'Gt':
      return value !== undefined && Number(value) > Number(values[0])
    case 'Lt':
      return value !== undefined && Number(value) < Number(values[0])
    default:
      return false
  }
}

/** A term without requirements matches nothing, as upstream. */
export const matchesTerm = (term: NodeSelectorTerm, name: string, labels: Readonly<Record<string, string>>): boolean => {
  const { matchExpressions = [], matchFields = [] } = term
  if (matchExpressions.length + matchFields.length === 0) return false
  return (
    matchExpressions.every((requirement) => meets(labels[requirement.key], requirement)) &&
    matchFields.every((requirement) => requirement.key === 'metadata.name' && meets(name, requirement))
  )
}

export interface RequiredAffinity {
  readonly selector: readonly (readonly [key: string, value: string])[]
  readonly terms: readonly NodeSelectorTerm[] | undefined
}

/** What a pod demands of its node's labels; undefined: nothing. */
export const requiredAffinityOf = (pod: Pod): RequiredAffinity | undefined => {
  const { nodeSelector, affinity } = pod.spec
  const terms = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms
  const selector = Object.entries(nodeSelector ?? {})
  return selector.length === 0 && terms === undefined ? undefined : { selector, terms }
}

export const matchesRequired = ({ selector, terms }: RequiredAffinity, name: string, labels: Readonly<Record<string, string>>): boolean => {
  for (const [key, value] of selector) if (labels[key] !== value) return false
  return terms === undefined || terms.some((term) => matchesTerm(term, name, labels))
}
