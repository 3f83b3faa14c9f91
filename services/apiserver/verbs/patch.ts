/** patch: the four patch types, each computed on the present object, then stored as an update (apply may create). */
import { timestamp } from '#events/meta/time.ts'
import type { Intent } from '#events/Intent.ts'
import { collectionOf, type Kind } from '#events/Kind.ts'
import { undecoded, type KubeObject } from '#events/KubeObject.ts'
import { isObject } from '#events/meta/json.ts'
import { required } from '#events/meta/faults.ts'
import { badRequest, invalid, notFound, Refusal, unsupportedMediaType } from '#events/Refusal.ts'
import { jsonWord } from '#events/schema/scalars.ts'
import type { TypeSchema } from '#events/schema/Schema.ts'
import type { DecideContext, Decided } from '#services/apiserver/decision.ts'
import { applyPatch } from '#services/apiserver/patch/apply.ts'
import { resetFields } from '#services/apiserver/patch/managedFields.ts'
import { applyJsonPatch } from '#services/apiserver/patch/json.ts'
import { applyMergePatch } from '#services/apiserver/patch/merge.ts'
import { applyStrategicMergePatch } from '#services/apiserver/patch/strategic.ts'
import { apiVersionOf, checkKind, decodeObject, decodePatched, typeOf } from '#services/apiserver/request/decode.ts'
import { presented } from '#services/apiserver/request/present.ts'
import { createObject } from './create.ts'
import { checkName, existing, replaceObject } from './update.ts'

const PATCH_TYPES = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/apply-patch+yaml'
] as const
/** How lists of a custom object merge strategically nobody has said. */
const CUSTOM_PATCH_TYPES = PATCH_TYPES.filter((type) => type !== 'application/strategic-merge-patch+json')

export const decidePatch = (kind: Kind, intent: Intent, context: DecideContext): Decided => {
  if (intent.patch?.type === 'application/apply-patch+yaml') return decideApply(kind, intent, context)
  const entry = existing(kind, intent, context)
  if (kind.schema !== undefined && intent.patch?.type === 'application/strategic-merge-patch+json')
    throw unsupportedMediaType(CUSTOM_PATCH_TYPES)
  const patched = patchValue(typeOf(kind), entry.object, intent)
  // A strategic patch is of the kind its path says, whatever it says itself.
  const named =
    intent.patch?.type === 'application/strategic-merge-patch+json'
      ? { ...(patched as KubeObject), apiVersion: entry.object.apiVersion, kind: entry.object.kind }
      : patched
  const { object, warnings } = decodePatched(kind, named, intent.options?.fieldValidation)
  checkName(kind, object, intent)
  // Only a resourceVersion the patch itself brought is a lock; the present one rides along in the object.
  if (object.metadata.resourceVersion === entry.object.metadata.resourceVersion) delete object.metadata.resourceVersion
  return replaceObject(kind, intent, object, entry, context, warnings)
}

/** The patched document, of `type`; shared with the scale subresource, whose document is a Scale. */
export const patchValue = (schema: TypeSchema, document: KubeObject, intent: Intent): unknown => {
  const { type, body } = intent.patch ?? {}
  switch (type) {
    case 'application/json-patch+json': {
      const patched = applyJsonPatch(document, body)
      if ('refused' in patched)
        throw new Refusal(patched.refused.code, patched.refused.code === 400 ? 'BadRequest' : 'Invalid', patched.refused.message)
      return patched.ok
    }
    case 'application/merge-patch+json':
      return applyMergePatch(document, patchObject(body))
    case 'application/strategic-merge-patch+json':
      return applyStrategicMergePatch(schema, document, body === null ? {} : patchObject(body))
    default:
      throw unsupportedMediaType(PATCH_TYPES)
  }
}

const patchObject = (body: unknown): Record<string, unknown> => {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw badRequest(`error decoding patch: json: cannot unmarshal ${jsonWord(body)} into Go value of type map[string]interface {}`)
  return body as Record<string, unknown>
}

/** What a request may own: an object's status is applied through its subresource, everything else not. The rest is said in vain. */
const halfOf = (kind: Kind, applied: KubeObject, subresource: string): KubeObject => {
  if (kind.hasStatus !== true) return applied
  const { status, ...main } = applied
  if (subresource === '') return main
  const { apiVersion, kind: says, metadata } = applied
  const { name, namespace, uid, resourceVersion, managedFields } = metadata
  return JSON.parse(
    JSON.stringify({ apiVersion, kind: says, metadata: { name, namespace, uid, resourceVersion, managedFields }, status })
  ) as KubeObject
}

/** A copy to be changed: what it says it is, with metadata that can be looked into. Throws 400. */
const asApplied = (kind: Kind, applied: KubeObject): KubeObject => {
  checkKind(applied, kind)
  if (applied.metadata !== undefined && !isObject(applied.metadata))
    throw badRequest(`failed to create typed patch object: .metadata: expected map, got &{${JSON.stringify(applied.metadata)}}`)
  return { ...applied, metadata: { ...applied.metadata } }
}

const decideApply = (kind: Kind, intent: Intent, context: DecideContext): Decided => {
  if ((intent.options?.fieldManager ?? '') === '')
    throw invalid('meta.k8s.io', 'PatchOptions', '', [required('fieldManager', 'is required for apply patch')])
  const applied = undecoded(patchObject(intent.patch?.body))
  const [apiVersion, says]: readonly unknown[] = [applied.apiVersion ?? '', applied.kind ?? '']
  if (typeof apiVersion === 'string' && typeof says === 'string' && (apiVersion === '' || says === ''))
    throw badRequest(`invalid object type: ${apiVersion.includes('/') ? '' : '/'}${apiVersion}, Kind=${says}`)
  const wanted = asApplied(kind, applied)
  const stored = context.view.get({ ...collectionOf(kind), namespace: intent.namespace, name: intent.name })
  const entry = stored === undefined ? undefined : presented(kind, stored)
  if (entry === undefined && (intent.subresource ?? '') !== '') throw notFound(kind, intent.name)
  if (entry === undefined && (wanted.metadata.uid ?? '') !== '') throw notFound(kind, intent.name)
  if (entry !== undefined) wanted.metadata.name ??= intent.name
  checkName(kind, wanted, intent)
  const result = applyPatch({
    type: typeOf(kind),
    live: entry?.object,
    applied: halfOf(kind, wanted, intent.subresource ?? ''),
    manager: intent.options?.fieldManager as string,
    force: intent.options?.force === true,
    apiVersion: apiVersionOf(kind),
    time: timestamp(context.now),
    subresource: intent.subresource,
    reset: resetFields(kind, typeOf(kind), intent.subresource ?? '')
  })
  if ('conflicts' in result) {
    const count = result.conflicts.length
    throw new Refusal(409, 'Conflict', result.message ?? `Apply failed with ${count} conflict${count === 1 ? '' : 's'}`, {
      causes: result.conflicts
    })
  }
  const { object, warnings } = decodeObject(kind, result.object, 'Ignore')
  if (entry === undefined) return createObject(kind, intent, object, context, warnings, true)
  if (object.metadata.resourceVersion === entry.object.metadata.resourceVersion) delete object.metadata.resourceVersion
  return replaceObject(kind, intent, object, entry, context, warnings, true)
}
