/**
 * What of a confidential object may lie open in the log, and what is sealed under the object's own key: everything but its
 * name, its labels and what else of its metadata others need to see (owners, finalizers). Annotations are sealed too:
 * `kubectl apply` keeps a copy of the whole object in one. Plain functions; the cipher is the shell's.
 */
import { bodyOf } from './Event.ts'
import type { ResourceRef } from './Key.ts'
import type { KubeObject } from './KubeObject.ts'

/** Holds the sealed rest of an object in its body. */
const SEALED_FIELD = 'reckon.io/sealed'
/** Annotation of what is left of an object whose key was destroyed. */
const ERASED = 'reckon.io/erased'
/** Header: the uid under whose key the body is sealed. */
export const SEALED_HEADER = 'reckon-sealed'

/** Kinds whose contents are sealed. */
export const isConfidential = ({ group, resource }: ResourceRef): boolean => group === '' && resource === 'secrets'

export interface Halves {
  readonly open: KubeObject
  /** JSON of the rest. */
  readonly secret: string
}

export const halvesOf = (object: KubeObject): Halves => {
  const { apiVersion, kind, metadata, ...rest } = object
  const { annotations, ...meta } = metadata
  return {
    open: { apiVersion, kind, metadata: meta },
    secret: JSON.stringify({ rest, ...(annotations === undefined ? {} : { annotations }) })
  }
}

/** There is something to seal, beyond the word that what there was is gone. */
export const hasContents = ({ apiVersion: _, kind: __, metadata: { annotations = {} }, ...rest }: KubeObject): boolean =>
  Object.values(rest).some((value) => typeof value === 'object' && value !== null && Object.keys(value).length > 0) ||
  Object.keys(annotations).some((name) => name !== ERASED)

/** The open half with the sealed rest in it, as it is stored. */
export const sealedBody = (open: KubeObject, sealed: string): string => bodyOf({ ...open, [SEALED_FIELD]: sealed })

/** The sealed rest of a stored body. */
export const sealedIn = (body: string): string | undefined => (JSON.parse(body) as KubeObject)[SEALED_FIELD] as string | undefined

/** The whole body again. */
export const joinedBody = (body: string, secret: string): string => {
  const { [SEALED_FIELD]: _, metadata, ...open } = JSON.parse(body) as KubeObject
  const { rest, annotations } = JSON.parse(secret) as { rest: Record<string, unknown>; annotations?: Record<string, string> }
  return bodyOf({ ...open, metadata: { ...metadata, ...(annotations === undefined ? {} : { annotations }) }, ...rest } as KubeObject)
}

/** What is left of an object whose key is not to be had: its open half, and a word of why there is no more. */
export const openBody = (body: string, why: 'erased' | 'sealed'): string => {
  const { [SEALED_FIELD]: _, metadata, ...open } = JSON.parse(body) as KubeObject
  return bodyOf({
    ...open,
    metadata: { ...metadata, annotations: { [why === 'erased' ? ERASED : 'reckon.io/sealed']: 'true' } }
  } as KubeObject)
}
