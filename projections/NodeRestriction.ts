/** What a node's agent may touch besides what its role says: its own node, its own lease, and the pods bound to it (KEP-279). */
import type { UserInfo } from '#events/Intent.ts'
import type { ObjectsView } from './Objects.ts'

const GROUP = 'system:nodes'
const PREFIX = 'system:node:'
const LEASE_NAMESPACE = 'kube-node-lease'
const READS = new Set(['get', 'list', 'watch'])

/** The node a user is the agent of, or undefined for everybody else. */
export const nodeOf = (user: UserInfo): string | undefined => (user.username.startsWith(PREFIX) && user.groups.includes(GROUP) ? user.username.slice(PREFIX.length) : undefined)

export interface NodeRequest {
  readonly verb: string
  readonly group: string
  readonly resource: string
  readonly namespace: string
  readonly name: string
}

/** False when the object is another node's. RBAC still has to allow the request itself. */
export const nodeMay = (view: ObjectsView, node: string, { verb, group, resource, namespace, name }: NodeRequest): boolean => {
  switch (`${group}/${resource}`) {
    case '/nodes':
      return READS.has(verb) || name === node
    case 'coordination.k8s.io/leases':
      return namespace === LEASE_NAMESPACE && name === node
    case '/pods': {
      const pod = view.get({ group, resource, namespace, name })
      // A pod that is not there is nobody's: the answer is then 404, not 403.
      return name !== '' && (pod === undefined || pod.object['spec']?.nodeName === node)
    }
    default:
      return true
  }
}
