/** create: a new object, from what a client sent to the event that makes it exist. */
import { timestamp } from '#events/meta/time.ts'
import type { Intent } from '#events/Intent.ts'
import { collectionOf, type Kind } from '#events/Kind.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { validateMeta } from '#events/meta/ObjectMeta.ts'
import { alreadyExists, badRequest, invalid, Refusal } from '#events/Refusal.ts'
import type { DecideContext, Decided, Write } from '#services/apiserver/decision.ts'
import { admit, saying, validateAdmission } from '#services/apiserver/admission/admission.ts'
import { allocate, prepareClaims } from '#services/apiserver/claims/claims.ts'
import { apiVersionOf, decodeObject, typeOf } from '#services/apiserver/request/decode.ts'
import { eventFor } from '#services/apiserver/request/events.ts'
import { generatedName } from '#services/apiserver/request/names.ts'
import { resetFields, trackUpdate } from '#services/apiserver/patch/managedFields.ts'

/** Metadata only the server may set. */
const withSystemMetadata = (kind: Kind, intent: Intent, object: KubeObject, context: DecideContext): void => {
  const meta = object.metadata
  if ((meta.resourceVersion ?? '') !== '') throw badRequest('resourceVersion should not be set on objects to be created')
  if (kind.namespaced) {
    if ((meta.namespace ?? '') !== '' && meta.namespace !== intent.namespace)
      throw badRequest('the namespace of the provided object does not match the namespace sent on the request')
    meta.namespace = intent.namespace
  } else delete meta.namespace
  if (intent.name !== '') {
    if ((meta.name ?? '') !== '' && meta.name !== intent.name)
      throw badRequest(`the name of the object (${meta.name}) does not match the name on the URL (${intent.name})`)
    meta.name = intent.name
  }
  if ((meta.name ?? '') === '' && (meta.generateName ?? '') !== '')
    meta.name = generatedName(meta.generateName as string, context.letters ?? context.random)
  meta.uid = context.uuid()
  meta.creationTimestamp = timestamp(context.now)
  delete meta.resourceVersion
  delete meta.deletionTimestamp
  delete meta.deletionGracePeriodSeconds
  delete meta['selfLink' as never]
  if (kind.hasGeneration === true) meta.generation = 1
  else delete meta.generation
}

export const decideCreate = (kind: Kind, intent: Intent, context: DecideContext): Decided => {
  const { object, warnings } = decodeObject(kind, intent.object, intent.options?.fieldValidation)
  return createObject(kind, intent, object, context, warnings)
}

/** What somebody outside made of the object may leave out what has a default, and say what only the server may. */
const settle = (
  kind: Kind,
  object: KubeObject,
  { name, namespace, uid, creationTimestamp, generation }: KubeObject['metadata'],
  context: DecideContext
): void => {
  const { deletionTimestamp: _, deletionGracePeriodSeconds: __, resourceVersion: ___, ...given } = object.metadata
  object.metadata = JSON.parse(JSON.stringify({ ...given, name, namespace, uid, creationTimestamp, generation })) as KubeObject['metadata']
  kind.prepareForCreate?.(object, { now: timestamp(context.now) })
  kind.default?.(object)
}

/** Also the end of a server-side apply that finds nothing: `managed` says the field owners are set already. */
export const createObject = (
  kind: Kind,
  intent: Intent,
  object: KubeObject,
  context: DecideContext,
  told: readonly string[],
  managed = false
): Decided => {
  const warnings = [...told, ...(kind.warnings?.(object) ?? [])]
  if (kind.createRefusal !== undefined) throw new Refusal(405, 'MethodNotAllowed', kind.createRefusal, {})
  withSystemMetadata(kind, intent, object, context)
  kind.default?.(object)
  if (!managed) {
    delete object.metadata.managedFields
    // Before admission and the kind's own strategy: what they bring is nobody's.
    trackUpdate({
      type: typeOf(kind),
      before: undefined,
      after: object,
      manager: intent.options?.fieldManager ?? intent.source,
      apiVersion: apiVersionOf(kind),
      time: timestamp(context.now),
      reset: resetFields(kind, typeOf(kind), '')
    })
  }
  kind.prepareForCreate?.(object, { now: timestamp(context.now) })
  prepareClaims(kind, object, undefined, context)
  kind.default?.(object)
  const system = { ...object.metadata }
  const write: Write = {
    operation: 'CREATE',
    kind,
    subresource: '',
    intent,
    namespace: intent.namespace,
    name: object.metadata.name ?? '',
    object
  }
  const { changed, ...said } = admit(write, context)
  if (changed) settle(kind, object, system, context)
  allocate(kind, object, undefined, context)
  const faults = [...validateMeta(kind, object), ...(kind.validate?.(object) ?? []), ...(kind.validateCreate?.(object) ?? [])]
  if (faults.length > 0) throw invalid(kind.group, kind.kind, object.metadata.name ?? '', faults)
  const key = { ...collectionOf(kind), namespace: intent.namespace, name: object.metadata.name as string }
  if (context.view.get(key) !== undefined) {
    // Who may not create such an object hears that, and not whether the name is taken: policies come before the store.
    validateAdmission(write, context)
    throw alreadyExists(kind, key.name)
  }
  return saying(
    { events: [eventFor(kind, intent, context, { before: undefined, after: object, deleted: false })], code: 201, object, warnings },
    said
  )
}
