/**
 * Service account tokens: signed JWTs bound to an account (and a pod), short-lived (KEP-1205). Signing is the only
 * thing here; whether a token is good is asked at authentication.
 */
import { importPKCS8, SignJWT, type CryptoKey } from 'jose'
import { createPrivateKey } from 'node:crypto'
import type { Clock } from '../../platform/Clock.ts'

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
  readonly #pem: string
  readonly #algorithm: 'ES256' | 'RS256'
  #key: Promise<CryptoKey> | undefined

  /** `pem`: PKCS #8 private key, P-256 or RSA. */
  constructor(pem: string, clock: Clock) {
    const key = createPrivateKey(pem)
    this.#algorithm = key.asymmetricKeyType === 'rsa' ? 'RS256' : 'ES256'
    this.#pem = key.export({ type: 'pkcs8', format: 'pem' }) as string
    this.#clock = clock
  }
  async issue(subject: TokenSubject, options: { readonly audiences?: readonly string[]; readonly seconds?: number } = {}): Promise<Token> {
    this.#key ??= importPKCS8(this.#pem, this.#algorithm)
    const now = Math.floor(this.#clock.now() / 1000)
    const expires = now + Math.min(LONGEST_S, Math.max(SHORTEST_S, options.seconds ?? 3600))
    const { namespace, name, uid, pod } = subject
    const token = await new SignJWT({
      'kubernetes.io': { namespace, serviceaccount: { name, uid }, ...(pod === undefined ? {} : { pod }) }
    })
      .setProtectedHeader({ alg: this.#algorithm })
      .setIssuer(ISSUER)
      .setSubject(`system:serviceaccount:${namespace}:${name}`)
      .setAudience(options.audiences === undefined || options.audiences.length === 0 ? [ISSUER] : [...options.audiences])
      .setIssuedAt(now)
      .setNotBefore(now)
      .setExpirationTime(expires)
      .setJti(this.#clock.uuid())
      .sign(await this.#key)
    return { token, expiresAt: new Date(expires * 1000).toISOString().replace('.000', '') }
  }
}
