/**
 * The keys that NATS users hang on: the operator's, which signs every account, and those of the three accounts that have more than
 * one user or none. They never leave the home; who is let in needs nothing of them but what they have signed.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createAccount, createOperator, fromSeed, type KeyPair } from '@nats-io/nkeys'
import { writeSecret } from '#ops/home.ts'

/** `log`: the account of the streams. `calls`: between it and the nodes. `system`: where accounts are handed in. */
const KINDS = { operator: createOperator, system: createAccount, log: createAccount, calls: createAccount } as const

type Kind = keyof typeof KINDS
export type OperatorKeys = Readonly<Record<Kind, KeyPair>>

const keyFile = (home: string, kind: Kind): string => join(home, 'nats/operator', `${kind}.nk`)

/** By seed. A public key takes milliseconds to work out and is asked for with every path in the store, so each is worked out once. */
const pairs = new Map<string, KeyPair>()

const read = (home: string, kind: Kind): KeyPair => {
  const seed = readFileSync(keyFile(home, kind), 'utf8').trim()
  const known = pairs.get(seed)
  if (known !== undefined) return known
  const pair = fromSeed(new Uint8Array(Buffer.from(seed)))
  const key = pair.getPublicKey()
  pairs.set(seed, Object.assign(pair, { getPublicKey: () => key }))
  return pair
}

/** Makes what is missing. Throws for a file that is no key, naming it. */
export const ensureOperatorKeys = (home: string): OperatorKeys =>
  Object.fromEntries(
    (Object.keys(KINDS) as Kind[]).map((kind) => {
      if (!existsSync(keyFile(home, kind))) writeSecret(keyFile(home, kind), KINDS[kind]().getSeed())
      try {
        return [kind, read(home, kind)]
      } catch (error) {
        const otherwise = `Bring it back from a copy of the home, or remove ${join(home, 'nats/operator')} whole: every node then needs new credentials.`
        throw new Error(`${keyFile(home, kind)} can't be used: ${(error as Error).message}. ${otherwise}`)
      }
    })
  ) as unknown as OperatorKeys

/**
 * The name nats-server has for the account of the streams, in whose folder it keeps them; undefined in a home of before there were keys.
 */
export const logAccountKey = (home: string): string | undefined =>
  existsSync(keyFile(home, 'log')) ? read(home, 'log').getPublicKey() : undefined
