/**
 * Publishes what each agent must run to BINDINGS, one message per pod, the last one being the truth.
 *
 * Agents never read EVENTS: this is where the cluster's Secrets are narrowed down to what one node's pods name. A binding is
 * taken back on the log's word only: that a pod is not in the view says nothing as long as the log never told of its end.
 */
import { createHash } from 'node:crypto'
import type { Binding, Origin, Stray } from '#events/node/messages.ts'
import { bindingSubject } from '#events/node/messages.ts'
import type { Log, LogEntry, Subscription } from '#events/Log.ts'
import { objectId } from '#events/Key.ts'
import { decodeToken } from '#events/Subject.ts'
import type { Change, Entry } from '#projections/Objects.ts'
import { bindingMessage, originOf, tombstone, UnreadableBinding, updateOf, type BindingMessage } from '../../platform/bindings.ts'
import type { Clock, Timer } from '../../platform/Clock.ts'
import type { BindingSeal } from '../../platform/secrets/NodeKeys.ts'
import type { BindingUpdate } from '../../platform/NodeLink.ts'
import type { Views } from '../../platform/View.ts'
import { bindingOf, referencesOf } from './decide.ts'
import { fatesIn, originIn } from './fates.ts'
import { References } from './References.ts'
import type { Token, Tokens } from './Tokens.ts'

const PODS = { group: '', resource: 'pods' }
const SERVICE_ACCOUNTS = { group: '', resource: 'serviceaccounts' }
/** A token is replaced when this much of its hour is gone. */
const RENEW_AFTER_MS = 45 * 60_000
const TOKEN_MS = 3_600_000
const RENEW_CHECK_MS = 60_000
const RETRY_MS = 1_000
const PARALLEL = 64

interface Published {
  readonly subject: string
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

export interface BindingPublisherOptions {
  readonly views: Views
  readonly bindings: Log
  readonly tokens: Pick<Tokens, 'issue'>
  readonly clusterCA: string
  readonly seal: BindingSeal
  readonly clock: Clock
  readonly onError: (error: unknown) => void
}

const digestOf = (value: unknown): string => createHash('sha256').update(JSON.stringify(value)).digest('base64')

export class BindingPublisher {
  readonly #options: BindingPublisherOptions
  /** By pod id (`ns/name`). */
  readonly #published = new Map<string, Published>()
  readonly #references = new References()
  readonly #dirty = new Set<string>()
  /** To be published though nothing changed. */
  readonly #anew = new Set<string>()
  /** By pod id: the uid whose deletion was seen. */
  readonly #deleted = new Map<string, string>()
  /** Pods of bindings that stay, though nobody knows them: told once. */
  readonly #unknown = new Set<string>()
  #origin: Origin = { cluster: '', epoch: 0 }
  #subscriptions: Subscription[] = []
  #timer: Timer | undefined
  #pumping = false
  #stopped = false

