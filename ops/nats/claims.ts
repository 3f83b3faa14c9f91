/**
 * The accounts as nats-server is told of them: what each may reach of another, and what its users may say and hear. Signed by the
 * operator's key, so a user can add nothing to its own.
 *
 * The log's account offers its subjects to whoever the operator lets import them; which single ones a user reaches stands in
 * that user's own account. So nothing in the log's account changes when a node comes or goes: nats-server forgets every
 * request an account has not answered yet when that account is handed in anew.
 */
import type { Account, Export, Import, Permissions } from '@nats-io/jwt'
import { LOG_ACCOUNT, type NatsUser } from './users.ts'

export interface AccountClaims {
  readonly name: string
  readonly claims: Partial<Account>
}

export const SYSTEM_ACCOUNT = 'SYS'
/** Imports what each node serves and offers all of it to the log's account: the one account that changes with the nodes. */
export const CALLS_ACCOUNT = 'CALLS'

const UNBOUNDED = { subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: 0 }
/**
 * Of a machine that may fall into other hands: nats-server's connections and memory are everybody's. An agent has one connection,
 * and those of its life before for a while; a subscription for each of its streams that is open.
 */
const OF_A_NODE = { conn: 32, subs: 4_096 }
const STREAMS_UNBOUNDED = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 }
/** An answer may take so long, nanoseconds: what an agent is asked. */
const ANSWER_TTL = 120 * 1_000_000_000

/** What the log's account offers. `streamed`: more than one message answers. */
const SERVED = ['intent.*', 'follow.*', 'gone.*', 'self.*', 'erase.*', 'report.>', 'pulse.node.*', 'stream.*.*.up', '$JS.ACK.EVENTS.>']
const STREAMED = ['$JS.API.CONSUMER.MSG.NEXT.>', '$JS.API.DIRECT.GET.>']
const TOLD = ['stream.*.*.down']
/** What nodes serve, each the part with its own name. */
const CALLED = 'node.>'

const service = (subject: string, streamed = false): Export => ({
  name: subject,
  subject,
  type: 'service',
  ...(streamed ? { response_type: 'Stream' } : {})
})
const taken = (type: 'service' | 'stream', subject: string, account: string): Import => ({
  name: subject,
  subject,
  local_subject: subject,
  type,
  account
})

export const permissionsOf = ({ publish, subscribe, responds }: Pick<NatsUser, 'publish' | 'subscribe' | 'responds'>): Permissions => ({
  pub: { allow: [...publish] },
  sub: { allow: [...subscribe] },
  ...(responds ? { resp: { max: 1, ttl: ANSWER_TTL } } : {})
})

export const systemClaims = (): AccountClaims => ({ name: SYSTEM_ACCOUNT, claims: { limits: UNBOUNDED } })

export const logClaims = (callsKey: string): AccountClaims => ({
  name: LOG_ACCOUNT,
  claims: {
    limits: { ...UNBOUNDED, ...STREAMS_UNBOUNDED },
    exports: [
      ...SERVED.map((subject) => service(subject)),
      ...STREAMED.map((subject) => service(subject, true)),
      ...TOLD.map((subject): Export => ({ name: subject, subject, type: 'stream' }))
    ],
    imports: [taken('service', CALLED, callsKey)]
  }
})

/** `serving`: the accounts that serve something, with it. */
export const callsClaims = (serving: readonly { readonly key: string; readonly subject: string }[]): AccountClaims => ({
  name: CALLS_ACCOUNT,
  claims: {
    limits: UNBOUNDED,
    exports: [service(CALLED)],
    imports: serving.toSorted((a, b) => (a.subject < b.subject ? -1 : 1)).map(({ key, subject }) => taken('service', subject, key))
  }
})

/**
 * A user's own account, with it alone; `since`: milliseconds, when it was let in. Its permissions stand here and not in what the user
 * holds, so that they can change without it.
 */
export const userClaims = (user: NatsUser, logKey: string, since?: number): AccountClaims => ({
  name: user.name,
  claims: {
    ...(since === undefined ? {} : { description: new Date(since).toISOString() }),
    limits: /^(node|kube-proxy|dns)-/.test(user.name) ? { ...UNBOUNDED, ...OF_A_NODE } : UNBOUNDED,
    imports: [...user.asks, ...user.tells]
      .map((subject) => taken('service', subject, logKey))
      .concat(user.hears.map((subject) => taken('stream', subject, logKey))),
    exports: user.serves.map((subject) => service(subject)),
    default_permissions: permissionsOf(user)
  }
})
