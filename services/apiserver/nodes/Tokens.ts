/**
 * Service account tokens: signed JWTs bound to an account (and a pod), short-lived (KEP-1205). Signing is the only
 * thing here; whether a token is good is asked at authentication.
 */
import { SignJWT } from 'jose'
import type { Clock } from '#services/platform/Clock.ts'
import type { SigningKeys } from './SigningKeys.ts'

export const ISSUER = 'https://kubernetes.default.svc.cluster.local'
/** Less than ten minutes is refused by upstream as well. */
const SHORTEST_S = 600
const LONGEST_S = 86_400

export interface TokenSubject {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly pod?: { readonly name: string; readonly uid: string }
}

export interface Token {
  readonly token: string
  /** RFC 3339, seconds. */
  readonly expiresAt: string
}

export class Tokens {
  readonly #clock: Clock
  readonly #keys: SigningKeys

  constructor(keys: SigningKeys, clock: Clock) {
    this.#keys = keys
    this.#clock = clock
  }
  async issue(subject: TokenSubject, options: { readonly audiences?: readonly string[]; readonly seconds?: number } = {}): Promise<Token> {
    const { id, algorithm, key } = await this.#keys.signing()
    const now = Math.floor(this.#clock.now() / 1000)
    const expires = now + Math.min(LONGEST_S, Math.max(SHORTEST_S, options.seconds ?? 3600))
    const { namespace, name, uid, pod } = subject
    const token = await new SignJWT({
      'kubernetes.io': { namespace, serviceaccount: { name, uid }, ...(pod === undefined ? {} : { pod }) }
    })
      .setProtectedHeader({ alg: algorithm, kid: id })
      .setIssuer(ISSUER)
      .setSubject(`system:serviceaccount:${namespace}:${name}`)
      .setAudience(options.audiences === undefined || options.audiences.length === 0 ? [ISSUER] : [...options.audiences])
      .setIssuedAt(now)
      .setNotBefore(now)
      .setExpirationTime(expires)
      .setJti(this.#clock.uuid())
      .sign(key)
    return { token, expiresAt: new Date(expires * 1000).toISOString().replace('.000', '') }
  }
}
