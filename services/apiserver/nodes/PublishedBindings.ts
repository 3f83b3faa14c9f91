/** What stands in BINDINGS as far as this API server knows: read from there, written there, and forgotten with the nodes of others. */
import { createHash } from 'node:crypto'
import type { Binding, Origin } from '#events/node/messages.ts'
import type { Log, LogEntry } from '#events/Log.ts'
import { objectId } from '#events/Key.ts'
import { decodeToken } from '#events/Subject.ts'
import { asOfIn, originOf, UnreadableBinding, updateOf } from '#services/platform/bindings.ts'
import type { BindingSeal } from '#services/platform/secrets/NodeKeys.ts'
import type { BindingUpdate } from '#services/platform/NodeLink.ts'
import type { Token } from './Tokens.ts'

const TOKEN_MS = 3_600_000

export interface Published {
  /** The message's place in BINDINGS, which the next one must follow; 0: there is none as far as is known. */
  readonly sequence: number
  /** How far EVENTS was folded by who wrote it; 0 when that was before some of it was lost. */
  readonly asOf: number
  readonly uid: string
  readonly origin: Origin | undefined
  /** Of the binding without its cause, and of the pod's part of it; not the texts, which hold Secrets. */
  readonly digest: string
  readonly podDigest: string
  readonly cause: Binding['cause']
  readonly serviceEnv: Binding['serviceEnv']
  readonly token: Token | undefined
  readonly tokenAt: number
}

export interface PublishedBindingsOptions {
  readonly bindings: Log
  readonly seal: BindingSeal
  readonly onError: (error: unknown) => void
}

export class PublishedBindings {
  readonly #options: PublishedBindingsOptions
  /** By subject. */
  readonly #bySubject = new Map<string, Published>()
  /** By pod id (`ns/name`): subjects, mostly one. */
  readonly #byPod = new Map<string, Set<string>>()
  /** The log that is written for now: what was written for another tells nothing of how far this one was folded. */
  origin: Origin = { cluster: '', epoch: 0 }

  constructor(options: PublishedBindingsOptions) {
    this.#options = options
  }
  get(subject: string): Published | undefined {
    return this.#bySubject.get(subject)
  }
  all(): IterableIterator<readonly [subject: string, published: Published]> {
    return this.#bySubject.entries()
  }
  /** The subjects of a pod: one, unless the name was another node's before. */
  ofPod(id: string): readonly string[] {
    return [...(this.#byPod.get(id) ?? [])]
  }
  keep(subject: string, published: Published): void {
    this.#bySubject.set(subject, published)
    const id = idOf(subject)
    const subjects = this.#byPod.get(id)
    if (subjects === undefined) this.#byPod.set(id, new Set([subject]))
    else subjects.add(subject)
  }
  forget(subject: string): void {
    const id = idOf(subject)
    const subjects = this.#byPod.get(id)
    this.#bySubject.delete(subject)
    if (subjects?.delete(subject) === true && subjects.size === 0) this.#byPod.delete(id)
  }
  /** All that stands there of the nodes that are wanted. */
  read(wanted: (node: string) => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const subscription = this.#options.bindings.follow({
        from: 1,
        // One by one: all of them together may be larger than anything else here.
        onEntries: (entries) => {
          for (const entry of entries) if (wanted(nodeOf(entry.subject))) this.remember(entry)
        },
        onCaughtUp: () => {
          subscription.close()
          resolve()
        },
        onFailed: reject
      })
    })
  }
  /** A word that a pod is gone is kept as long as somebody is about to write behind it. */
  remember(entry: LogEntry): void {
    const { subject, sequence } = entry
    if ((this.get(subject)?.sequence ?? 0) >= sequence) return
    const update = this.#opened(entry)
    if (update === undefined || update.binding === null) return this.forget(subject)
    const { binding } = update
    const token = binding.serviceAccountToken
    const origin = originOf(entry.headers)
    this.keep(subject, {
      ...digests(binding),
      sequence,
      asOf: sameOrigin(origin, this.origin) ? asOfIn(entry.headers) : 0,
      uid: binding.pod.metadata?.uid ?? '',
      origin,
      cause: binding.cause,
      serviceEnv: binding.serviceEnv,
      token,
      tokenAt: token === undefined ? 0 : Date.parse(token.expiresAt) - TOKEN_MS
    })
  }
  /** One that can't be read is written anew if its pod is there; otherwise it stays, and no agent can read it either. */
  #opened(entry: LogEntry): BindingUpdate | undefined {
    try {
      return updateOf(entry, this.#options.seal)
    } catch (error) {
      if (!(error instanceof UnreadableBinding)) throw error
      this.#options.onError(error)
      return undefined
    }
  }
}

export const nodeOf = (subject: string): string => decodeToken(subject.split('.')[1] as string)

/** The pod's id. */
export const idOf = (subject: string): string => {
  const [, , namespace = '', name = ''] = subject.split('.')
  return objectId(decodeToken(namespace), decodeToken(name))
}

const digestOf = (value: unknown): string => createHash('sha256').update(JSON.stringify(value)).digest('base64')

export const digests = ({ cause: _, ...rest }: Binding): { readonly digest: string; readonly podDigest: string } => ({
  digest: digestOf(rest),
  podDigest: digestOf(rest.pod)
})

export const sameOrigin = (a: Origin | undefined, b: Origin): boolean => a?.cluster === b.cluster && a.epoch === b.epoch
