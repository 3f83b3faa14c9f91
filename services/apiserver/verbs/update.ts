/** update: the whole object (or one half of it, through a subresource) replaced, under an optimistic lock. */
import { timestamp } from '#events/meta/time.ts'
import type { Intent } from '#events/Intent.ts'
import { collectionOf, type Kind } from '#events/Kind.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { validateMeta, validateMetaUpdate } from '#events/meta/ObjectMeta.ts'
import { badRequest, conflict, invalid, notFound } from '#events/Refusal.ts'
import type { Entry } from '#projections/Objects.ts'
import type { DecideContext, Decided } from '#services/apiserver/decision.ts'
import { admit, saying } from '#services/apiserver/admission/admission.ts'
import { allocate, prepareClaims } from '#services/apiserver/claims/claims.ts'
import { apiVersionOf, decodeObject, typeOf } from '#services/apiserver/request/decode.ts'
import { eventFor } from '#services/apiserver/request/events.ts'
import { presented } from '#services/apiserver/request/present.ts'
import { keepMetadata } from '#events/meta/halves.ts'
import { resetFields, trackUpdate } from '#services/apiserver/patch/managedFields.ts'
import { badValue, same } from '#events/meta/faults.ts'

export const existing = (kind: Kind, intent: Intent, context: DecideContext): Entry => {
  const entry = context.view.get({ ...collectionOf(kind), namespace: intent.namespace, name: intent.name })
  if (entry === undefined) throw notFound(kind, intent.name)
  return presented(kind, entry)
}

/** Objects do not move: name and namespace are those of the request. Throws 400. */
export const checkName = (kind: Pick<Kind, 'namespaced'>, object: KubeObject, intent: Intent): void => {
  const { name = '', namespace = '' } = object.metadata
  if (name === '') throw badRequest(`the name of the object (${intent.name} based on URL) was undeterminable: name must be provided`)
  if (name !== intent.name) throw badRequest(`the name of the object (${name}) does not match the name on the URL (${intent.name})`)
  if (kind.namespaced && namespace !== '' && namespace !== intent.namespace)
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request')
}

/** Whoever replaces an object means that very one; whoever patches another uid into it wants what can't be. Throws 409 and 422. */
const checkUid = (kind: Kind, intent: Intent, uid: string | undefined, old: KubeObject): void => {
  if ((uid ?? '') === '' || uid === old.metadata.uid) return
  if (intent.verb === 'patch') throw invalid(kind.group, kind.kind, intent.name, [badValue('metadata.uid', uid, 'field is immutable')])
  throw conflict(kind, intent.name, `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata.uid}`)
}

export const decideUpdate = (kind: Kind, intent: Intent, context: DecideContext): Decided => {
  const { object, warnings } = decodeObject(kind, intent.object, intent.options?.fieldValidation)
  checkName(kind, object, intent)
  return replaceObject(kind, intent, object, existing(kind, intent, context), context, warnings)
}

/** The common end of update, patch and apply. `managed`: the field owners in the object are right already. */
export const replaceObject = (
  kind: Kind,
  intent: Intent,
  object: KubeObject,
  entry: Entry,
  context: DecideContext,
  told: readonly string[],
  managed = false
): Decided => {
  const warnings = (intent.subresource ?? '') === '' ? [...told, ...(kind.warnings?.(object) ?? [])] : told
  const old = entry.object
  const subresource = intent.subresource ?? ''
  const meta = object.metadata
  if ((meta.resourceVersion ?? '') !== '' && meta.resourceVersion !== '0' && meta.resourceVersion !== String(entry.sequence))
    throw conflict(kind, intent.name)
  checkUid(kind, intent, meta.uid, old)
  kind.default?.(object)
  if (!managed) track(kind, intent, object, old, context)
  // As upstream, before anything of the object is taken over from the present one: what the client means to change.
  const said = admit(
    { operation: 'UPDATE', kind, subresource, intent, namespace: intent.namespace, name: intent.name, object, old },
    context
  )
  carryMetadata(object, old, kind, intent)
  kind.prepareForUpdate?.(object, old, subresource, { now: timestamp(context.now) })
  // Other subresources write their own part alone; what of the metadata a status write may touch is its kind's business.
  if (subresource !== '' && subresource !== 'status') keepMetadata(object, old)
  if (subresource === '') prepareClaims(kind, object, old, context)
  kind.default?.(object)
  if (subresource === '') allocate(kind, object, old, context)
  if (kind.hasGeneration === true && subresource === '')
    object.metadata.generation = (old.metadata.generation ?? 1) + (specChanged(kind, object, old) ? 1 : 0)
  const faults = [
    ...validateMeta(kind, object),
    ...validateMetaUpdate(object, old),
    // A status says what is, and must be storable whatever the rules for the spec have become since.
    ...(subresource === 'status' ? [] : (kind.validate?.(object, old) ?? [])),
    ...(kind.validateUpdate?.(object, old, subresource) ?? [])
  ]
  if (faults.length > 0) throw invalid(kind.group, kind.kind, intent.name, faults)
  object.metadata.resourceVersion = old.metadata.resourceVersion as string
  if (unchanged(object, old)) return saying({ events: [], code: 200, object: old, entry, warnings }, said)
  delete object.metadata.resourceVersion
  // The last finalizer of an object that was asked to go is what it was waiting for.
  const gone = goes(kind, object)
  return saying(
    { events: [eventFor(kind, intent, context, { before: old, after: object, deleted: gone })], code: 200, object, warnings },
    said
  )
}

