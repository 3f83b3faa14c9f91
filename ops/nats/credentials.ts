/** The users' nkey seeds: one file per user in the home, readable by its owner only. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createUser, fromSeed } from '@nats-io/nkeys'
import { writeSecret } from '../home.ts'

const credentialsFile = (home: string, user: string): string => join(home, 'nats/creds', `${user}.nk`)

/** Makes the user's seed when it is missing; returns its public key (`U…`). */
export const ensureCredentials = (home: string, user: string): string => {
  const path = credentialsFile(home, user)
  if (!existsSync(path)) {
    const pair = createUser()
    writeSecret(path, pair.getSeed())
    pair.clear()
  }
  const pair = fromSeed(readSeed(home, user))
  const publicKey = pair.getPublicKey()
  pair.clear()
  return publicKey
}

/** The seed's bytes, for nkeyAuthenticator. */
export const readSeed = (home: string, user: string): Uint8Array =>
  new Uint8Array(Buffer.from(readFileSync(credentialsFile(home, user), 'utf8').trim()))
