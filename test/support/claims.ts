/** What must hold of claims in any state: each address and port has one owner, who has it; what is not in use is free. */
import { IP_ADDRESSES, SERVICES } from '#events/collections.ts'
import { keyId } from '#events/Key.ts'
import { isOf, ownerOf } from '#events/networking/parent.ts'
import type { ObjectsView } from '#projections/Objects.ts'
import { claimsOfService, NODE_PORTS } from '#services/apiserver/claims/service.ts'

/** Empty when it holds. */
export const claimFaults = (view: ObjectsView): readonly string[] => {
  const faults: string[] = []
  const used = new Map<string, string>()
  for (const { key: owner, object } of view.collection(SERVICES).values())
    for (const { key } of claimsOfService(object)) {
      const before = used.get(keyId(key))
      if (before !== undefined) faults.push(`${key.name} is used by ${before} and by ${owner.name}`)
      used.set(keyId(key), owner.name)
      const claim = view.get(key)?.object
      if (claim === undefined) faults.push(`${key.name} is used by ${owner.name} and claimed by nobody`)
      else if (!isOf(claim, owner)) faults.push(`${key.name} is used by ${owner.name} and claimed by ${ownerOf(claim).name}`)
    }
  for (const ref of [IP_ADDRESSES, NODE_PORTS])
    for (const { key, object } of view.collection(ref).values())
      if (!used.has(keyId(key))) faults.push(`${key.name} is claimed by ${ownerOf(object).name} and used by nobody`)
  return faults
}
