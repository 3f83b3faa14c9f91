/** The API of a cluster without CustomResourceDefinitions, for tests that need no other. */
import type { Kind } from '#events/Kind.ts'
import type { ResourceRef } from '#events/Key.ts'
import { builtInApi } from '#events/scheme.ts'
import type { StreamName } from '#events/Subject.ts'

export const builtIns = builtInApi()
export const KINDS = builtIns.kinds
export const kindOf = (ref: ResourceRef): Kind | undefined => builtIns.kindOf(ref)
export const kindNamed = (group: string, version: string | undefined, kind: string): Kind | undefined =>
  builtIns.kindNamed(group, version, kind)
export const streamOf = (ref: ResourceRef): StreamName => builtIns.streamOf(ref)
