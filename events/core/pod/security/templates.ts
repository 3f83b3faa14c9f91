/** Where the kinds that make pods keep what their pods will be. */
import type { PodSpec } from '#events/schema/generated/core.v1.ts'
import { resourceId, type ResourceRef } from '#events/Key.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import type { Subject } from './Check.ts'

const TEMPLATE = ['spec', 'template']

/** By resource id: the path to what has a pod's `metadata` and `spec`. Kinds that are not served yet cost nothing here. */
export const TEMPLATES: ReadonlyMap<string, readonly string[]> = new Map([
  ['/pods', []],
  ['/podtemplates', ['template']],
  ['/replicationcontrollers', TEMPLATE],
  ['apps/daemonsets', TEMPLATE],
  ['apps/deployments', TEMPLATE],
  ['apps/replicasets', TEMPLATE],
  ['apps/statefulsets', TEMPLATE],
  ['batch/cronjobs', ['spec', 'jobTemplate', ...TEMPLATE]],
  ['batch/jobs', TEMPLATE]
])

/** The pod an object is, or will make; undefined for one that has none (a ReplicationController may not). */
export const subjectOf = (ref: ResourceRef, object: KubeObject): Subject | undefined => {
  const path = TEMPLATES.get(resourceId(ref))
  if (path === undefined) return undefined
  const found = path.reduce<unknown>((value, field) => (value as Record<string, unknown> | undefined)?.[field], object) as
    Partial<Subject> | undefined
  if (found === undefined) return undefined
  return { metadata: found.metadata ?? {}, spec: found.spec ?? ({} as PodSpec) }
}
