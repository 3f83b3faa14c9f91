/** deployments/scale, replicasets/scale: the replica count alone, as autoscaling/v1 Scale. */
import type { Intent } from '#events/Intent.ts'
import type { Kind } from '#events/Kind.ts'
import { asOneOf, type KubeObject } from '#events/KubeObject.ts'
import type { Scale } from '#events/schema/generated/autoscaling.v1.ts'
import { isObject, own, put, type JsonObject } from '#events/meta/json.ts'
import { conflict, invalid, methodNotAllowed } from '#events/Refusal.ts'
import { typeOfKind, type TypeSchema } from '#events/schema/Schema.ts'
import type { DecideContext, Decided } from '#services/apiserver/decision.ts'
import type { StoredSubresource } from './StoredSubresource.ts'
import { decodeAs, decodePatched, type TypedKind } from '#services/apiserver/request/decode.ts'
import { patchValue } from '#services/apiserver/verbs/patch.ts'
import { withMain } from '#services/apiserver/request/events.ts'
import { checkName, existing, replaceObject } from '#services/apiserver/verbs/update.ts'

const SCALE: TypedKind<Scale> = { group: 'autoscaling', version: 'v1', kind: 'Scale' }

const at = (object: KubeObject, path: string): unknown =>
  path
    .replace(/^\./, '')
    .split('.')
    .reduce<unknown>((value, field) => (isObject(value) ? own(value, field) : undefined), object)

/**
 * What lies there; a custom object may have nothing there yet. Its definition chose the path: `__proto__` is a field like others,
 * and not the prototype of every object of the process.
 */
const entered = (value: JsonObject, field: string): JsonObject => {
  const known = own(value, field)
  if (isObject(known)) return known
  const made = {}
  put(value, field, made)
  return made
}

/** The Scale of an object, as GET shows it. */
export const scaleOf = (kind: Kind, object: KubeObject): KubeObject => {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata
  const scale = kind.scale as NonNullable<Kind['scale']>
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: JSON.parse(JSON.stringify({ name, namespace, uid, resourceVersion, creationTimestamp })),
    spec: { replicas: at(object, scale.specReplicas) ?? 0 },
    status: { replicas: at(object, scale.statusReplicas) ?? 0, selector: scale.selector(object) }
  }
}

const decideScale = (kind: Kind, intent: Intent, context: DecideContext): Decided => {
  if (kind.scale === undefined) throw methodNotAllowed()
  const entry = existing(kind, intent, context)
  const present = scaleOf(kind, entry.object)
  const validation = intent.options?.fieldValidation
  const { object: scale, warnings } =
    intent.verb === 'patch'
      ? decodePatched(SCALE, patchValue(typeOfKind('autoscaling', 'v1', 'Scale') as TypeSchema, present, intent), validation)
      : decodeAs(SCALE, intent.object, validation)
  checkName(kind, scale, intent)
  const given = scale.metadata.resourceVersion
  if (given !== undefined && given !== '' && given !== present.metadata.resourceVersion) throw conflict(kind, intent.name)
  const { uid } = scale.metadata
  if ((uid ?? '') !== '' && uid !== present.metadata.uid)
    throw conflict(kind, intent.name, `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${present.metadata.uid}`)
  const replicas = asOneOf(SCALE, scale).spec?.replicas ?? 0
  if (replicas < 0)
    throw invalid('autoscaling', 'Scale', intent.name, [
      { type: 'Invalid', field: 'spec.replicas', value: replicas, detail: 'must be greater than or equal to 0' }
    ])
  const object = structuredClone(entry.object)
  delete object.metadata.resourceVersion
  const path = kind.scale.specReplicas.replace(/^\./, '').split('.')
  const last = path.pop() as string
  put(path.reduce<JsonObject>(entered, object), last, replicas)
  // Stored as a change of the object itself, so that generation, checks and history are the ordinary ones.
  const { subresource: _, ...whole } = intent
  const decided = replaceObject(kind, whole, object, entry, context, warnings)
  return { ...withMain(decided, (event) => ({ ...event, verb: `${intent.verb}/scale` })), present: (after) => scaleOf(kind, after) }
}

export const scale: StoredSubresource = { decide: decideScale }
