/** Whose something is, by its place: what an IPAddress and a node port's claim name. */
import type { ObjectKey } from '#events/Key.ts'
import type { KubeObject } from '#events/KubeObject.ts'

export interface ParentReference {
  readonly group?: string
  readonly resource?: string
  readonly namespace?: string
  readonly name?: string
}

export const parentRefOf = ({ group, resource, namespace, name }: ObjectKey): ParentReference => ({
  ...(group === '' ? {} : { group }),
  resource,
  ...(namespace === '' ? {} : { namespace }),
  name
})

/** What is held for somebody: the shape IPAddresses and claims of node ports share. */
export interface Claiming extends KubeObject {
  readonly spec?: { readonly parentRef?: ParentReference }
}

/** True when the claim names that object as its owner. */
export const isOf = (claim: Claiming, { group, resource, namespace, name }: ObjectKey): boolean => {
  const parent = claim.spec?.parentRef ?? {}
  return (parent.group ?? '') === group && parent.resource === resource && (parent.namespace ?? '') === namespace && parent.name === name
}

/** Whose the claim is. */
export const ownerOf = (claim: Claiming): ObjectKey => {
  const { group = '', resource = '', namespace = '', name = '' } = claim.spec?.parentRef ?? {}
  return { group, resource, namespace, name }
}
