/** Between an object's key and its NATS subject: `ev.apps.deployments.default.web`. */
import type { ObjectKey, ResourceRef } from './Key.ts'

/** The streams that hold API objects; a kind lives in exactly one of them. */
export type StreamName = 'EVENTS' | 'NOTICES' | 'PULSE'

const ROOT: Readonly<Record<StreamName, string>> = { EVENTS: 'ev', NOTICES: 'notice', PULSE: 'pulse.object' }

/**
 * Percent-encodes what a NATS token can't hold (`.`, `*`, `>`, `%`, white space, anything not printable ASCII),
 * so that CRD names, groups and RBAC names such as `system:node` survive a round trip.
 */
export const encodeToken = (text: string): string =>
  text.replace(/[^A-Za-z0-9_:@=+~!$&'(),;/-]/gu, (char) =>
    Array.from(new TextEncoder().encode(char), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('')
  )

export const decodeToken = (token: string): string => decodeURIComponent(token)

const CLUSTER_SCOPE = '_'

export const subjectOf = (stream: StreamName, key: ObjectKey): string =>
  `${ROOT[stream]}.${key.group === '' ? 'core' : encodeToken(key.group)}.${encodeToken(key.resource)}.` +
  `${key.namespace === '' ? CLUSTER_SCOPE : encodeToken(key.namespace)}.${encodeToken(key.name)}`

/** The subjects of a whole collection, or of its part in one namespace: `ev.apps.deployments.>`. */
export const subjectsOf = (stream: StreamName, ref: ResourceRef, namespace?: string): string =>
  `${ROOT[stream]}.${ref.group === '' ? 'core' : encodeToken(ref.group)}.${encodeToken(ref.resource)}.` +
  (namespace === undefined ? '>' : `${namespace === '' ? CLUSTER_SCOPE : encodeToken(namespace)}.>`)

/** Where the versions are kept that objects had at the floor of history: the subject of the stream BASE for one of EVENTS, and back. */
export const BASE = 'BASE'
export const baseSubjectOf = (subject: string): string => `base.${subject.slice('ev.'.length)}`
export const subjectOfBase = (subject: string): string => `ev.${subject.slice('base.'.length)}`

/** The key a subject names, or undefined when the subject does not name an object of that stream. */
export const keyOfSubject = (stream: StreamName, subject: string): ObjectKey | undefined => {
  const root = ROOT[stream]
  if (!subject.startsWith(`${root}.`)) return undefined
  const [group, resource, namespace, name, ...rest] = subject.slice(root.length + 1).split('.')
  if (group === undefined || resource === undefined || namespace === undefined || name === undefined || rest.length > 0) return undefined
  return {
    group: group === 'core' ? '' : decodeToken(group),
    resource: decodeToken(resource),
    namespace: namespace === CLUSTER_SCOPE ? '' : decodeToken(namespace),
    name: decodeToken(name)
  }
}
