/** Stored objects as a version of their kind has them, worked out once for each. Plain functions. */
import type { Kind } from '#events/Kind.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { Entry } from '#projections/Objects.ts'

const known = new WeakMap<Kind, WeakMap<Entry, Entry>>()

/** In the order it has: what was answered to a write is what is read, letter by letter. */
const withoutVersion = (object: KubeObject): unknown => {
  const { resourceVersion: _, ...metadata } = object.metadata
  return { ...object, metadata }
}

/** The entry itself when it is stored as it is shown: nothing is parsed to find that out of kinds with one version. */
export const presented = (kind: Kind, entry: Entry): Entry => {
  if (kind.fromStorage === undefined) return entry
  let entries = known.get(kind)
  if (entries === undefined) known.set(kind, (entries = new WeakMap()))
  let shown = entries.get(entry)
  if (shown !== undefined) return shown
  const object = kind.fromStorage(entry.object)
  shown = object === entry.object ? entry : new Entry(entry.facts, JSON.stringify(withoutVersion(object)), object)
  entries.set(entry, shown)
  return shown
}
