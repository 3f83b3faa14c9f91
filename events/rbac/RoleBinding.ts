/** RoleBinding: who has a role, in one namespace. */
import { bindingKind } from './rules.ts'

export const RoleBinding = bindingKind({ kind: 'RoleBinding', resource: 'rolebindings', singular: 'rolebinding', namespaced: true })
