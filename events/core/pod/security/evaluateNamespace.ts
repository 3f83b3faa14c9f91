/** What a stricter policy would mean for the pods a namespace has: one line for each way of violating it. */
import { PODS } from '#events/collections.ts'
import { controllerOf } from '#events/KubeObject.ts'
import type { Pod } from '#events/schema/generated/core.v1.ts'
import { reasonsOf, violationsOf } from './evaluate.ts'
import { policyName, type LevelVersion } from './policy.ts'
import { subjectOf } from './templates.ts'
import { byCodePoint } from './words.ts'

/** Pods looked at; upstream's bound. It also ends after a second, which this need not: 3,000 pods take a fraction of one. */
export const PODS_MAX = 3_000

/** One pod of each controller first: should the bound cut the rest off, theirs are the same again. */
const prioritized = (pods: readonly Pod[], exempt: readonly string[]): Pod[] => {
  const seen = new Set<string>()
  const again: Pod[] = []
  const first = pods.filter((pod) => {
    if (exempt.includes(pod.spec?.runtimeClassName ?? '')) return false
    const owner = controllerOf(pod)?.uid
    if (owner === undefined) return true
    if (seen.has(owner)) {
      again.push(pod)
      return false
    }
    seen.add(owner)
    return true
  })
  return [...first, ...again]
}

const others = (count: number): string => (count === 1 ? '' : count === 2 ? ' (and 1 other pod)' : ` (and ${count - 1} other pods)`)

/** Warnings in upstream's words; none when every pod would be allowed. */
export const evaluateNamespace = (
  namespace: string,
  enforce: LevelVersion,
  pods: readonly Pod[],
  exemptRuntimeClasses: readonly string[]
): string[] => {
  const all = prioritized(pods, exemptRuntimeClasses)
  const checked = all.slice(0, PODS_MAX)
  const found = new Map<string, { first: string; count: number }>()
  for (const pod of checked) {
    const subject = subjectOf(PODS, pod)
    const reasons = subject === undefined ? '' : reasonsOf(violationsOf(enforce, subject))
    if (reasons === '') continue
    const name = pod.metadata.name ?? ''
    const group = found.get(reasons)
    if (group === undefined) found.set(reasons, { first: name, count: 1 })
    else {
      group.count += 1
      if (name < group.first) group.first = name
    }
  }
  return [
    ...(checked.length < all.length
      ? [`new PodSecurity enforce level only checked against the first ${checked.length} of ${all.length} existing pods`]
      : []),
    ...(found.size === 0
      ? []
      : [`existing pods in namespace "${namespace}" violate the new PodSecurity enforce level "${policyName(enforce)}"`]),
    ...[...found].map(([reasons, { first, count }]) => `${first}${others(count)}: ${reasons}`).sort(byCodePoint)
  ]
}
