/** Upstream's sentence for a request that no rule allows. */
import type { UserInfo } from '#events/Intent.ts'
import type { Attributes } from '#projections/Attributes.ts'

export const deniedMessage = (user: UserInfo, { verb, group, resource, subresource, namespace }: Attributes, reason = ''): string =>
  `User "${user.username}" cannot ${verb} resource "${resource}${subresource === '' ? '' : `/${subresource}`}" in API group "${group}"` +
  (namespace === '' ? ' at the cluster scope' : ` in the namespace "${namespace}"`) +
  (reason === '' ? '' : `: ${reason}`)
