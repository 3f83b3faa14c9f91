/** Upstream's sentence for a request that no rule allows. */
import type { UserInfo } from '#events/Intent.ts'

export interface Attributes {
  readonly verb: string
  readonly group: string
  readonly resource: string
  readonly subresource: string
  readonly namespace: string
  readonly name: string
}

export const deniedMessage = (user: UserInfo, { verb, group, resource, subresource, namespace }: Attributes, reason = ''): string =>
  `User "${user.username}" cannot ${verb} resource "${resource}${subresource === '' ? '' : `/${subresource}`}" in API group "${group}"` +
  (namespace === '' ? ' at the cluster scope' : ` in the namespace "${namespace}"`) +
  (reason === '' ? '' : `: ${reason}`)
