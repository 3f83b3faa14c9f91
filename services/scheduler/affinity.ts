/** Node selector terms: the language of nodeSelector and node affinity. Plain functions. */

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
  return matchExpressions.every((requirement) => meets(labels[requirement.key], requirement)) && matchFields.every((requirement) => requirement.key === 'metadata.name' && meets(name, requirement))
}
