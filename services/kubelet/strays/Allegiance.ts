/** Whose word counts on this node: the cluster it listened to first, remembered on disk. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Origin } from '#events/node/messages.ts'
import { standingOf } from './decide.ts'

export interface OriginStore {
  /** Undefined: this node belonged to no cluster yet. */
  read(): Origin | undefined
  write(origin: Origin): void
  /** How a person makes it forget. */
  readonly hint: string
}

/** In the kubelet's folder. */
export const diskOrigin = (folder: string): OriginStore => {
  const path = join(folder, 'cluster.json')
  return {
    hint: `remove ${path} and restart the agent`,
    read: () => {
      try {
        const { cluster, epoch } = JSON.parse(readFileSync(path, 'utf8')) as Partial<Origin>
        return typeof cluster === 'string' && typeof epoch === 'number' ? { cluster, epoch } : undefined
      } catch {
        return undefined
      }
    },
    write: (origin) => {
      writeFileSync(`${path}.new`, `${JSON.stringify(origin)}\n`, { mode: 0o600 })
      renameSync(`${path}.new`, path)
    }
  }
}

export const memoryOrigin = (): OriginStore => {
  let kept: Origin | undefined
  return { hint: 'forget it', read: () => kept, write: (origin) => void (kept = origin) }
}

export class Allegiance {
  readonly #store: OriginStore
  readonly #onForeign: (message: string) => void
  #origin: Origin | undefined
  #foreign = ''

  /** `onForeign` is told once of each cluster that is refused. */
  constructor(store: OriginStore, onForeign: (message: string) => void) {
    this.#store = store
    this.#onForeign = onForeign
    this.#origin = store.read()
  }
  get origin(): Origin | undefined {
    return this.#origin
  }
  /** What is wrong, for people; '' when nothing is. */
  get foreign(): string {
    return this.#foreign
  }
  /** False: it is another cluster's word, and nothing is done on it. */
  accepts(said: Origin | undefined): boolean {
    const known = this.#origin
    if (standingOf(known, said) === 'foreign') {
      const message = `this node belongs to cluster ${known?.cluster}; cluster ${said?.cluster} speaks to it, and is not listened to: what runs goes on. To let the node join that cluster, ${this.#store.hint}`
      if (message !== this.#foreign) {
        this.#foreign = message
        this.#onForeign(message)
      }
      return false
    }
    if (said !== undefined && (known?.cluster !== said.cluster || known.epoch < said.epoch)) {
      this.#store.write(said)
      this.#origin = said
    }
    if (said !== undefined) this.#foreign = ''
    return true
  }
}
