/** The accounts that a nats-server at work holds: all of them, one more, one less. */
import { type Account, decode, encodeGeneric, type KeyPair } from '@nats-io/jwt'
import { createInbox, type NatsConnection } from '@nats-io/transport-node'
import type { AccountClaims } from './claims.ts'
import { ACCOUNTANT, inboxPrefix } from './users.ts'

export interface SignedAccount {
  /** The account's public key. */
  readonly key: string
  readonly jwt: string
}

export type HeldAccount = AccountClaims & {
  readonly key: string
  /** Milliseconds: when its user was let in. */
  readonly since: number
}

const TIMEOUT_MS = 5_000

/** What an account serves for the API server, by the account's key. */
export const servedIn = ({
  key,
  name,
  claims
}: AccountClaims & { readonly key: string }): readonly { readonly key: string; readonly subject: string }[] =>
  name.startsWith('node-') ? (claims.exports ?? []).map(({ subject }) => ({ key, subject })) : []

interface Told {
  readonly data?: { readonly code: number }
  readonly error?: { readonly code: number; readonly description: string }
}

export class Held {
  readonly #connection: NatsConnection
  /** As the accountant. */
  constructor(connection: NatsConnection) {
    this.#connection = connection
  }
  /** Every account; a few thousand come in one answer of many messages. */
  list(): Promise<readonly HeldAccount[]> {
    return new Promise((resolve, reject) => {
      const found: HeldAccount[] = []
      const inbox = createInbox(inboxPrefix(ACCOUNTANT.name))
      const subscription = this.#connection.subscribe(inbox, {
        timeout: TIMEOUT_MS,
        callback: (error, message) => {
          if (error !== null) return reject(new Error(`the accounts can't be listed: ${error.message}`, { cause: error }))
          const text = message.string()
          // The last one is empty.
          if (text === '') {
            subscription.unsubscribe()
            return resolve(found)
          }
          for (const line of text.split('\n')) {
            const { sub, name, nats, iat } = decode<Account>(line.slice(line.indexOf('|') + 1).trim())
            found.push({ key: sub, name, claims: nats, since: Date.parse(nats.description ?? '') || iat * 1000 })
          }
        }
      })
      this.#connection.publish('$SYS.REQ.CLAIMS.PACK', '', { reply: inbox })
    })
  }
  /** In force when it resolves. */
  put({ jwt }: SignedAccount): Promise<void> {
    return this.#ask('$SYS.REQ.CLAIMS.UPDATE', jwt)
  }
  /** Their users are cut off at once, and can't come back. */
  async remove(accounts: readonly string[], operator: KeyPair): Promise<void> {
    if (accounts.length === 0) return
    const jwt = await encodeGeneric('revoked', operator, 'generic', { accounts }, { signer: operator })
    return this.#ask('$SYS.REQ.CLAIMS.DELETE', jwt)
  }
  async #ask(subject: string, jwt: string): Promise<void> {
    const { data, error } = (await this.#connection.request(subject, jwt, { timeout: TIMEOUT_MS })).json<Told>()
    if (error !== undefined || data?.code !== 200)
      throw new Error(`nats-server refuses an account: ${error?.description ?? JSON.stringify(data)}`)
  }
}
