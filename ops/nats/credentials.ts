/**
 * What each user shows at the NATS door: its key, and the operator's word for it, in one file per user in the home, readable by its
 * owner only.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createAccount, createUser, decode, encodeUser, fmtCreds, fromSeed, type KeyPair, type Permissions, type User } from '@nats-io/jwt'
import { writeSecret } from '#ops/home.ts'
import { permissionsOf } from './claims.ts'
import type { NatsUser } from './users.ts'

export const credentialsFile = (home: string, user: string): string => join(home, 'nats/creds', `${user}.creds`)
/** Of before there were accounts that are signed: the bare key. */
const oldFile = (home: string, user: string): string => join(home, 'nats/creds', `${user}.nk`)

/** The file's bytes. Throws for a user of whom this home knows nothing. */
export const readCredentials = (home: string, user: string): Uint8Array => {
  try {
    return new Uint8Array(readFileSync(credentialsFile(home, user)))
  } catch (error) {
    throw new Error(`this home has no credentials for ${user}: ${(error as Error).message}`, { cause: error })
  }
}

export interface Credentials {
  /** The account the user is in. */
  readonly account: string
  /** As in the file. */
  readonly text: string
}

/** A user that is alone in a new account. Nobody keeps that account's key: it has signed the one user it ever will. */
export const newCredentials = async (user: string, key: KeyPair = createUser()): Promise<Credentials> => {
  const account = createAccount()
  const text = textOf(await encodeUser(user, key, account), key)
  return { account: account.getPublicKey(), text }
}

/** The user's file, made when it is missing; returns its account's public key. */
export const ensureCredentials = async (home: string, user: string): Promise<string> => {
  const known = accountIn(home, user)
  if (known !== undefined) return known
  const { account, text } = await newCredentials(user, keyOf(home, user))
  write(home, user, text)
  return account
}

/** A user that shares its account with others: what it may do stands in its own credentials, which are written anew when that changes. */
export const ensureMember = async (
  home: string,
  user: Pick<NatsUser, 'name' | 'publish' | 'subscribe' | 'responds'>,
  account: KeyPair
): Promise<void> => {
  const wanted = permissionsOf(user)
  const known = existsSync(credentialsFile(home, user.name)) ? claimsOf(home, user.name) : undefined
  const allowed = ({ pub, sub }: Permissions): string => JSON.stringify([pub?.allow, sub?.allow])
  if (known?.iss === account.getPublicKey() && allowed(known.nats) === allowed(wanted)) return
  const key = keyOf(home, user.name)
  write(home, user.name, textOf(await encodeUser(user.name, key, account, wanted), key))
}

const textOf = (jwt: string, key: KeyPair): string => new TextDecoder().decode(fmtCreds(jwt, key))

const claimsOf = (home: string, user: string) => {
  const [, jwt] = /BEGIN NATS USER JWT-+\s+(\S+)/.exec(readFileSync(credentialsFile(home, user), 'utf8')) ?? []
  if (jwt === undefined)
    throw new Error(
      `${credentialsFile(home, user)} can't be read: there is no JWT in it. Remove it, and it is made anew at the next start.`
    )
  return decode<User>(jwt)
}

const accountIn = (home: string, user: string): string | undefined =>
  existsSync(credentialsFile(home, user)) ? claimsOf(home, user).iss : undefined

/** The key the user had, whatever it was written down as; a new one otherwise. */
const keyOf = (home: string, user: string): KeyPair => {
  const path = [credentialsFile(home, user), oldFile(home, user)].find((file) => existsSync(file))
  const [seed] = path === undefined ? [] : (/\bSU[A-Z2-7]{56}\b/.exec(readFileSync(path, 'utf8')) ?? [])
  return seed === undefined ? createUser() : fromSeed(new TextEncoder().encode(seed))
}

const write = (home: string, user: string, text: string): void => {
  writeSecret(credentialsFile(home, user), text)
  rmSync(oldFile(home, user), { force: true })
}
