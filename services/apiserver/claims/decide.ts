/**
 * What is wrong with the claims, and what mends it: Services of before there were claims have none, a restored copy has other
 * addresses, and people delete what they should not. As upstream's repair loops; a Service whose address is somebody else's is
 * only told of, for taking it away would break what works. Plain.
 */
import { IP_ADDRESSES, SERVICES } from '#events/collections.ts'
import type { NewEvent } from '#events/Event.ts'
import type { Guard } from '#events/guard.ts'
import { keyId, type ObjectKey, type ResourceRef } from '#events/Key.ts'
import { asOneOf, type KubeObject } from '#events/KubeObject.ts'
import { isOf, ownerOf } from '#events/networking/parent.ts'
import type { Entry } from '#projections/Objects.ts'
import type { DecideContext } from '#services/apiserver/decision.ts'
import { claimEvents } from './claims.ts'
import { claimsOfService, isAllocated, NODE_PORTS } from './service.ts'

/** One Service's claims, made right: stored only if the Service is still as it was seen. */
export interface Mending {
  readonly events: readonly NewEvent[]
  readonly guards: readonly Guard[]
}

/** What can't be mended without harm. */
export interface Disputed {
  readonly owner: ObjectKey
  readonly claim: ObjectKey
}

/** A Service, there or gone, whose claims are not what they should be. */
export interface Wrong {
  readonly owner: ObjectKey
  /** Claimed in its name, and not in use. */
  readonly leaked: readonly ObjectKey[]
}

export interface Diagnosis {
  readonly wrong: readonly Wrong[]
  readonly disputed: readonly Disputed[]
}

const CLAIMS: readonly ResourceRef[] = [IP_ADDRESSES, NODE_PORTS]
type View = DecideContext['view']

/** A person's own IPAddress is not ours to judge. */
const isOurs = (ref: ResourceRef, object: KubeObject): boolean => ref === NODE_PORTS || isAllocated(object)

const isClaimed = (view: View, owner: ObjectKey, claim: ObjectKey): boolean => {
  const service = asOneOf(SERVICES, view.get(owner)?.object)
  return service !== undefined && claimsOfService(service).some(({ key }) => keyId(key) === keyId(claim))
}

export const diagnose = (view: View): Diagnosis => {
  const wrong = new Map<string, { readonly owner: ObjectKey; readonly leaked: ObjectKey[] }>()
  const note = (owner: ObjectKey): ObjectKey[] => {
    const id = keyId(owner)
    const known = wrong.get(id) ?? { owner, leaked: [] }
    wrong.set(id, known)
    return known.leaked
  }
  const disputed: Disputed[] = []
  for (const { key: owner, object } of view.collection(SERVICES).values())
    for (const { key: claim } of claimsOfService(object)) {
      const present = view.get(claim)?.object
      if (present === undefined) note(owner)
      else if (!isOf(present, owner)) disputed.push({ owner, claim })
    }
  for (const ref of CLAIMS)
    for (const { key: claim, object } of view.collection(ref).values()) {
      const owner = ownerOf(object)
      if (isOurs(ref, object) && owner.group === '' && owner.resource === SERVICES.resource && !isClaimed(view, owner, claim))
        note(owner).push(claim)
    }
  return { wrong: [...wrong.values()], disputed }
}

/** Who has an address that was taken away; undefined when nobody has, or has it again. `claim`: as it was. */
export const lostBy = (view: View, { key, object }: Entry): Wrong | undefined => {
  const owner = ownerOf(object)
  const isServices = owner.group === '' && owner.resource === SERVICES.resource
  return isServices && view.get(key) === undefined && isClaimed(view, owner, key) ? { owner, leaked: [] } : undefined
}

/** Of one Service, which may be gone. `facts`: of an event that would say so. */
export const mend = (
  { owner, leaked: suspected }: Wrong,
  facts: Pick<NewEvent, 'id' | 'source' | 'user'>,
  context: DecideContext
): Mending => {
  const { view, now } = context
  const service = asOneOf(SERVICES, view.get(owner)?.object)
  const claims = service === undefined ? [] : claimsOfService(service)
  const missing = claims.filter(({ key }) => view.get(key) === undefined)
  const leaked = suspected
    .filter((key) => !claims.some((claim) => keyId(claim.key) === keyId(key)))
    .map((key) => ({ key, what: key.resource === NODE_PORTS.resource ? ('nodeport' as const) : ('ipaddress' as const) }))
  const main = {
    ...facts,
    stream: 'EVENTS',
    key: owner,
    type: '',
    time: new Date(now).toISOString(),
    correlationId: facts.id,
    verb: 'repair',
    deleted: false,
    object: {} as KubeObject,
    expected: 0
  } as const
  const events = claimEvents(main, missing, leaked, context)
  return { events, guards: events.length === 0 ? [] : [{ key: owner, expected: context.head(owner) }] }
}
