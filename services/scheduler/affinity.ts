/** Node selector terms: the language of nodeSelector and node affinity. Plain functions. */
import type { KubeObject } from '#events/KubeObject.ts'

export interface NodeRequirement {
  readonly key: string
  readonly operator: string
  readonly values?: readonly string[]
}

export interface NodeSelectorTerm {
  readonly matchExpressions?: readonly NodeRequirement[]
  readonly matchFields?: readonly NodeRequirement[]
}

const meets = (value: string | undefined, { operator, values = [] }: NodeRequirement): boolean => {
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

interface Spec {
  readonly nodeSelector?: Readonly<Record<string, string>>
  readonly affinity?: {
    readonly nodeAffinity?: {
      readonly requiredDuringSchedulingIgnoredDuringExecution?: { readonly nodeSelectorTerms?: readonly NodeSelectorTerm[] }
    }
  }
}

/** What a pod demands of its node's labels; undefined: nothing. */
export const requiredAffinityOf = (pod: KubeObject): RequiredAffinity | undefined => {
  const { nodeSelector, affinity } = pod['spec'] as Spec
  const terms = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms
  const selector = Object.entries(nodeSelector ?? {})
  return selector.length === 0 && terms === undefined ? undefined : { selector, terms }
}

export const matchesRequired = ({ selector, terms }: RequiredAffinity, name: string, labels: Readonly<Record<string, string>>): boolean => {
  for (const [key, value] of selector) if (labels[key] !== value) return false
  return terms === undefined || terms.some((term) => matchesTerm(term, name, labels))
}
