/** Which of the names a CustomResourceDefinition asks for it gets: each is taken by one kind of a group, the first that had it. */
import type { Kind } from '#events/Kind.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { conditionIn, setCondition, type Condition } from '#events/meta/Conditions.ts'
import { same } from '#events/meta/faults.ts'
import { specOf, statusOf, type DefinitionStatus, type Names } from './definition.ts'

interface Taken {
  /** Plural, singular and short names share one space, kinds and list kinds another. */
  readonly resources: ReadonlySet<string>
  readonly kinds: ReadonlySet<string>
}

/**
 * What the other definitions of the group, and the kinds that are built in, have already; `earlier`: of those the ones whose word comes
 * first.
 */
export const takenBy = (others: readonly KubeObject[], earlier: readonly KubeObject[], builtIns: readonly Kind[]): Taken => {
  const resources = new Set<string>()
  const kinds = new Set<string>()
  const take = ({ plural, singular, shortNames, kind, listKind }: Partial<Names>): void => {
    for (const name of [plural, singular, ...(shortNames ?? [])]) if (name !== undefined && name !== '') resources.add(name)
    for (const name of [kind, listKind]) if (name !== undefined && name !== '') kinds.add(name)
  }
  for (const other of others) take(statusOf(other).acceptedNames ?? {})
  for (const other of earlier) if (conditionIn(statusOf(other).conditions, 'NamesAccepted') === undefined) take(specOf(other).names ?? {})
  for (const { resource, singular, shortNames, kind } of builtIns)
    take({ plural: resource, singular, kind, listKind: `${kind}List`, ...(shortNames === undefined ? {} : { shortNames }) })
  return { resources, kinds }
}

const INITIAL = 'the initial names have been accepted'

/** The status a definition should have. `now`: RFC 3339. */
export const statusWith = (definition: KubeObject, { resources, kinds }: Taken, now: string): DefinitionStatus => {
  const { names, versions } = specOf(definition) as { names: Names; versions: readonly { name: string; storage: boolean }[] }
  const status = statusOf(definition)
  const had = status.acceptedNames ?? {}
  const accepted: Partial<Names> = { ...had }
  let conflict: { readonly reason: string; readonly message: string } | undefined
  const ask = (name: 'plural' | 'singular' | 'kind' | 'listKind', taken: ReadonlySet<string>, reason: string): void => {
    const wanted = names[name]
    if (wanted === undefined || wanted === had[name]) return
    if (taken.has(wanted)) conflict = { reason, message: `"${wanted}" is already in use` }
    else accepted[name] = wanted
  }
  ask('plural', resources, 'PluralConflict')
  ask('singular', resources, 'SingularConflict')
  const clashing = (names.shortNames ?? []).filter((name) => resources.has(name) && had.shortNames?.includes(name) !== true)
  if (clashing.length > 0)
    conflict = { reason: 'ShortNamesConflict', message: clashing.map((name) => `"${name}" is already in use`).join(', ') }
  else if (names.shortNames === undefined) delete accepted.shortNames
  else accepted.shortNames = names.shortNames
  ask('kind', kinds, 'KindConflict')
  ask('listKind', kinds, 'ListKindConflict')
  if (names.categories === undefined) delete accepted.categories
  else accepted.categories = names.categories
  const wasEstablished = conditionIn(status.conditions, 'Established')?.status === 'True'
  let conditions = setCondition<Condition>(
    status.conditions,
    conflict === undefined
      ? { type: 'NamesAccepted', status: 'True', reason: 'NoConflicts', message: 'no conflicts found' }
      : { type: 'NamesAccepted', status: 'False', ...conflict },
    now
  )
  if (conflict === undefined)
    conditions = setCondition(conditions, { type: 'Established', status: 'True', reason: 'InitialNamesAccepted', message: INITIAL }, now)
  else if (!wasEstablished)
    conditions = setCondition(
      conditions,
      { type: 'Established', status: 'False', reason: 'NotAccepted', message: 'not all names are accepted' },
      now
    )
  const stored = versions.find(({ storage }) => storage)?.name
  const before = status.storedVersions ?? []
  const storedVersions = stored === undefined || before.includes(stored) ? before : [...before, stored]
  const next = { ...status, conditions, acceptedNames: accepted, storedVersions }
  return same(next, status) ? status : next
}
