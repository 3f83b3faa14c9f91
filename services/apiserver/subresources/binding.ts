/** pods/binding: the scheduler's decision, which gives a pod its node, once. */
import { NO_TIME, timestamp } from '#events/meta/time.ts'
import type { Intent } from '#events/Intent.ts'
import type { Kind } from '#events/Kind.ts'
import { PODS } from '#events/collections.ts'
import { asOneOf } from '#events/KubeObject.ts'
import type { Binding, ObjectReference, Pod } from '#events/schema/generated/core.v1.ts'
import { required } from '#events/meta/faults.ts'
import { badRequest, conflict, invalid, type FieldError, type Status } from '#events/Refusal.ts'
import type { DecideContext, Decided } from '#services/apiserver/decision.ts'
import type { StoredSubresource } from './StoredSubresource.ts'
import { admit, saying } from '#services/apiserver/admission/admission.ts'
import { decodeAs, type TypedKind } from '#services/apiserver/request/decode.ts'
import { eventFor } from '#services/apiserver/request/events.ts'
import { existing } from '#services/apiserver/verbs/update.ts'

const BINDING: TypedKind<Binding> = { group: '', version: 'v1', kind: 'Binding' }

const faultsOf = (target: ObjectReference | undefined): FieldError[] => {
  const faults: FieldError[] = []
  if ((target?.kind ?? '') !== '' && target?.kind !== 'Node')
    faults.push({ type: 'NotSupported', field: 'target.kind', value: target?.kind, detail: 'supported values: "Node", "<empty>"' })
  if ((target?.name ?? '') === '') faults.push(required('target.name'))
  return faults
}

const decideBinding = (kind: Kind, intent: Intent, context: DecideContext): Decided => {
  const { object: binding, warnings } = decodeAs(BINDING, intent.object, intent.options?.fieldValidation)
  if (binding.metadata.name !== intent.name) throw badRequest('name in URL does not match name in Binding object')
  const target: ObjectReference | undefined = binding.target
  const faults = faultsOf(target)
  if (faults.length > 0) throw invalid('', 'Binding', intent.name, faults)
  const node = target?.name as string
  const entry = existing(kind, intent, context)
  const old = asOneOf(PODS, entry.object)
  const said = admit(
    { operation: 'CREATE', kind, subresource: 'binding', intent, namespace: intent.namespace, name: intent.name, old },
    context
  )
  const { uid = '', resourceVersion = '' } = binding.metadata
  if (uid !== '' && uid !== old.metadata.uid)
    throw conflict(kind, intent.name, `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata.uid}`)
  if (resourceVersion !== '' && resourceVersion !== old.metadata.resourceVersion)
    throw conflict(
      kind,
      intent.name,
      `Precondition failed: ResourceVersion in precondition: ${resourceVersion}, ResourceVersion in object meta: ${old.metadata.resourceVersion}`
    )
  if (old.metadata.deletionTimestamp !== undefined)
    throw conflict(kind, intent.name, `pod ${intent.name} is being deleted, cannot be assigned to a host`)
  if ((old.spec.nodeName ?? '') !== '')
    throw conflict(kind, intent.name, `pod ${intent.name} is already assigned to node "${old.spec.nodeName}"`)
  if ((old.spec.schedulingGates?.length ?? 0) > 0)
    throw conflict(kind, intent.name, `pod ${intent.name} has non-empty .spec.schedulingGates`)
  const now = timestamp(context.now)
  const conditions = (old.status?.conditions ?? []).filter(({ type }) => type !== 'PodScheduled')
  const { resourceVersion: _, ...metadata } = old.metadata
  const object: Pod = {
    ...old,
    metadata: {
      ...metadata,
      ...(binding.metadata.annotations === undefined ? {} : { annotations: { ...metadata.annotations, ...binding.metadata.annotations } })
    },
    spec: { ...old.spec, nodeName: node },
    status: {
      ...old.status,
      conditions: [
        ...conditions,
        {
          type: 'PodScheduled',
          status: 'True',
          lastProbeTime: NO_TIME,
          lastTransitionTime: now,
          ...(metadata.generation === undefined ? {} : { observedGeneration: metadata.generation })
        }
      ]
    }
  }
  const status: Status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 }
  return saying(
    { events: [eventFor(kind, intent, context, { before: old, after: object, deleted: false })], code: 201, object, status, warnings },
    said
  )
}

export const binding: StoredSubresource = { decide: decideBinding }
