/** Pod templates of a deployment: their hash, which names ReplicaSets, and whether two are the same. Plain functions. */
import type { KubeObject } from '#events/KubeObject.ts'
import { same } from '#events/meta/faults.ts'
import { HASH_LABEL } from './situation.ts'

/** As upstream: no vowels, so no words. */
const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789'

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
  let value = 0x811c9dc5
  let high = 0xcbf29ce4
  for (let at = 0; at < text.length; at++) {
    value = Math.imul(value ^ text.charCodeAt(at), 0x01000193) >>> 0
    high = Math.imul(high ^ text.charCodeAt(at), 0x01000197) >>> 0
  }
  let number = BigInt(high) * 2n ** 32n + BigInt(value)
  let hash = ''
  while (hash.length < 10) {
    hash += ALPHABET[Number(number % 27n)]
    number /= 27n
  }
  return hash
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
