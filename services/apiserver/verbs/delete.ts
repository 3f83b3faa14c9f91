/** delete: at once, after a grace period, or after the finalizers; the propagation policy becomes finalizers. */
import { timestamp } from '#events/meta/time.ts'
import type { Intent } from '#events/Intent.ts'
import type { Kind } from '#events/Kind.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { conflict, type Status } from '#events/Refusal.ts'
import type { DecideContext, Decided } from '#services/apiserver/decision.ts'
import { admit, saying } from '#services/apiserver/admission/admission.ts'
import { eventFor } from '#services/apiserver/request/events.ts'
import { existing, goes } from './update.ts'

export const decideDelete = (kind: Kind, intent: Intent, context: DecideContext): Decided => {
  const entry = existing(kind, intent, context)
  const old = entry.object
  const subresource = intent.subresource ?? ''
  // An eviction is the create of one.
  const said = admit(
    {
      operation: subresource === 'eviction' ? 'CREATE' : 'DELETE',
      kind,
      subresource,
      intent,
      namespace: intent.namespace,
      name: intent.name,
      old
    },
    context
  )
  const options = intent.deleteOptions ?? {}
  checkPreconditions(kind, intent, old)

  const object = structuredClone(old)
  delete object.metadata.resourceVersion
  const grace = gracePeriod(kind, old, options.gracePeriodSeconds)
  const finalizers = new Set(object.metadata.finalizers ?? [])
  if (options.propagationPolicy === 'Foreground') finalizers.add('foregroundDeletion').delete('orphan')
  if (options.propagationPolicy === 'Orphan') finalizers.add('orphan').delete('foregroundDeletion')
  // Who asks for the background after all takes back what was asked for before.
  if (options.propagationPolicy === 'Background') for (const finalizer of ['orphan', 'foregroundDeletion']) finalizers.delete(finalizer)
  if (finalizers.size > 0) object.metadata.finalizers = [...finalizers]
  else delete object.metadata.finalizers
  if (old.metadata.deletionTimestamp === undefined) {
    object.metadata.deletionTimestamp = timestamp(context.now + grace * 1000)
    object.metadata.deletionGracePeriodSeconds = grace
    if (kind.hasGeneration === true) object.metadata.generation = (old.metadata.generation ?? 1) + 1
    kind.prepareForDelete?.(object, { now: timestamp(context.now) })
  } else if (grace < (old.metadata.deletionGracePeriodSeconds ?? 0)) {
    // A shorter period than the one running counts; a longer one comes too late.
    object.metadata.deletionTimestamp = timestamp(Math.min(context.now + grace * 1000, Date.parse(old.metadata.deletionTimestamp)))
    object.metadata.deletionGracePeriodSeconds = grace
  } else if (!goes(kind, object) && equalFinalizers(object, old))
    return saying({ events: [], code: 200, object: old, entry, warnings: [] }, said)
  const gone = goes(kind, object)
  const answer = gone && kind.returnsDeleted !== true ? { status: success(kind, intent, old) } : {}
  // A finished delete keeps the object as it last was: that is what watchers and readers of the past want to see.
  const after = gone && old.metadata.deletionTimestamp === undefined && grace === 0 ? withoutVersion(old) : object
  return saying(
    { events: [eventFor(kind, intent, context, { before: old, after, deleted: gone })], code: 200, object: after, warnings: [], ...answer },
    said
  )
}

/** Upstream names the kind here, not the resource. */
const checkPreconditions = (kind: Kind, intent: Intent, { metadata }: KubeObject): void => {
  const { uid, resourceVersion } = intent.deleteOptions?.preconditions ?? {}
  const ref = { group: kind.group, resource: kind.kind }
  if (uid !== undefined && uid !== metadata.uid)
    throw conflict(
      ref,
      intent.name,
      `the UID in the precondition (${uid}) does not match the UID in record (${metadata.uid}). The object might have been deleted and then recreated`
    )
  if (resourceVersion !== undefined && resourceVersion !== metadata.resourceVersion)
    throw conflict(
      ref,
      intent.name,
      `the ResourceVersion in the precondition (${resourceVersion}) does not match the ResourceVersion in record (${metadata.resourceVersion}). The object might have been modified`
    )
}

const gracePeriod = (kind: Kind, object: KubeObject, asked: number | undefined): number => {
  const standard = kind.gracePeriodSeconds?.(object) ?? 0
  if (kind.gracePeriodSeconds === undefined || standard === 0) return 0
  // As upstream: less than no time is a second.
  return asked === undefined ? standard : asked < 0 ? 1 : asked
}

const equalFinalizers = (left: KubeObject, right: KubeObject): boolean =>
  (left.metadata.finalizers ?? []).join('\n') === (right.metadata.finalizers ?? []).join('\n')

const withoutVersion = (object: KubeObject): KubeObject => {
  const { resourceVersion: _, ...metadata } = object.metadata
  return { ...object, metadata }
}

const success = (kind: Kind, intent: Intent, object: KubeObject): Status => ({
  kind: 'Status',
  apiVersion: 'v1',
  metadata: {},
  status: 'Success',
  details: {
    name: intent.name,
    ...(kind.group === '' ? {} : { group: kind.group }),
    kind: kind.resource,
    uid: object.metadata.uid as string
  }
})
