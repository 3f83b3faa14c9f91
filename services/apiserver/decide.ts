/**
 * The decider: what one intent becomes, given the state, the user and the time. Plain and synchronous.
 *
 * Steps, in this order for every verb and both doors: know the kind, authorize, decode, prepare, default, admit,
 * validate, decide, and admit what was decided. A refusal is thrown as `Refusal`; nothing else is ever thrown for bad input.
 */
import type { Api } from '#events/Api.ts'
import type { NewEvent } from '#events/Event.ts'
import type { Intent, UserInfo } from '#events/Intent.ts'
import type { Kind } from '#events/Kind.ts'
import type { ObjectKey } from '#events/Key.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { badRequest, forbidden, methodNotAllowed, noSuchPath, type Status } from '#events/Refusal.ts'
import type { PodSecurity } from '#events/core/pod/security/configuration.ts'
import type { Entry, ObjectsView } from '#projections/Objects.ts'
import { authorize } from '#projections/Rbac.ts'
import { admitDecided } from './request/admit.ts'
import { deniedMessage } from './request/denied.ts'
import { decideBinding } from './subresources/binding.ts'
import { decideEviction, evictionIntent } from './subresources/eviction.ts'
import { decideScale } from './subresources/scale.ts'
import { decideCreate } from './verbs/create.ts'
import { decideDelete } from './verbs/delete.ts'
import { decidePatch } from './verbs/patch.ts'
import { decideUpdate } from './verbs/update.ts'

export interface Settings {
  /** `10.96.0.0/16` */
  readonly serviceCIDR: string
  /** Inclusive. */
  readonly nodePorts: readonly [number, number]
  /** What namespaces without labels hold their pods to, and who is exempt; absent: anything goes, and nobody. */
  readonly podSecurity?: PodSecurity
}

/** What a decision may know besides the intent. */
export interface DecideContext {
  /** What the cluster serves. */
  readonly api: Api
  readonly view: ObjectsView
  /** Sequence of the last event on an object's subject, 0 when there is none. */
  head(key: ObjectKey): number
  readonly user: UserInfo
  /** Milliseconds since the epoch. */
  readonly now: number
  random(): number
  /** Chance for the letters of a made-up name, where it has to come out the same when it is asked again; otherwise `random`. */
  letters?(): number
  uuid(): string
  /** Cluster IPs and node ports that decisions in flight hold: not yet in the view. */
  readonly reserved: ReadonlySet<string>
  readonly settings: Settings
}

export interface Decided {
  /** Stored together or not at all; empty when the intent changes nothing (or is a dry run). */
  readonly events: readonly NewEvent[]
  readonly code: 200 | 201
  /** What the client gets: without resourceVersion when an event makes it, as it is in the view otherwise. */
  readonly object: KubeObject
  /** The object as it stands, when nothing changes. */
  readonly entry?: Entry
  /** Answered instead of the object: a finished delete. */
  readonly status?: Status
  readonly warnings: readonly string[]
  /** Annotations for the audit trail, by key (`pod-security.kubernetes.io/audit-violations`); those of a refusal are on the Refusal. */
  readonly audit?: Readonly<Record<string, string>>
  /** Names in `DecideContext.reserved` to hold until the events are folded. */
  readonly reserves?: readonly string[]
  /** The answer is a view of the object: the Scale of a deployment. */
  readonly present?: (object: KubeObject) => KubeObject
}

/** The subresources through which an object is changed. */
const STORED = new Set(['', 'binding', 'eviction', 'finalize', 'scale', 'status'])
const CHANNELS = new Set(['attach', 'exec'])

export const decide = (intent: Intent, context: DecideContext): Decided => {
  const kind = context.api.kindOf(intent.ref)
  if (kind === undefined || kind.version !== intent.version) throw noSuchPath()
  if (kind.namespaced !== (intent.namespace !== '')) throw noSuchPath()
  const subresource = intent.subresource ?? ''
  const offered = subresource === '' ? (kind.verbs as readonly string[]) : kind.subresources?.find(({ name }) => name === subresource)?.verbs
  if (offered === undefined) throw noSuchPath()
  if (!offered.includes(intent.verb)) throw methodNotAllowed()
  authorizeIntent(kind, intent, context)
  // A stream or a token is no change of the object: decided as one, whoever may exec could create pods.
  if (CHANNELS.has(subresource)) throw badRequest('Upgrade request required')
  if (!STORED.has(subresource)) throw methodNotAllowed()
  // What an eviction asks for is in its body, a dry run included.
  const asked = subresource === 'eviction' ? evictionIntent(intent) : intent
  const decided = admitDecided(kind, asked, decideVerb(kind, asked, context), context)
  return asked.options?.dryRun === true ? asIf(decided, context) : decided
}

const decideVerb = (kind: Kind, intent: Intent, context: DecideContext): Decided => {
  switch (intent.subresource ?? '') {
    case 'binding':
      return decideBinding(kind, intent, context)
    case 'eviction':
      return decideEviction(kind, intent, context)
    case 'scale':
      return decideScale(kind, intent, context)
  }
  switch (intent.verb) {
    case 'create':
      return decideCreate(kind, intent, context)
    case 'update':
      return decideUpdate(kind, intent, context)
    case 'patch':
      return decidePatch(kind, intent, context)
    case 'delete':
      return decideDelete(kind, intent, context)
  }
}

/**
 * A dry run: everything is decided, nothing stored or reserved. Here and not in each verb, so that none can forget it.
 * The answer is the object as it would be, with the version it has now; a new one has none.
 */
const asIf = ({ events, reserves: _, ...decided }: Decided, { view }: DecideContext): Decided => {
  const last = events.at(-1)
  if (last === undefined || decided.code === 201) return { ...decided, events: [] }
  return { ...decided, events: [], object: { ...decided.object, metadata: { ...decided.object.metadata, resourceVersion: String(view.get(last.key)?.sequence ?? last.expected) } } }
}

const authorizeIntent = (kind: Kind, intent: Intent, context: DecideContext): void => {
  const attributes = {
    verb: intent.verb,
    group: kind.group,
    resource: kind.resource,
    subresource: intent.subresource ?? '',
    namespace: intent.namespace,
    name: intent.name
  }
  const { allowed, reason } = authorize(context.view, context.user, attributes)
  if (!allowed) throw forbidden(intent.ref, intent.name, deniedMessage(context.user, attributes, reason))
}
