/** Pod templates of a deployment: their hash, which names ReplicaSets, and whether two are the same. Plain functions. */
import type { KubeObject } from '#events/KubeObject.ts'
import { same } from '#events/meta/faults.ts'
import { fnv1a, lettersOf } from '#events/meta/hash.ts'
import { HASH_LABEL } from './situation.ts'

const canonical = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(canonical)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => item !== undefined && item !== null)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, item]) => [key, canonical(item)])
  )
}

/** FNV-1a over the canonical template and the collision count, in letters that are safe in names. */
export const templateHash = (template: unknown, collisions = 0): string => {
  const text = `${JSON.stringify(canonical(template))}#${collisions}`
  return lettersOf(BigInt(fnv1a(text, 0xcbf29ce4, 0x01000197)) * 2n ** 32n + BigInt(fnv1a(text)), 10)
}

interface Template {
  readonly metadata?: KubeObject['metadata']
  readonly spec?: unknown
}

/** The same but for the hash label a ReplicaSet's template carries. */
export const sameTemplate = (left: Template, right: Template): boolean => same(plain(left), plain(right))

const plain = ({ metadata, ...rest }: Template): unknown => {
  const { [HASH_LABEL]: _, ...labels } = metadata?.labels ?? {}
  const { creationTimestamp: __, ...meta } = metadata ?? {}
  return { ...rest, metadata: { ...meta, labels } }
}
