/** Role: what may be done in one namespace. */
import { roleKind } from './rules.ts'

export const Role = roleKind({ kind: 'Role', resource: 'roles', singular: 'role', namespaced: true })
