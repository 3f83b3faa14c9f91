/**
 * What a node's agent may ask for besides what its role says, in the words of upstream's node authorizer (KEP-279): its
 * own node, its own lease, the pods bound to it. Where only the object can tell, admission says the rest (`nodeRestriction.ts`).
 */
import { PODS } from '#events/collections.ts'
import type { UserInfo } from '#events/Intent.ts'
import type { Attributes } from './Attributes.ts'
import type { ObjectsView } from './Objects.ts'

const GROUP = 'system:nodes'
const PREFIX = 'system:node:'
const LEASE_NAMESPACE = 'kube-node-lease'
const LEASE_VERBS = new Set(['get', 'create', 'update', 'patch', 'delete'])
const READS = new Set(['get', 'list', 'watch'])

/** The node a user is the agent of ('' when its name does not say), or undefined for everybody else. */
export const nodeOf = (user: UserInfo): string | undefined =>
  user.username.startsWith(PREFIX) && user.groups.includes(GROUP) ? user.username.slice(PREFIX.length) : undefined

/** Why the request is not this node's to make; undefined when it may be, and RBAC has the last word. */
export const nodeRefusal = (view: ObjectsView, node: string, request: Attributes): string | undefined => {
  if (node === '') return 'unknown node for user "system:node:"'
  switch (`${request.group}/${request.resource}`) {
    case '/nodes':
      return ofNodes(node, request)
    case '/pods':
      return ofPods(view, node, request)
    case '/serviceaccounts':
      return ofAccounts(view, node, request)
    case 'coordination.k8s.io/leases':
      return ofLeases(node, request)
    default:
      return undefined
  }
}

const ofNodes = (node: string, { verb, subresource, name }: Attributes): string | undefined => {
  if (subresource !== '' || !READS.has(verb) || name === node) return undefined
  return name === ''
    ? `node '${node}' cannot read all nodes, only its own Node object`
    : `node '${node}' cannot read '${name}', only its own Node object`
}

const unrelated = (node: string): string => `no relationship found between node '${node}' and this object`

const ofPods = (view: ObjectsView, node: string, { verb, subresource, namespace, name }: Attributes): string | undefined => {
  // Writes reach admission, which sees whose pod it is and says so.
  if (!READS.has(verb) || subresource === 'eviction') return undefined
  if (verb === 'get' && subresource !== '') return 'cannot get subresource'
  if (name === '') return 'can only list/watch pods with spec.nodeName field selector'
  return view.get({ ...PODS, namespace, name })?.object.spec?.nodeName === node ? undefined : unrelated(node)
}

const ofAccounts = (view: ObjectsView, node: string, { verb, subresource, namespace, name }: Attributes): string | undefined => {
  if (verb === 'get' && subresource === '') return runsAs(view, node, namespace, name) ? undefined : unrelated(node)
  if (verb !== 'create' || name === '') return 'can only create tokens for individual service accounts'
  if (subresource !== 'token') return 'can only create token subresource of serviceaccount'
  return runsAs(view, node, namespace, name) ? undefined : unrelated(node)
}

const runsAs = (view: ObjectsView, node: string, namespace: string, account: string): boolean => {
  for (const { object } of view.collection(PODS).list(namespace))
    if (object.spec?.nodeName === node && object.spec?.serviceAccountName === account) return true
  return false
}

const ofLeases = (node: string, { verb, namespace, name }: Attributes): string | undefined => {
  if (!LEASE_VERBS.has(verb)) return 'can only get, create, update, patch, or delete a node lease'
  if (namespace !== LEASE_NAMESPACE) return `can only access leases in the "${LEASE_NAMESPACE}" system namespace`
  // On create the name is the object's, which admission sees.
  return verb === 'create' || name === node ? undefined : 'can only access node lease with the same name as the requesting node'
}
