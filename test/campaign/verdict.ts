/** What must hold after whatever was done: the whole log read by a reader of its own, held against what was answered and seen. */
import { at } from '#test/support/kinds.ts'
import { isGuard } from '#events/guard.ts'
import { decodeFacts } from '#events/Event.ts'
import { keyId } from '#events/Key.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { connectNats } from '#ops/nats/connect.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import type { Plane } from '#test/support/plane.ts'
import { NAMESPACE, type Load } from './load.ts'
import type { Reflector, Seen } from './reflector.ts'

export interface Verdict {
  readonly events: number
  readonly acknowledged: number
  /** One sentence each; empty when everything holds. */
  readonly faults: readonly string[]
}

interface Stored extends Seen {
  readonly id: string
  readonly deleted: boolean
}

/** Faults beyond this are counted, not told. */
const TOLD = 20

/** Every event of the stream, and what is wrong with their order. */
const readLog = async (
  plane: Plane
): Promise<{ readonly events: number; readonly configMaps: readonly Stored[]; readonly faults: string[] }> => {
  const connection = await connectNats(plane.home, plane.config, 'keeper', { waitOnFirstConnect: false })
  const faults: string[] = []
  const heads = new Map<string, number>()
  const ids = new Set<string>()
  const configMaps: Stored[] = []
  let events = 0
  try {
    await new Promise<void>((resolve, reject) => {
      const subscription = new JetStreamLog(connection, 'EVENTS').follow({
        from: 1,
        onEntries: (entries) => {
          for (const entry of entries) {
            events += 1
            const { key, sequence, expected, id, deleted } = decodeFacts('EVENTS', entry)
            const name = keyId(key)
            // A guard follows the object it holds, and not the guard before it.
            if (!isGuard(key) && expected !== (heads.get(name) ?? 0))
              faults.push(`${name}: event ${sequence} follows ${expected}, but ${heads.get(name) ?? 0} was its last`)
            if (ids.has(id)) faults.push(`intent ${id} made two events, the second at ${sequence}`)
            ids.add(id)
            heads.set(name, sequence)
            if (key.resource === 'configmaps' && key.namespace === NAMESPACE)
              configMaps.push({
                id,
                sequence,
                name: key.name,
                deleted,
                type: deleted ? 'DELETED' : expected === 0 ? 'ADDED' : 'MODIFIED',
                value: (at(JSON.parse(entry.text) as KubeObject, 'data.value') as string | undefined) ?? ''
              })
          }
        },
        onCaughtUp: () => {
          subscription.close()
          resolve()
        },
        onFailed: reject
      })
    })
  } finally {
    await connection.close()
  }
  return { events, configMaps, faults }
}

export const verdictOf = async (plane: Plane, loads: readonly Load[], reflectors: readonly Reflector[] = []): Promise<Verdict> => {
  const { events, configMaps, faults } = await readLog(plane)
  const bySequence = new Map(configMaps.map((stored) => [stored.sequence, stored]))
  /** How often a value was stored by a change; a deletion repeats the last one. */
  const written = new Map<string, number>()
  const deleted = new Set<string>()
  for (const stored of configMaps) {
    if (stored.deleted) deleted.add(stored.name)
    else if (stored.value !== '') written.set(stored.value, (written.get(stored.value) ?? 0) + 1)
  }
  for (const [value, count] of written) if (count > 1) faults.push(`${value} was written once and is in the log ${count} times`)
  const versions = new Map<number, string>()
  for (const { acknowledged, refused } of loads) {
    for (const { verb, name, value, version } of acknowledged) {
      if (verb === 'delete') {
        if (!deleted.has(name)) faults.push(`the deletion of ${name} was acknowledged and is not in the log`)
        continue
      }
      const stored = bySequence.get(version)
      if (stored === undefined) faults.push(`${value} was acknowledged as ${version}, which is not in the log`)
      else if (stored.name !== name || stored.value !== value)
        faults.push(`${value} was acknowledged as ${version}, where the log has ${stored.name} ${stored.value}`)
      const before = versions.get(version)
      if (before !== undefined) faults.push(`resourceVersion ${version} was handed out for ${before} and for ${value}`)
      versions.set(version, value)
    }
    for (const value of refused) if (written.has(value)) faults.push(`${value} was refused and is in the log`)
  }
  for (const reflector of reflectors) faults.push(...reflector.faultsAgainst(configMaps))
  const acknowledged = loads.reduce((sum, load) => sum + load.acknowledged.length, 0)
  return { events, acknowledged, faults: faults.length > TOLD ? [...faults.slice(0, TOLD), `and ${faults.length - TOLD} more`] : faults }
}
