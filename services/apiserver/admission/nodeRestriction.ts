/**
 * NodeRestriction (KEP-279): what a node's agent may write, in upstream's words. Its own Node without taints, owners and
 * the labels that steer workloads; statuses, deletions and evictions of the pods bound to it; mirror pods of its own; its lease.
 * Who may ask at all is the authorizer's half (`projections/NodeRestriction.ts`); this half sees the objects. Plain functions.
 */
import { NODES, PODS, SERVICE_ACCOUNTS } from '#events/collections.ts'
import { MIRROR } from '#events/core/pod/mirror.ts'
import type { UserInfo } from '#events/Intent.ts'
import { resourceId } from '#events/Key.ts'
import type { Kind } from '#events/Kind.ts'
import { asOneOf, type KubeObject, type OwnerReference } from '#events/KubeObject.ts'
import type { Node, Pod } from '#events/schema/generated/core.v1.ts'
import { overlap, parseCIDR } from '#events/meta/cidr.ts'
import { same } from '#events/meta/faults.ts'
import type { Network } from '#events/meta/ip.ts'
import { forbidden, notFound } from '#events/Refusal.ts'
import { nodeOf } from '#projections/NodeRestriction.ts'
import type { ObjectsView } from '#projections/Objects.ts'
import type { AdmissionPlugin, Operation } from '#services/apiserver/decision.ts'
import { apiReferenceOf } from './podReferences.ts'

const LEASE_NAMESPACE = 'kube-node-lease'

export interface NodeWrite {
  readonly operation: Operation
  readonly kind: Pick<Kind, 'group' | 'resource'>
  readonly subresource: string
  readonly namespace: string
  /** '' when the server is to make it up. */
  readonly name: string
  /** As the client sends it, before the server adds what is its own; absent in deletes. */
  readonly object?: KubeObject
  /** As it is stored; absent in creates, and when it is not there. */
  readonly old?: KubeObject
}

type Refuse = (why: string) => Error

/** Throws 403 when the user is a node's agent and the write is not its business; 404 when what it is about is not there. */
export const restrictNode = (user: UserInfo, write: NodeWrite, view: ObjectsView): void => {
  const node = nodeOf(user)
  if (node === undefined) return
  const refuse: Refuse = (why) => forbidden(write.kind, write.name || (write.object?.metadata.generateName ?? ''), why)
  if (node === '') throw refuse(`could not determine node from user ${JSON.stringify(user.username)}`)
  switch (`${write.kind.group}/${write.kind.resource}`) {
    case '/pods':
      return restrictPod(node, write, view, refuse)
    case '/nodes':
      return restrictOwn(node, write, view, refuse)
    case 'coordination.k8s.io/leases':
      return restrictLease(node, write, refuse)
  }
}

const WATCHED = new Set(['/pods', '/nodes', 'coordination.k8s.io/leases'])

export const NodeRestriction: AdmissionPlugin = {
  name: 'NodeRestriction',
  handles: (_, kind) => WATCHED.has(resourceId(kind)),
  admit: (write, { context, again }) => {
    // What is judged is what the node itself wrote, not what others make of it.
    if (!again) restrictNode(context.user, write, context.view)
  }
}

const restrictPod = (node: string, write: NodeWrite, view: ObjectsView, refuse: Refuse): void => {
  const { operation, subresource, old } = write
  const bound = asOneOf(PODS, old)?.spec?.nodeName
  if (subresource === 'status') {
    if (operation !== 'UPDATE') throw refuse(`unexpected operation "${operation}"`)
    if (bound !== node) throw refuse(`node "${node}" can only update pod status for pods with spec.nodeName set to itself`)
    if (changes(write, (object) => object.metadata.labels)) throw refuse(`node "${node}" cannot update labels through pod status`)
    if (says(write, (object) => asOneOf(PODS, object).status?.resourceClaimStatuses))
      throw refuse(`node "${node}" cannot update resource claim statues`)
    return
  }
  if (subresource === 'eviction') {
    if (operation !== 'CREATE') throw refuse(`unexpected operation ${operation}`)
    if (old === undefined) throw notFound(PODS, write.name)
    if (bound !== node) throw refuse(`node ${node} can only evict pods with spec.nodeName set to itself`)
    return
  }
  if (subresource !== '') throw refuse(`unexpected pod subresource "${subresource}", only 'status' and 'eviction' are allowed`)
  if (operation === 'CREATE') return restrictMirror(node, asOneOf(PODS, write.object as KubeObject), view, refuse)
  if (operation !== 'DELETE') throw refuse(`unexpected operation "${operation}", node "${node}" can only create and delete mirror pods`)
  if (old === undefined) throw notFound(PODS, write.name)
  if (bound !== node) throw refuse(`node "${node}" can only delete pods with spec.nodeName set to itself`)
}

