/**
 * The keys that seal what each node must run. A binding holds the Secrets and tokens of its pod, so on disk and on the wire it
 * is as closed as they are; a node has its own key and no other's.
 */
import { hkdfSync } from 'node:crypto'
import { openBytes, sealText } from './Cipher.ts'

export interface Sealed {
  /** The key's name. */
  readonly key: string
  readonly text: string
}

/** Seals and opens bindings. */
export interface BindingSeal {
  seal(node: string, about: string, text: string): Sealed
  /** Undefined when the key is not here. Throws when it does not fit: the text is another's, or was changed. */
  open(node: string, about: string, sealed: Sealed): string | undefined
}

const KEY_BYTES = 32

/** Derived, not stored (RFC 5869): whoever has the master key has every node's, and a node can't find another's from its own. */
export const nodeKey = (master: Uint8Array, node: string): Uint8Array =>
  new Uint8Array(hkdfSync('sha256', master, '', `binding ${node}`, KEY_BYTES))

class Keys implements BindingSeal {
  readonly #names: readonly string[]
  readonly #keyOf: (name: string, node: string) => Uint8Array | undefined
  readonly #known = new Map<string, Uint8Array | undefined>()

  constructor(names: readonly string[], keyOf: (name: string, node: string) => Uint8Array | undefined) {
    this.#names = names
    this.#keyOf = keyOf
  }
  seal(node: string, about: string, text: string): Sealed {
    const name = this.#names.at(-1)
    const key = name === undefined ? undefined : this.#key(name, node)
    if (name === undefined || key === undefined) throw new Error(`there is no key to seal what node ${node} must run`)
    return { key: name, text: sealText(key, about, text) }
  }
  open(node: string, about: string, { key: name, text }: Sealed): string | undefined {
    const key = this.#key(name, node)
    return key === undefined ? undefined : openBytes(key, about, text).toString()
  }
  #key(name: string, node: string): Uint8Array | undefined {
    const id = `${name} ${node}`
    if (!this.#known.has(id)) this.#known.set(id, this.#keyOf(name, node))
    return this.#known.get(id)
  }
}

/** The API server's: every node's, by master keys. The last one seals what is new. */
export const allNodes = (masters: ReadonlyMap<string, Uint8Array>): BindingSeal =>
  new Keys([...masters.keys()], (name, node) => {
    const master = masters.get(name)
    return master === undefined ? undefined : nodeKey(master, node)
  })

/** An agent's: its own, by the master keys they come from. */
export const oneNode = (own: string, keys: ReadonlyMap<string, Uint8Array>): BindingSeal =>
  new Keys([...keys.keys()], (name, node) => (node === own ? keys.get(name) : undefined))