  constructor(options: BindingPublisherOptions) {
    this.#options = options
  }
  /** Compares what is published with what should be, then follows changes. */
  async start(): Promise<void> {
    const { views, bindings, clock } = this.#options
    this.#origin = await originIn(views)
    await this.#readPublished(bindings)
    this.#subscriptions.push(views.of(PODS).subscribe((change) => this.#changed(change)))
    for (const id of this.#published.keys()) this.#mark(id)
    for (const pod of views.collection(PODS).list()) {
      this.#references.set(pod.id, pod.object)
      this.#mark(pod.id)
    }
    const renew = (): void => {
      for (const [id, { tokenAt, token }] of this.#published) if (token !== undefined && clock.now() - tokenAt > RENEW_AFTER_MS) this.#mark(id)
      this.#timer = clock.after(RENEW_CHECK_MS, renew)
    }
    this.#timer = clock.after(RENEW_CHECK_MS, renew)
  }
  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
    for (const subscription of this.#subscriptions) subscription.close()
  }
  /** Its node has no binding of it: it is published whether or not it was. */
  renew({ namespace, name }: Pick<Stray, 'namespace' | 'name'>): void {
    const id = objectId(namespace, name)
    this.#anew.add(id)
    this.#mark(id)
  }
  #changed({ type, entry }: Change): void {
    const { resource, group, namespace, name } = entry.key
    if (group !== '') return
    if (resource === 'pods') {
      if (type === 'DELETED') {
        this.#references.delete(entry.id)
        this.#deleted.set(entry.id, entry.object.metadata.uid as string)
      } else {
        // What its agent said of a pod changes nothing about what the agent must do.
        if (type === 'MODIFIED' && entry.facts.verb.endsWith('/status')) return
        this.#references.set(entry.id, entry.object)
      }
      this.#mark(entry.id)
    } else if (resource === 'configmaps' || resource === 'secrets') for (const pod of this.#references.of(resource, namespace, name)) this.#mark(pod)
  }
  #readPublished(bindings: Log): Promise<void> {
    return new Promise((resolve, reject) => {
      const subscription = bindings.follow({
        from: 1,
        // One by one: all of them together may be larger than anything else here.
        onEntries: (entries) => {
          for (const entry of entries) this.#remember(entry)
        },
        onCaughtUp: () => {
          subscription.close()
          resolve()
        },
        onFailed: reject
      })
    })
  }
  #remember(entry: LogEntry): void {
    const update = this.#read(entry)
    if (update === undefined) return
    const { namespace, name, binding } = update
    const id = objectId(namespace, name)
    if (binding === null) {
      if (this.#published.get(id)?.subject === entry.subject) this.#published.delete(id)
      return
    }
    const token = binding.serviceAccountToken
    this.#published.set(id, {
      ...digests(binding),
      subject: entry.subject,
      uid: binding.pod.metadata?.uid ?? '',
      origin: originOf(entry.headers),
      cause: binding.cause,
      serviceEnv: binding.serviceEnv,
      token,
      tokenAt: token === undefined ? 0 : Date.parse(token.expiresAt) - TOKEN_MS
    })
  }
  /** One that can't be read is written anew if its pod is there; otherwise it stays, and no agent can read it either. */
  #read(entry: LogEntry): BindingUpdate | undefined {
    try {
      return updateOf(entry, this.#options.seal)
    } catch (error) {
      if (!(error instanceof UnreadableBinding)) throw error
      this.#options.onError(error)
      return undefined
    }
  }
  #mark(id: string): void {
    this.#dirty.add(id)
    if (this.#pumping || this.#stopped) return
    this.#pumping = true
    void this.#pump()
  }
  async #pump(): Promise<void> {
    while (this.#dirty.size > 0 && !this.#stopped) {
      const ids: string[] = []
      for (const id of this.#dirty) {
        ids.push(id)
        if (ids.length === PARALLEL) break
      }
      for (const id of ids) this.#dirty.delete(id)
      await Promise.all(
        ids.map(async (id) => {
          try {
            await this.#publish(id)
          } catch (error) {
            this.#options.onError(error)
            this.#options.clock.after(RETRY_MS, () => this.#mark(id))
          }
        })
      )
    }
    // In the same turn in which nothing was left: what is marked a moment later begins anew.
    this.#pumping = false
  }
  async #publish(id: string): Promise<void> {
    const { views, clock, clusterCA } = this.#options
    const at = id.indexOf('/')
    const entry = views.get({ ...PODS, namespace: id.slice(0, at), name: id.slice(at + 1) })
    const node = (entry?.object['spec']?.nodeName ?? '') as string
    const before = this.#published.get(id)
    if (entry === undefined || node === '') return before === undefined ? void this.#deleted.delete(id) : this.#takeBack(id, before)
    const subject = bindingSubject(node, entry.key.namespace, entry.key.name)
    // The pod of that name is another node's now: this is the log's word, too.
    if (before !== undefined && before.subject !== subject) await this.#send(before.subject, tombstone(this.#origin, false))
    const same = before?.uid === entry.object.metadata.uid && before?.subject === subject ? before : undefined
    const fresh = same?.token !== undefined && clock.now() - same.tokenAt <= RENEW_AFTER_MS
    const token = fresh ? same.token : await this.#token(entry)
    const next = bindingOf(views, entry, {
      clusterCA,
      ...(token === undefined ? {} : { serviceAccountToken: token }),
      ...(same === undefined ? {} : { serviceEnv: same.serviceEnv })
    })
    const { digest, podDigest } = digests(next)
    // What the agent does about a pod follows from the event that changed the pod's part, not from what was said of it since.
    const binding = same?.podDigest === podDigest ? { ...next, cause: same.cause } : next
    const anew = this.#anew.delete(id)
    if (!anew && same?.digest === digest && sameOrigin(same.origin, this.#origin)) return
    const { cause, serviceEnv } = binding
    const uid = entry.object.metadata.uid as string
    const sent = { subject, uid, origin: this.#origin, digest, podDigest, cause, serviceEnv, token, tokenAt: fresh ? same.tokenAt : clock.now() }
    // It may be stored though nobody hears of it: from here on it is sent again, or taken back.
    this.#published.set(id, { ...sent, digest: '' })
    await this.#send(subject, bindingMessage(subject, binding, this.#origin, this.#options.seal))
    this.#deleted.delete(id)
    this.#published.set(id, sent)
  }
  /** The pod is not there. Whether it is gone is for the log to say. */
  async #takeBack(id: string, before: Published): Promise<void> {
    const seen = this.#deleted.get(id) === before.uid
    const [, node = '', namespace = '', name = ''] = before.subject.split('.').map(decodeToken)
    const [fate] = seen ? ['gone' as const] : await fatesIn(this.#options.views, node, [{ namespace, name, uid: before.uid, since: 0 }])
    if (fate === 'gone' || fate === 'lost') {
      await this.#send(before.subject, tombstone(this.#origin, fate === 'lost'))
      this.#published.delete(id)
      this.#deleted.delete(id)
    } else if (fate === 'unknown' && !this.#unknown.has(id)) {
      this.#unknown.add(id)
      this.#options.onError(new Error(`node ${node} is told to run pod ${id} (${before.uid}), which the log knows nothing of; it is let run`))
    }
  }
  async #token(entry: Entry): Promise<Token | undefined> {
    if (!referencesOf(entry.object).token) return undefined
    const { namespace, name } = entry.key
    const account = (entry.object['spec']?.serviceAccountName as string | undefined) ?? 'default'
    const found = this.#options.views.get({ ...SERVICE_ACCOUNTS, namespace, name: account })
    if (found === undefined) return undefined
    return this.#options.tokens.issue({ namespace, name: account, uid: found.object.metadata.uid as string, pod: { name, uid: entry.object.metadata.uid as string } })
  }
  async #send(subject: string, { text, headers }: BindingMessage): Promise<void> {
    await this.#options.bindings.append([{ subject, headers, text }])
  }
}

const digests = ({ cause: _, ...rest }: Binding): { readonly digest: string; readonly podDigest: string } => ({ digest: digestOf(rest), podDigest: digestOf(rest.pod) })

const sameOrigin = (a: Origin | undefined, b: Origin): boolean => a?.cluster === b.cluster && a.epoch === b.epoch
