/** A pod's quality-of-service class: who is evicted last when memory runs out. */
import type { PodSpec } from '#events/schema/generated/core.v1.ts'
import { compareQuantities } from '#events/meta/Quantity.ts'

const COUNTED = ['cpu', 'memory'] as const

const positive = (amount: string | undefined): boolean => amount !== undefined && compareQuantities(amount, '0') > 0

/** Guaranteed: every container's cpu and memory requests equal its limits; BestEffort: no container has any. */
export const qosClassOf = (spec: PodSpec): 'Guaranteed' | 'Burstable' | 'BestEffort' => {
  let guaranteed = true
  let some = false
  for (const container of [...(spec.containers ?? []), ...(spec.initContainers ?? [])]) {
    const { requests, limits } = container.resources ?? {}
    for (const name of COUNTED) {
      const limit = limits?.[name]
      const request = requests?.[name] ?? limit
      if (positive(limit) || positive(request)) some = true
      if (!positive(limit) || compareQuantities(request, limit) !== 0) guaranteed = false
    }
  }
  return !some ? 'BestEffort' : guaranteed ? 'Guaranteed' : 'Burstable'
}
