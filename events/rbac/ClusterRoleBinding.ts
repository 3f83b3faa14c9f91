/** ClusterRoleBinding: who has a role, everywhere. */
import { bindingKind } from './rules.ts'

export const ClusterRoleBinding = bindingKind({
  kind: 'ClusterRoleBinding',
  resource: 'clusterrolebindings',
  singular: 'clusterrolebinding',
  namespaced: false
})
