/** ClusterRole: what may be done in the whole cluster, or in the namespace of a RoleBinding that names it. */
import { roleKind } from './rules.ts'

export const ClusterRole = roleKind({ kind: 'ClusterRole', resource: 'clusterroles', singular: 'clusterrole', namespaced: false })