/** Nothing and an empty list or map are the same. */
const changes = ({ object, old }: NodeWrite, part: (object: KubeObject) => unknown): boolean => {
  const of = (one: KubeObject | undefined): unknown => (one === undefined ? undefined : part(one))
  const isNothing = (value: unknown): boolean => value === undefined || (typeof value === 'object' && Object.keys(value ?? {}).length === 0)
  const [after, before] = [of(object), of(old)]
  return !(isNothing(after) && isNothing(before)) && !same(after, before)
}

/** Of the half it does not write, a status write may leave out what it can't change anyway. */
const says = (write: NodeWrite, part: (object: KubeObject) => unknown): boolean =>
  write.object !== undefined && part(write.object) !== undefined && changes(write, part)

const restrictMirror = (node: string, pod: Pod, view: ObjectsView, refuse: Refuse): void => {
  if (pod.metadata.annotations?.[MIRROR] === undefined)
    throw refuse(`pod does not have "${MIRROR}" annotation, node "${node}" can only create mirror pods`)
  if (pod.spec?.nodeName !== node) throw refuse(`node "${node}" can only create pods with spec.nodeName set to itself`)
  const owners = pod.metadata.ownerReferences ?? []
  if (owners.length > 1) throw refuse(`node "${node}" can only create pods with a single owner reference set to itself`)
  const owner = owners[0]
  if (owner === undefined || owner.apiVersion !== 'v1' || owner.kind !== 'Node' || owner.name !== node)
    throw refuse(`node "${node}" can only create pods with an owner reference set to itself`)
  if (owner.controller !== true) throw refuse(`node "${node}" can only create pods with a controller owner reference set to itself`)
  if (owner.blockOwnerDeletion === true) throw refuse(`node "${node}" must not set blockOwnerDeletion on an owner reference`)
  const uid = view.get({ ...NODES, namespace: '', name: node })?.object.metadata.uid
  if (uid === undefined) throw notFound(NODES, node)
  if (owner.uid !== uid) throw refuse(`node ${node} UID mismatch: expected ${owner.uid} got ${uid}`)
  const reference = apiReferenceOf(pod)
  if (reference !== undefined) throw refuse(`node "${node}" can not create pods that reference ${reference}`)
}

const cidrsOf = (node: Node | undefined): readonly string[] => {
  const { podCIDR, podCIDRs = [] } = node?.spec ?? {}
  return [podCIDR, ...podCIDRs].filter((cidr) => cidr !== undefined)
}

/** A part of the pod network with addresses of another node's: this one would answer for its pods, or leave no part to others. */
const restrictRange = (node: string, { object, old }: NodeWrite, view: ObjectsView, refuse: Refuse): void => {
  const had = new Set(cidrsOf(asOneOf(NODES, old)))
  for (const cidr of cidrsOf(asOneOf(NODES, object))) {
    const range = had.has(cidr) ? undefined : parseCIDR(cidr)
    if (range === undefined) continue
    for (const { key, object: other } of view.collection(NODES).values()) {
      if (key.name === node || !cidrsOf(other).some((theirs) => touches(range, theirs))) continue
      throw refuse(`node "${node}" is not allowed to set the pod CIDR ${cidr}, which has addresses of another node's`)
    }
  }
}

const touches = (range: Network, cidr: string): boolean => {
  const other = parseCIDR(cidr)
  return other !== undefined && overlap(range, other)
}

