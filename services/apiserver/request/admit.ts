/**
 * Admission: what the cluster's state has to say about a write. Before validation it changes the object in place and
 * returns what the write reserves (cluster IPs, node ports) until it is folded; after the decision it only judges.
 */
import { addTokenVolume, admitPod, tolerateLoss } from '#events/core/pod/admit.ts'
import { MIRROR } from '#events/core/pod/mirror.ts'
import type { Intent } from '#events/Intent.ts'
import type { Kind } from '#events/Kind.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { same } from '#events/meta/faults.ts'
import { forbidden, notFound } from '#events/Refusal.ts'
import { checkEscalation } from '#projections/Rbac.ts'
import { restrictNode } from '../admission/nodeRestriction.ts'
import { apiReferenceOf } from '../admission/podReferences.ts'
import { podSecurity } from '../admission/podSecurity.ts'
import type { DecideContext, Decided } from '../decide.ts'
import { allocateService } from './allocate.ts'
import { generatedSuffix } from './names.ts'

const NAMESPACES = { group: '', resource: 'namespaces' }

export const admitCreate = (kind: Kind, intent: Intent, object: KubeObject, context: DecideContext): readonly string[] => {
  restrictNode(context.user, { operation: 'CREATE', kind, subresource: '', namespace: intent.namespace, name: object.metadata.name ?? '', object }, context.view)
  if (kind.namespaced) namespaceLifecycle(kind, intent, object, context)
  if (kind.group === 'rbac.authorization.k8s.io') checkEscalation(context.view, context.user, kind, object)
  if (kind.group !== '') return []
  if (kind.resource === 'pods') admitNewPod(kind, intent, object, context)
  if (kind.resource === 'services') return allocateService(object, undefined, context)
  return []
}

export const admitUpdate = (kind: Kind, intent: Intent, object: KubeObject, old: KubeObject, context: DecideContext): readonly string[] => {
  if ((intent.subresource ?? '') !== '') return []
  // Labels on a role may be changed by who could not grant what it grants.
  if (kind.group === 'rbac.authorization.k8s.io' && !['rules', 'subjects', 'roleRef', 'aggregationRule'].every((field) => same(object[field], old[field]))) checkEscalation(context.view, context.user, kind, object)
  if (kind.group === '' && kind.resource === 'pods' && object.metadata.annotations?.[MIRROR] === undefined) tolerateLoss(object)
  if (kind.group === '' && kind.resource === 'services') return allocateService(object, old, context)
  return []
}

/** Judges the object as it is to be stored, a dry run's and an unchanged one's as well. */
export const admitDecided = (kind: Kind, intent: Intent, decided: Decided, context: DecideContext): Decided => {
  if (intent.verb === 'delete') return decided
  const { object } = decided
  const old = context.view.get({ group: kind.group, resource: kind.resource, namespace: intent.namespace, name: object.metadata.name ?? '' })?.object
  const { refusal, warnings, audit } = podSecurity({ kind, intent, object, old }, context)
  if (refusal !== undefined) throw refusal.noting(audit)
  if (warnings.length === 0 && Object.keys(audit).length === 0) return decided
  return { ...decided, warnings: [...decided.warnings, ...warnings], audit }
}

/** Who may not create such an object hears that, and not whether the name is taken: policies come before the store. */
export const admitTaken = (kind: Kind, intent: Intent, object: KubeObject, context: DecideContext): void => {
  const { refusal, audit } = podSecurity({ kind, intent, object, old: undefined }, context)
  if (refusal !== undefined) throw refusal.noting(audit)
}

/** Before anything of the object is taken over from the present one: what the client means to change. */
export const admitChange = (kind: Kind, intent: Intent, object: KubeObject, old: KubeObject, context: DecideContext): void =>
  restrictNode(context.user, { operation: 'UPDATE', kind, subresource: intent.subresource ?? '', namespace: intent.namespace, name: intent.name, object, old }, context.view)

/** Deletes, and the subresources that are a create of something else: an eviction, a binding. */
export const admitBeside = (operation: 'CREATE' | 'DELETE', kind: Kind, intent: Intent, old: KubeObject, context: DecideContext): void =>
  restrictNode(context.user, { operation, kind, subresource: intent.subresource ?? '', namespace: intent.namespace, name: intent.name, old }, context.view)

const namespaceLifecycle = (kind: Kind, intent: Intent, object: KubeObject, context: DecideContext): void => {
  // Leases of nodes and notices about deleted namespaces must not depend on the namespace's state.
  const namespace = context.view.get({ ...NAMESPACES, namespace: '', name: intent.namespace })
  if (namespace === undefined) {
    throw notFound(NAMESPACES, intent.namespace)
  }
  if (namespace.object.metadata.deletionTimestamp !== undefined && kind.stream === 'EVENTS')
    throw forbidden(kind, object.metadata.name ?? '', `unable to create new content in namespace ${intent.namespace} because it is being terminated`, [
      { reason: 'NamespaceTerminating', message: `namespace ${intent.namespace} is being terminated`, field: 'metadata.namespace' }
    ])
}

/** Pods run as a service account: it must exist, and its token is mounted unless the pod or the account says no. */
const admitNewPod = (kind: Kind, intent: Intent, pod: KubeObject, context: DecideContext): void => {
  if (pod.metadata.annotations?.[MIRROR] !== undefined) return admitMirror(kind, pod)
  admitPod(pod)
  const spec = pod['spec'] as { serviceAccountName?: string; serviceAccount?: string }
  const name = (spec.serviceAccountName ??= 'default')
  spec.serviceAccount = name
  const account = context.view.get({ group: '', resource: 'serviceaccounts', namespace: intent.namespace, name })
  if (account === undefined)
    throw forbidden(kind, pod.metadata.name ?? '', `error looking up service account ${intent.namespace}/${name}: serviceaccount "${name}" not found`)
  addTokenVolume(pod, suffix(context), account.object)
}

/** A mirror pod runs already: what is added to it here would be a lie, and what it may not use it must not name. */
const admitMirror = (kind: Kind, pod: KubeObject): void => {
  const name = pod.metadata.name ?? ''
  const reference = apiReferenceOf(pod)
  if (reference === 'serviceaccounts') throw forbidden(kind, name, 'a mirror pod may not reference service accounts')
  if (reference?.startsWith('secrets') === true) throw forbidden(kind, name, 'a mirror pod may not reference secrets')
  if (reference?.startsWith('serviceaccounts') === true) throw forbidden(kind, name, 'a mirror pod may not use ServiceAccountToken volume projections')
}

const suffix = (context: DecideContext): string => generatedSuffix(context.random)