/** Who owns what the client changed, before admission and the kind's own strategy have changed anything of it. */
const track = (kind: Kind, intent: Intent, object: KubeObject, old: KubeObject, context: DecideContext): void =>
  trackUpdate({
    type: typeOf(kind),
    before: old,
    after: object,
    manager: intent.options?.fieldManager ?? intent.source,
    apiVersion: apiVersionOf(kind),
    time: timestamp(context.now),
    subresource: intent.subresource,
    reset: resetFields(kind, typeOf(kind), intent.subresource ?? '')
  })

/** What a client can't change rides over from the present object. */
const carryMetadata = (object: KubeObject, old: KubeObject, kind: Kind, intent: Intent): void => {
  const meta = object.metadata
  const before = old.metadata
  meta.name = intent.name
  if (kind.namespaced) meta.namespace = intent.namespace
  else delete meta.namespace
  for (const field of ['uid', 'generation', 'generateName'] as const) {
    if (before[field] === undefined) delete meta[field]
    else (meta as Record<string, unknown>)[field] = before[field]
  }
  // What is left out is filled in; what is said must be so, or is refused as a change of what can't change.
  meta.creationTimestamp ??= before.creationTimestamp as string
  if (before.deletionTimestamp !== undefined) meta.deletionTimestamp = before.deletionTimestamp
  if (before.deletionGracePeriodSeconds !== undefined) meta.deletionGracePeriodSeconds ??= before.deletionGracePeriodSeconds
}

/** Everything outside metadata and status counts as spec, and the status of a kind that has no half of its own for it. */
const specChanged = (kind: Kind, object: KubeObject, old: KubeObject): boolean => {
  if (kind.generationCountsAnnotations === true && !same(object.metadata.annotations ?? {}, old.metadata.annotations ?? {})) return true
  for (const field of new Set([...Object.keys(object), ...Object.keys(old)]))
    if (
      field !== 'metadata' &&
      (field !== 'status' || kind.hasStatus !== true) &&
      field !== 'kind' &&
      field !== 'apiVersion' &&
      !same(object[field], old[field])
    )
      return true
  return false
}

const unchanged = (object: KubeObject, old: KubeObject): boolean => {
  if (!same(withoutTimes(object.metadata.managedFields), withoutTimes(old.metadata.managedFields))) return false
  const strip = ({ metadata, ...rest }: KubeObject): unknown => {
    const { managedFields: _, ...meta } = metadata
    return { ...rest, metadata: meta }
  }
  return same(strip(object), strip(old))
}

const withoutTimes = (fields: KubeObject['metadata']['managedFields']): unknown => fields?.map(({ time: _, ...entry }) => entry)

/** True when nothing keeps an object that is being deleted: no finalizer, no time to end in, and nothing of its kind's own. */
export const goes = (kind: Kind, object: KubeObject): boolean =>
  object.metadata.deletionTimestamp !== undefined &&
  (object.metadata.finalizers?.length ?? 0) === 0 &&
  (object.metadata.deletionGracePeriodSeconds ?? 0) === 0 &&
  kind.isKept?.(object) !== true