const restrictOwn = (node: string, write: NodeWrite, view: ObjectsView, refuse: Refuse): void => {
  const { operation, name } = write
  const [object, old] = [asOneOf(NODES, write.object), asOneOf(NODES, write.old)]
  if (name !== node) throw refuse(`node "${node}" is not allowed to modify node "${name}"`)
  if (object === undefined) return
  if (write.subresource === '') restrictRange(node, write, view, refuse)
  if (operation === 'CREATE') {
    if (object.spec?.configSource !== undefined) throw refuse(`node "${node}" is not allowed to create pods with a non-nil configSource`)
    const labels = forbiddenLabels(object.metadata.labels ?? {}, {})
    if (labels.length > 0) throw refuse(`node "${node}" is not allowed to set the following labels: ${labels.join(', ')}`)
    return
  }
  const status = write.subresource === 'status'
  const config = object.spec?.configSource
  if (config !== undefined && !same(config, old?.spec?.configSource))
    throw refuse(`node "${node}" is not allowed to update configSource to a new non-nil configSource`)
  if ((status ? says : changes)(write, (one) => asOneOf(NODES, one).spec?.taints))
    throw refuse(`node "${node}" is not allowed to modify taints`)
  if (changes(write, (one): readonly OwnerReference[] | undefined => one.metadata.ownerReferences))
    throw refuse(`node "${node}" is not allowed to modify ownerReferences`)
  const labels = forbiddenLabels(object.metadata.labels ?? {}, old?.metadata.labels ?? {})
  if (labels.length > 0) throw refuse(`is not allowed to modify labels: ${labels.join(', ')}`)
}

type Labels = Readonly<Record<string, string>>

/** What a kubelet knows of its own machine. */
const KUBELET_LABELS = new Set([
  'kubernetes.io/hostname',
  'topology.kubernetes.io/zone',
  'topology.kubernetes.io/region',
  'failure-domain.beta.kubernetes.io/zone',
  'failure-domain.beta.kubernetes.io/region',
  'beta.kubernetes.io/instance-type',
  'node.kubernetes.io/instance-type',
  'kubernetes.io/os',
  'kubernetes.io/arch',
  'beta.kubernetes.io/os',
  'beta.kubernetes.io/arch'
])

const within = (namespace: string, domain: string): boolean => namespace === domain || namespace.endsWith(`.${domain}`)

const isForbidden = (label: string): boolean => {
  const namespace = label.includes('/') ? label.slice(0, label.indexOf('/')) : ''
  if (within(namespace, 'node-restriction.kubernetes.io')) return true
  if (!within(namespace, 'kubernetes.io') && !within(namespace, 'k8s.io')) return false
  return !KUBELET_LABELS.has(label) && !within(namespace, 'kubelet.kubernetes.io') && !within(namespace, 'node.kubernetes.io')
}

/** The labels that differ and are not a node's to say, in order. */
const forbiddenLabels = (after: Labels, before: Labels): readonly string[] =>
  [...new Set([...Object.keys(after), ...Object.keys(before)])]
    .filter((label) => after[label] !== before[label] && isForbidden(label))
    .toSorted()

const restrictLease = (node: string, { namespace, name }: NodeWrite, refuse: Refuse): void => {
  if (namespace !== LEASE_NAMESPACE) throw refuse(`can only access leases in the "${LEASE_NAMESPACE}" system namespace`)
  if (name !== node) throw refuse('can only access node lease with the same name as the requesting node')
}

export interface BoundTo {
  readonly apiVersion?: string
  readonly kind?: string
  readonly name?: string
  readonly uid?: string
}

/** A node gets tokens only for the pods it runs. `account`: whose token it asks for; `bound`: what the token is to end with. */
export const restrictToken = (user: UserInfo, namespace: string, account: string, bound: BoundTo | undefined, view: ObjectsView): void => {
  const node = nodeOf(user)
  if (node === undefined) return
  const refuse: Refuse = (why) => forbidden(SERVICE_ACCOUNTS, account, why)
  if (bound === undefined || bound.apiVersion !== 'v1' || bound.kind !== 'Pod' || (bound.name ?? '') === '')
    throw refuse('node requested token not bound to a pod')
  if ((bound.uid ?? '') === '') throw refuse('node requested token with a pod binding without a uid')
  const pod = view.get({ ...PODS, namespace, name: bound.name as string })?.object
  if (pod === undefined) throw notFound(PODS, bound.name as string)
  if (bound.uid !== pod.metadata.uid)
    throw refuse(
      `the UID in the bound object reference (${bound.uid}) does not match the UID in record. The object might have been deleted and then recreated`
    )
  if (pod.spec?.nodeName !== node) throw refuse('node requested token bound to a pod scheduled on a different node')
}
