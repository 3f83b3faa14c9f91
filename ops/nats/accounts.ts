/**
 * The accounts nats-server lets users into: signed here, handed in where it runs, written where it will look for them where it does not.
 * What it holds is the list of who may come in; nobody else keeps one.
 */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Account, decode, encodeAccount, encodeOperator, type KeyPair } from '@nats-io/jwt'
import { type ClusterConfig, privateFolder, writeSecret } from '#ops/home.ts'
import { type AccountClaims, callsClaims, logClaims, systemClaims, userClaims } from './claims.ts'
import { connectNats } from './connect.ts'
import { ensureCredentials, ensureMember } from './credentials.ts'
import { Held, type SignedAccount, servedIn } from './held.ts'
import { ensureOperatorKeys, type OperatorKeys } from './keys.ts'
import { ACCOUNTANT, LOG_ACCOUNT, natsUsers } from './users.ts'

/** nats-server's own folder for them: one file each. */
export const accountsFolder = (home: string): string => join(home, 'nats/accounts')
const accountFile = (home: string, key: string): string => join(accountsFolder(home), `${key}.jwt`)

export interface Accounts {
  /** The operator's JWT, and the system account's key: they stand in the server's configuration. */
  readonly operator: string
  readonly system: string
  /** Those that are not what the server's folder has. */
  readonly changed: readonly SignedAccount[]
}

/** Makes keys, credentials and accounts of the cluster's own users and of those nodes; nothing is handed in yet. */
export const ensureAccounts = async (home: string, nodes: readonly string[]): Promise<Accounts> => {
  const keys = ensureOperatorKeys(home)
  const users = natsUsers(nodes)
  const logKey = keys.log.getPublicKey()
  const callsKey = keys.calls.getPublicKey()
  await ensureMember(home, ACCOUNTANT, keys.system)
  for (const user of users) if (user.account === LOG_ACCOUNT) await ensureMember(home, user, keys.log)
  const wanted = new Map<string, AccountClaims>([
    [keys.system.getPublicKey(), systemClaims()],
    [logKey, logClaims(callsKey)]
  ])
  for (const user of users) {
    if (user.account !== LOG_ACCOUNT) wanted.set(await ensureCredentials(home, user.name), userClaims(user, logKey))
  }
  const held = heldIn(home, keys.operator.getPublicKey())
  const serving = [...held, ...[...wanted].map(([key, claims]) => ({ key, ...claims }))].flatMap(servedIn)
  wanted.set(callsKey, callsClaims([...new Map(serving.map((one) => [one.key, one])).values()]))
  const changed = [...wanted].filter(([key, claims]) => !sameAs(readAccount(home, key), claims, keys.operator.getPublicKey()))
  return {
    operator: await operatorJwt(home, keys),
    system: keys.system.getPublicKey(),
    changed: await Promise.all(changed.map(([key, claims]) => sign(key, claims, keys)))
  }
}

export const sign = async (
  key: string,
  { name, claims }: AccountClaims,
  { operator }: Pick<OperatorKeys, 'operator'>
): Promise<SignedAccount> => ({
  key,
  jwt: await encodeAccount(name, key, claims, { signer: operator as KeyPair })
})

/** The same each time: it stands in the configuration, and a server with another one is started anew. */
const operatorJwt = async (home: string, { operator, system }: OperatorKeys): Promise<string> => {
  const path = join(home, 'nats/operator/operator.jwt')
  const known = existsSync(path) ? readFileSync(path, 'utf8').trim() : undefined
  const claims = known === undefined ? undefined : decode<{ system_account: string }>(known)
  if (known !== undefined && claims?.sub === operator.getPublicKey() && claims.nats.system_account === system.getPublicKey()) return known
  const jwt = await encodeOperator('reckon', operator, { system_account: system.getPublicKey() })
  writeSecret(path, jwt)
  return jwt
}

const readAccount = (home: string, key: string): string | undefined =>
  existsSync(accountFile(home, key)) ? readFileSync(accountFile(home, key), 'utf8').trim() : undefined

/** Of the nodes that joined, too. What another operator signed is believed by nobody any more: its key was lost. */
const heldIn = (home: string, operator: string): readonly (AccountClaims & { readonly key: string })[] =>
  (existsSync(accountsFolder(home)) ? readdirSync(accountsFolder(home)) : [])
    .filter((file) => file.endsWith('.jwt'))
    .flatMap((file) => {
      const { sub, iss, name, nats } = decode<Account>(readFileSync(join(accountsFolder(home), file), 'utf8').trim())
      return iss === operator ? [{ key: sub, name, claims: nats }] : []
    })

const COMPARED = ['imports', 'exports', 'default_permissions', 'limits'] as const

/** Of what the library adds by itself nothing is compared. */
const sameAs = (jwt: string | undefined, { name, claims }: AccountClaims, operator: string): boolean => {
  if (jwt === undefined) return false
  const known = decode<Account>(jwt)
  return known.iss === operator && known.name === name && COMPARED.every((field) => contains(known.nats[field], claims[field]))
}

const contains = (known: unknown, wanted: unknown): boolean => {
  if (typeof wanted !== 'object' || wanted === null) return wanted === undefined || known === wanted
  if (typeof known !== 'object' || known === null) return Object.keys(wanted).length === 0
  if (Array.isArray(wanted) && wanted.length !== (known as unknown[]).length) return false
  return Object.entries(wanted).every(([field, value]) => contains((known as Record<string, unknown>)[field], value))
}

/** For a server that is about to start. */
export const writeAccounts = (home: string, accounts: readonly SignedAccount[]): void => {
  privateFolder(accountsFolder(home))
  const operator = ensureOperatorKeys(home).operator.getPublicKey()
  for (const file of readdirSync(accountsFolder(home))) {
    const path = join(accountsFolder(home), file)
    if (file.endsWith('.jwt') && decode(readFileSync(path, 'utf8').trim()).iss !== operator) rmSync(path)
  }
  for (const { key, jwt } of accounts) writeSecret(accountFile(home, key), jwt)
}

/** To one that runs: connections stay, but for those of users who may not come in any more. */
export const handIn = async (home: string, config: ClusterConfig, accounts: readonly SignedAccount[]): Promise<void> => {
  if (accounts.length === 0) return
  const connection = await connectNats(home, config, ACCOUNTANT.name, { waitOnFirstConnect: false, reconnect: false })
  try {
    const held = new Held(connection)
    for (const account of accounts) await held.put(account)
  } finally {
    await connection.close()
  }
}
