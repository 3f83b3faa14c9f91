/** Who of the nodes may come in, decided while the cluster works: credentials are made when a node joins and end when it leaves. */
import { decodeToken } from '#events/Subject.ts'
import { sign } from './accounts.ts'
import { callsClaims, userClaims } from './claims.ts'
import { newCredentials } from './credentials.ts'
import { type Held, type HeldAccount, servedIn } from './held.ts'
import type { OperatorKeys } from './keys.ts'
import { nodeUsers } from './users.ts'

export interface Admitted {
  readonly node: string
  /** Milliseconds: since when. */
  readonly since: number
}

/** A node has credentials already. */
export class AlreadyAdmitted extends Error {
  override readonly name = 'AlreadyAdmitted'
  constructor(node: string) {
    super(`node "${node}" has credentials already; revoke them first, which cuts off who uses them`)
  }
}

const OF_A_NODE = /^(?:node|kube-proxy|dns)-(.+)$/

const nodeOf = ({ name }: HeldAccount): string | undefined => {
  const [, token] = OF_A_NODE.exec(name) ?? []
  return token === undefined ? undefined : decodeToken(token)
}

/** Tries to bring in what several API servers do at once; each of the others ends one of them. */
const TRIES = 20

export class NodeAccess {
  readonly #held: Held
  readonly #keys: OperatorKeys
  constructor(held: Held, keys: OperatorKeys) {
    this.#held = held
    this.#keys = keys
  }
  async list(): Promise<readonly Admitted[]> {
    const since = new Map<string, number>()
    for (const account of await this.#held.list()) {
      const node = nodeOf(account)
      // The youngest counts: nobody is cut off for what was before.
      if (node !== undefined) since.set(node, Math.max(account.since, since.get(node) ?? 0))
    }
    return [...since].map(([node, at]) => ({ node, since: at })).sort((a, b) => (a.node < b.node ? -1 : 1))
  }
  /** New credentials by user, valid at once; they are written down nowhere. Rejects with AlreadyAdmitted. */
  async create(node: string): Promise<Readonly<Record<string, string>>> {
    if ((await this.#accountsOf(node)).length > 0) throw new AlreadyAdmitted(node)
    const logKey = this.#keys.log.getPublicKey()
    const since = Date.now()
    const made: string[] = []
    const files: Record<string, string> = {}
    try {
      for (const user of nodeUsers(node)) {
        const { account, text } = await newCredentials(user.name)
        await this.#held.put(await sign(account, userClaims(user, logKey, since), this.#keys))
        made.push(account)
        files[user.name] = text
      }
      // Who sees another's beside its own gives way: two of a name would both be called.
      if ((await this.#accountsOf(node)).some(({ key }) => !made.includes(key))) throw new AlreadyAdmitted(node)
      await this.#tellWhoServes()
      return files
    } catch (error) {
      await this.#held.remove(made, this.#keys.operator)
      throw error
    }
  }
  /** Ends what its users may do, and their connections. False when it had no credentials. */
  async revoke(node: string): Promise<boolean> {
    const accounts = await this.#accountsOf(node)
    await this.#held.remove(
      accounts.map(({ key }) => key),
      this.#keys.operator
    )
    await this.#tellWhoServes()
    return accounts.length > 0
  }
  async #accountsOf(node: string): Promise<readonly HeldAccount[]> {
    return (await this.#held.list()).filter((account) => nodeOf(account) === node)
  }
  /** Until what is told is what there is: another API server may let in a node meanwhile, and would be told over. */
  async #tellWhoServes(): Promise<void> {
    const callsKey = this.#keys.calls.getPublicKey()
    for (let tries = 0; tries < TRIES; tries++) {
      const held = await this.#held.list()
      const serving = held.flatMap(servedIn)
      const told = held.find(({ key }) => key === callsKey)?.claims.imports ?? []
      const known = told.map(({ account }) => account).sort()
      if (JSON.stringify(known) === JSON.stringify(serving.map(({ key }) => key).sort())) return
      await this.#held.put(await sign(callsKey, callsClaims(serving), this.#keys))
    }
    throw new Error('the nodes that may be called change faster than that can be told; try again')
  }
}
