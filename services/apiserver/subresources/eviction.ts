/** pods/eviction: a polite delete, the way `kubectl drain` asks for it. */
import { NO_TIME, timestamp } from '#events/meta/time.ts'
import type { DeleteOptions, Intent } from '#events/Intent.ts'
import type { Kind } from '#events/Kind.ts'
import { PODS } from '#events/collections.ts'
import { asOneOf } from '#events/KubeObject.ts'
import type { Pod, PodCondition } from '#events/schema/generated/core.v1.ts'
import type { Eviction } from '#events/schema/generated/policy.v1.ts'
import { badRequest, type Status } from '#events/Refusal.ts'
import type { DecideContext, Decided } from '#services/apiserver/decision.ts'
import type { StoredSubresource } from './StoredSubresource.ts'
import { decodeAs, type TypedKind } from '#services/apiserver/request/decode.ts'
import { withMain } from '#services/apiserver/request/events.ts'
import { checkDeleteOptions } from '#services/apiserver/request/options.ts'
import { decideDelete } from '#services/apiserver/verbs/delete.ts'

const EVICTION: TypedKind<Eviction> = { group: 'policy', version: 'v1', kind: 'Eviction' }
/** What clients before Kubernetes 1.22 write; the shape is the same. */
const OLD_VERSION = 'policy/v1beta1'

/**
 * The eviction as the delete it asks for, with the options in its body. A dry run may be asked for there or beside it,
 * and either way nothing is deleted: `kubectl drain --dry-run=server` says it in the body alone.
 */
const evictionIntent = (intent: Intent): Intent => {
  const given = intent.object?.apiVersion === OLD_VERSION ? { ...intent.object, apiVersion: 'policy/v1' } : intent.object
  const { object } = decodeAs(EVICTION, given, intent.options?.fieldValidation)
  if (object.metadata.name !== intent.name) throw badRequest('name in URL does not match name in Eviction object')
  if ((object.metadata.namespace ?? '') !== '' && object.metadata.namespace !== intent.namespace)
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request')
  const { deleteOptions, dryRun } = checkDeleteOptions((object.deleteOptions ?? {}) as DeleteOptions)
  return { ...intent, object, deleteOptions, ...(dryRun ? { options: { ...intent.options, dryRun } } : {}) }
}

/** `asked`: made by `evictionIntent`. */
const decideEviction = (kind: Kind, asked: Intent, context: DecideContext): Decided => {
  const decided = decideDelete(kind, asked, context)
  const status: Status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 }
  return {
    ...withMain(decided, (event) => ({ ...event, object: disrupted(asOneOf(PODS, event.object), timestamp(context.now)) })),
    code: 201,
    status
  }
}

export const eviction: StoredSubresource = { asked: evictionIntent, decide: decideEviction }

/** The pod says why it went: the condition upstream's eviction leaves (KEP-3329). */
const disrupted = (pod: Pod, now: string): Pod => {
  const conditions = pod.status?.conditions ?? []
  const before = conditions.find(({ type }) => type === 'DisruptionTarget')
  const condition: PodCondition = {
    type: 'DisruptionTarget',
    status: 'True',
    lastProbeTime: NO_TIME,
    lastTransitionTime: before?.status === 'True' ? (before.lastTransitionTime ?? now) : now,
    reason: 'EvictionByEvictionAPI',
    message: 'Eviction API: evicting',
    ...(pod.metadata.generation === undefined ? {} : { observedGeneration: pod.metadata.generation })
  }
  return { ...pod, status: { ...pod.status, conditions: [...conditions.filter(({ type }) => type !== 'DisruptionTarget'), condition] } }
}
