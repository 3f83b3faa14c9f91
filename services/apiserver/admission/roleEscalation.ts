/** Nobody grants what they do not have. Upstream looks at it beside its plugins, in the storage of the RBAC kinds. */
import { same } from '#events/meta/faults.ts'
import { checkEscalation } from '#projections/Rbac.ts'
import { NOTHING, type AdmissionPlugin } from '#services/apiserver/decision.ts'

/** Labels on a role may be changed by who could not grant what it grants. */
const GRANTING = ['rules', 'subjects', 'roleRef', 'aggregationRule']

export const RoleEscalation: AdmissionPlugin = {
  name: 'RoleEscalation',
  handles: (operation, { group }, subresource) => operation !== 'DELETE' && group === 'rbac.authorization.k8s.io' && subresource === '',
  validate({ kind, object, old }, { context }) {
    if (object !== undefined && (old === undefined || !GRANTING.every((field) => same(object[field], old[field]))))
      checkEscalation(context.view, context.user, kind, object)
    return NOTHING
  }
}
