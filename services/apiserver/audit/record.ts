/** What the audit trail says of a request: upstream's audit.k8s.io/v1 Event at level Metadata, never a body. Plain functions. */
import { timestampWith } from '#events/meta/time.ts'
import type { Intent, UserInfo } from '#events/Intent.ts'
import type { ObjectKey } from '#events/Key.ts'
import type { Status } from '#events/Refusal.ts'

export interface Asked {
  /** The `Audit-Id` of the answer. */
  readonly id: string
  readonly verb: string
  readonly requestURI: string
  /** Undefined: nobody we know. */
  readonly user?: UserInfo
  /** Who the user acted as. */
  readonly impersonated?: UserInfo
  readonly sourceIPs?: readonly string[]
  readonly userAgent?: string
  readonly object?: Partial<ObjectKey> & { readonly version?: string; readonly subresource?: string; readonly uid?: string }
  /** Milliseconds: when it came. */
  readonly received: number
}

export interface Answered {
  /** `ResponseStarted` for what goes on: exec, attach, a watch. */
  readonly stage: 'ResponseStarted' | 'ResponseComplete'
  readonly status: Pick<Status, 'code' | 'reason' | 'message'>
  readonly annotations?: Readonly<Record<string, string>>
  /** Milliseconds. */
  readonly at: number
}

const userOf = ({ username, uid, groups, extra }: UserInfo): Record<string, unknown> => ({
  username,
  ...(uid === undefined ? {} : { uid }),
  groups,
  ...(extra === undefined ? {} : { extra })
})
const micro = (ms: number): string => timestampWith(6, ms)

export const auditEvent = (asked: Asked, { stage, status, annotations, at }: Answered): Record<string, unknown> => {
  const { group = '', resource, namespace = '', name = '', version = 'v1', subresource = '', uid } = asked.object ?? {}
  return {
    kind: 'Event',
    apiVersion: 'audit.k8s.io/v1',
    level: 'Metadata',
    auditID: asked.id,
    stage,
    requestURI: asked.requestURI,
    verb: asked.verb,
    user: asked.user === undefined ? {} : userOf(asked.user),
    ...(asked.impersonated === undefined ? {} : { impersonatedUser: userOf(asked.impersonated) }),
    ...(asked.sourceIPs === undefined ? {} : { sourceIPs: asked.sourceIPs }),
    ...(asked.userAgent === undefined ? {} : { userAgent: asked.userAgent }),
    ...(resource === undefined
      ? {}
      : {
          objectRef: {
            resource,
            ...(namespace === '' ? {} : { namespace }),
            ...(name === '' ? {} : { name }),
            ...(uid === undefined ? {} : { uid }),
            ...(group === '' ? {} : { apiGroup: group }),
            apiVersion: version,
            ...(subresource === '' ? {} : { subresource })
          }
        }),
    responseStatus: {
      metadata: {},
      ...((status.code ?? 0) < 400 ? {} : { status: 'Failure' }),
      ...(status.message === undefined ? {} : { message: status.message }),
      ...(status.reason === undefined ? {} : { reason: status.reason }),
      code: status.code
    },
    requestReceivedTimestamp: micro(asked.received),
    stageTimestamp: micro(at),
    ...(annotations === undefined || Object.keys(annotations).length === 0 ? {} : { annotations })
  }
}

/** An intent as a request: what came over NATS has a subject for a path. */
export const askedByIntent = (intent: Intent, user: UserInfo, received: number): Asked => ({
  id: intent.id,
  verb: intent.verb,
  requestURI: `intent:${intent.source}`,
  user,
  ...(intent.command === undefined ? {} : { userAgent: intent.command }),
  object: {
    ...intent.ref,
    namespace: intent.namespace,
    name: intent.name,
    version: intent.version,
    ...(intent.subresource === undefined ? {} : { subresource: intent.subresource })
  },
  received
})

/** Links an audit event to the log: the intent's id, and the event it followed from. */
export const intentAnnotations = ({ id, cause, command }: Intent): Record<string, string> => ({
  'reckon.io/intent': id,
  ...(cause === undefined ? {} : { 'reckon.io/cause': cause.ref }),
  ...(command === undefined ? {} : { 'reckon.io/command': command })
})
