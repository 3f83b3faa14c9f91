/** Status conditions: a list keyed by type, whose transition time moves only with the status. */

export interface Condition {
  readonly type: string
  readonly status: 'True' | 'False' | 'Unknown' | (string & {})
  readonly reason?: string
  readonly message?: string
  readonly lastTransitionTime?: string | null
}

/** An object that tells of itself in conditions: pods, nodes and many more. */
export interface Conditioned<C> {
  readonly status?: { readonly conditions?: readonly C[] }
}

export const conditionIn = <C extends { readonly type: string }>(conditions: readonly C[] | undefined, type: string): C | undefined =>
  conditions?.find((condition) => condition.type === type)

/** A condition of `status.conditions`. */
export const conditionOf = <C extends Pick<Condition, 'type'>>(object: Conditioned<C>, type: string): C | undefined =>
  conditionIn(object.status?.conditions, type)

export const isTrue = (object: Conditioned<Pick<Condition, 'type' | 'status'>>, type: string): boolean =>
  conditionOf(object, type)?.status === 'True'

/**
 * The list with the condition set, in place of the one of its type or at the end. The same list when nothing changes.
 * @param now RFC 3339: becomes `lastTransitionTime` when the status changes (or the condition is new).
 */
export const setCondition = <C extends Condition>(conditions: readonly C[] | undefined, condition: C, now: string): readonly C[] => {
  const list = conditions ?? []
  const at = list.findIndex(({ type }) => type === condition.type)
  const old = list[at]
  if (old === undefined) return [...list, { lastTransitionTime: now, ...condition }]
  const merged: C = {
    ...old,
    ...condition,
    lastTransitionTime: old.status === condition.status ? (old.lastTransitionTime ?? now) : (condition.lastTransitionTime ?? now)
  }
  if ((Object.keys(merged) as (keyof C)[]).every((key) => merged[key] === old[key])) return list
  return list.with(at, merged)
}

export const removeCondition = <C extends Condition>(conditions: readonly C[] | undefined, type: string): readonly C[] =>
  (conditions ?? []).filter((condition) => condition.type !== type)
