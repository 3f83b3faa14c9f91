/** What a namespace that is going says of what keeps it: upstream's five conditions, in upstream's words. */
import type { KubeObject } from '#events/KubeObject.ts'

/** Objects of one kind that are still there. */
export interface Remaining {
  readonly group: string
  readonly resource: string
  readonly objects: readonly KubeObject[]
}

export interface NamespaceCondition {
  readonly type: string
  readonly status: string
  readonly reason?: string
  readonly message?: string
  readonly lastTransitionTime?: string
}

/** Discovery and parsing can't fail where the kinds are a value, nor a deletion without being asked for again: these say so. */
const FINE: Readonly<Record<string, readonly [reason: string, message: string]>> = {
  NamespaceDeletionDiscoveryFailure: ['ResourcesDiscovered', 'All resources successfully discovered'],
  NamespaceDeletionGroupVersionParsingFailure: ['ParsedGroupVersions', 'All legacy kube types successfully parsed'],
  NamespaceDeletionContentFailure: ['ContentDeleted', 'All content successfully deleted, may be waiting on finalization'],
  NamespaceContentRemaining: ['ContentRemoved', 'All content successfully removed'],
  NamespaceFinalizersRemaining: ['ContentHasNoFinalizers', 'All content-preserving finalizers finished']
}

const remainingOf = (remaining: readonly Remaining[]): Readonly<Record<string, readonly [reason: string, message: string]>> => {
  const finalizers = new Map<string, number>()
  for (const { objects } of remaining)
    for (const finalizer of objects.flatMap(({ metadata }) => metadata.finalizers ?? []))
      finalizers.set(finalizer, (finalizers.get(finalizer) ?? 0) + 1)
  const content = remaining.map(({ group, resource, objects }) => `${resource}.${group} has ${objects.length} resource instances`)
  const held = [...finalizers].map(([finalizer, count]) => `${finalizer} in ${count} resource instances`)
  const said = (lines: readonly string[], words: string): string => `${words}: ${lines.toSorted().join(', ')}`
  const kept = 'Some content in the namespace has finalizers remaining'
  return {
    ...(content.length === 0 ? {} : { NamespaceContentRemaining: ['SomeResourcesRemain', said(content, 'Some resources are remaining')] }),
    ...(held.length === 0 ? {} : { NamespaceFinalizersRemaining: ['SomeFinalizersRemain', said(held, kept)] })
  }
}

/** All of the namespace's conditions as they are now; undefined when it says them already. `time`: RFC 3339. */
export const conditionsOf = (
  old: readonly NamespaceCondition[],
  remaining: readonly Remaining[],
  time: string
): NamespaceCondition[] | undefined => {
  const wrong = remainingOf(remaining)
  const now = Object.entries(FINE).map(([type, fine]): NamespaceCondition => {
    const [reason, message] = wrong[type] ?? fine
    const status = wrong[type] === undefined ? 'False' : 'True'
    const before = old.find((condition) => condition.type === type)
    if (before?.status === status && before.reason === reason && before.message === message) return before
    return { type, status, reason, message, lastTransitionTime: before?.status === status ? (before.lastTransitionTime ?? time) : time }
  })
  if (now.every((condition) => old.includes(condition))) return undefined
  return [...old.filter(({ type }) => FINE[type] === undefined), ...now]
}
