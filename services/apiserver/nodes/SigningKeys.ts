/** The keys of service account tokens: one signs, several verify. They are replaced in a running process. */
import { importPKCS8, importSPKI, type CryptoKey } from 'jose'
import { createHash, createPrivateKey, createPublicKey } from 'node:crypto'

export type Algorithm = 'ES256' | 'RS256'

export interface KeyMaterial {
  /** PKCS #8, PEM: P-256 or RSA. */
  readonly privateKey: string
  /** SPKI, PEM; the signing key's own first. */
  readonly publicKeys: readonly string[]
}

export interface VerificationKey {
  readonly id: string
  readonly algorithm: Algorithm
  readonly key: CryptoKey
}

interface Loaded {
  readonly signing: { readonly id: string; readonly algorithm: Algorithm; readonly key: CryptoKey }
  readonly verifying: readonly VerificationKey[]
}

/** A key's name in a token's header: base64url of the SHA-256 of its public half, as upstream's. */
const idOf = (pem: string): string =>
  createHash('sha256')
    .update(createPublicKey(pem).export({ type: 'spki', format: 'der' }))
    .digest('base64url')
const algorithmOf = (type: string | undefined): Algorithm => (type === 'rsa' ? 'RS256' : 'ES256')

const load = async ({ privateKey, publicKeys }: KeyMaterial): Promise<Loaded> => {
  const own = createPrivateKey(privateKey)
  const algorithm = algorithmOf(own.asymmetricKeyType)
  return {
    signing: {
      id: idOf(publicKeys[0] ?? privateKey),
      algorithm,
      key: await importPKCS8(own.export({ type: 'pkcs8', format: 'pem' }) as string, algorithm)
    },
    verifying: await Promise.all(
      publicKeys.map(async (pem) => {
        const key = createPublicKey(pem)
        const by = algorithmOf(key.asymmetricKeyType)
        return { id: idOf(pem), algorithm: by, key: await importSPKI(key.export({ type: 'spki', format: 'pem' }) as string, by) }
      })
    )
  }
}

export class SigningKeys {
  #loaded: Promise<Loaded>

  constructor(material: KeyMaterial) {
    this.#loaded = load(material)
  }
  /** From now on new tokens are signed with the new key. */
  replace(material: KeyMaterial): void {
    this.#loaded = load(material)
  }
  async signing(): Promise<Loaded['signing']> {
    return (await this.#loaded).signing
  }
  /** The keys a token that names this one may have been signed with; all of them for one that names none. */
  async verifying(id: string | undefined): Promise<readonly VerificationKey[]> {
    const { verifying } = await this.#loaded
    return id === undefined ? verifying : verifying.filter((key) => key.id === id)
  }
}
