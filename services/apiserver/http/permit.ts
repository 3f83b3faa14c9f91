/** Whether a user may do something, or a refusal in upstream's words. */
import type { UserInfo } from '#events/Intent.ts'
import { forbidden } from '#events/Refusal.ts'
import type { Attributes } from '#projections/Attributes.ts'
import type { ObjectsView } from '#projections/Objects.ts'
import { authorize } from '#projections/Rbac.ts'
import { deniedMessage } from '#services/apiserver/request/denied.ts'

export const permit = (view: ObjectsView, user: UserInfo, attributes: Attributes): void => {
  const { allowed, reason } = authorize(view, user, attributes)
  if (!allowed)
    throw forbidden({ group: attributes.group, resource: attributes.resource }, attributes.name, deniedMessage(user, attributes, reason))
}
