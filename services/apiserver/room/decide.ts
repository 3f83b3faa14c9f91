/**
 * Which writes are refused while the log's disk is short of room, and in which words. Plain.
 *
 * An event holds the whole object, so every write takes room, deletions too; none gives any back. What is let through last is
 * what makes the cluster write less from then on (deletions, evictions), what its nodes can't do without (leases, status,
 * bindings), and what takes traffic away from where nobody answers any more (endpoints).
 */
import type { Intent, UserInfo } from '#events/Intent.ts'
import type { ResourceRef } from '#events/Key.ts'
import { resourceId } from '#events/Key.ts'
import { insufficientStorage, type Refusal } from '#events/Refusal.ts'
import { atLeast, type Room } from '#services/platform/disk/decide.ts'
import { isPrivileged } from '#services/apiserver/http/limits.ts'

export interface Shortage {
  readonly room: Room
  /** What is short: `wordsOf`. */
  readonly words: string
}

/** What the write would do to its object. */
export interface Growth {
  /** Bytes of the object's text before, 0 for one that is made, and after. */
  readonly before: number
  readonly after: number
  /** It is on its way out: this takes a finalizer from it. */
  readonly going: boolean
}

/** A change may make an object larger by so much: a condition, a label, the note of who changed it. */
const GROWTH = 1_024
const API_SERVER = 'system:apiserver'
const id = (group: string, resource: string): string => resourceId({ group, resource } as ResourceRef)
const VITAL_KINDS: ReadonlySet<string> = new Set([
  id('', 'nodes'),
  id('coordination.k8s.io', 'leases'),
  id('', 'endpoints'),
  id('discovery.k8s.io', 'endpointslices')
])
const VITAL_PARTS: ReadonlySet<string> = new Set(['status', 'binding', 'eviction', 'finalize'])
const NOTICES: ReadonlySet<string> = new Set([id('', 'events'), id('events.k8s.io', 'events')])
const LEASES = id('coordination.k8s.io', 'leases')
const CONTROLLERS = 'system:serviceaccounts:kube-system'

const isSteady = ({ before, after }: Growth): boolean => before > 0 && after <= before + GROWTH

/** Of the vital kinds everybody else's are as large as they like: what those keep is their leases, of which the last one is stored. */
const mayWriteVital = ({ ref }: Intent, user: UserInfo, growth: Growth): boolean =>
  isPrivileged(user) || user.groups.includes(CONTROLLERS) || (resourceId(ref) === LEASES && isSteady(growth))

const isVital = (intent: Intent, user: UserInfo, growth: Growth): boolean =>
  intent.verb === 'delete' ||
  growth.going ||
  VITAL_PARTS.has(intent.subresource ?? '') ||
  (VITAL_KINDS.has(resourceId(intent.ref)) && mayWriteVital(intent, user, growth)) ||
  user.username === API_SERVER

/** The refusal of a write that can't be afforded now; undefined for one that can. */
export const refusalFor = ({ room, words }: Shortage, intent: Intent, user: UserInfo, growth: Growth): Refusal | undefined => {
  const refusal = (): Refusal => insufficientStorage(`${words}. Free space on it (see \`reckon status\`), and this goes on by itself`)
  if (room === 'none') return refusal()
  if (!atLeast(room, 'no-creates') || isVital(intent, user, growth)) return undefined
  if (room === 'deletes-only' || NOTICES.has(resourceId(intent.ref))) return refusal()
  return isSteady(growth) ? undefined : refusal()
}
