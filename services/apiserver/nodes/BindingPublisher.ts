/**
 * Publishes what each agent must run to BINDINGS, one message per pod, the last one being the truth.
 *
 * Agents never read EVENTS: this is where the cluster's Secrets are narrowed down to what one node's pods name. A binding is
 * taken back on the log's word only: that a pod is not in the view says nothing as long as the log never told of its end.
 *
 * Any number of API servers may publish. Each does the nodes of its share, and nothing hangs on who has which: every write
 * expects the message it was decided on, and says how far EVENTS was folded. Who finds another message there waits until its own
 * view is as far and decides again, so what a subject says never goes back, and no word on an old pod outlives a new one's binding.
 */
import { PODS, SERVICE_ACCOUNTS } from '#events/collections.ts'
import { createHash } from 'node:crypto'
import type { Binding, Origin, Stray } from '#events/node/messages.ts'
import { bindingSubject } from '#events/node/messages.ts'
import type { Log, LogEntry, Subscription } from '#events/Log.ts'
import { objectId } from '#events/Key.ts'
import type { Pod } from '#events/schema/generated/core.v1.ts'
import { decodeToken } from '#events/Subject.ts'
import { isChangeOf, type Change, type Entry } from '#projections/Objects.ts'
import {
  asOf,
  asOfIn,
  bindingMessage,
  originOf,
  tombstone,
  UnreadableBinding,
  updateOf,
  type BindingMessage
} from '#services/platform/bindings.ts'
import type { Clock, Timer } from '#services/platform/Clock.ts'
import type { BindingSeal } from '#services/platform/secrets/NodeKeys.ts'
import type { BindingUpdate } from '#services/platform/NodeLink.ts'
import type { Views } from '#services/platform/View.ts'
import { bindingOf, referencesOf } from './decide.ts'
import { fatesIn, originIn } from './fates.ts'
import { References } from './References.ts'
import type { Token, Tokens } from './Tokens.ts'

/** A token is replaced when this much of its hour is gone. */
const RENEW_AFTER_MS = 45 * 60_000
const TOKEN_MS = 3_600_000
const RENEW_CHECK_MS = 60_000
const RETRY_MS = 1_000
/** Pods published at once: one that the log is slow about takes one place, and holds up nobody else. */
const PARALLEL = 64
/** Times it is decided anew at once because another API server wrote first. */
const RACES = 8

/** The nodes an API server publishes for, now: others do the rest. */
export interface Share {
  /** As of now, and unchangeable; another function when it is another share. */
  current(): (node: string) => boolean
  onChange(listener: () => void): Subscription
}

const everyNode = (): boolean => true
const EVERYTHING: Share = { current: () => everyNode, onChange: () => ({ close: () => {} }) }

interface Published {
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

export interface BindingPublisherOptions {
  readonly views: Views
  readonly bindings: Log
  readonly tokens: Pick<Tokens, 'issue'>
  readonly clusterCA: string
  readonly seal: BindingSeal
  readonly clock: Clock
  /** All nodes, where one API server is alone. */
  readonly share?: Share
  readonly onError: (error: unknown) => void
}

const digestOf = (value: unknown): string => createHash('sha256').update(JSON.stringify(value)).digest('base64')

/** The subject is not as it was taken to be: another API server has written there. */
class Outrun extends Error {
  override readonly name = 'Outrun'
  readonly subject: string
  constructor(subject: string) {
    super(`the binding ${subject} is written by others all the time`)
    this.subject = subject
  }
}

export class BindingPublisher {
  readonly #options: BindingPublisherOptions
  readonly #share: Share
  /** By subject. */
  readonly #published = new Map<string, Published>()
  /** By pod id (`ns/name`): subjects of `#published`, mostly one. */
  readonly #subjects = new Map<string, Set<string>>()
  readonly #references = new References()
  readonly #dirty = new Set<string>()
  readonly #busy = new Set<string>()
  /** To be published though nothing changed, and whoever's node it is. */
  readonly #anew = new Set<string>()
  /** By pod id: the uid whose deletion was seen. */
  readonly #deleted = new Map<string, string>()
  /** Pods of bindings that stay, though nobody knows them: told once. */
  readonly #unknown = new Set<string>()
  #origin: Origin = { cluster: '', epoch: 0 }
  #has: (node: string) => boolean = () => false
  /** The nodes whose published bindings are known. */
  #settled: (node: string) => boolean = () => false
  #settling: Promise<void> | undefined
  #subscriptions: Subscription[] = []
  #timer: Timer | undefined
  #stopped = false

  constructor(options: BindingPublisherOptions) {
    this.#options = options
    this.#share = options.share ?? EVERYTHING
  }
  /** Compares what is published with what should be, then follows changes. */
  async start(): Promise<void> {
    const { views, clock } = this.#options
    this.#origin = await originIn(views)
    this.#subscriptions.push(views.of(PODS).subscribe((change) => this.#changed(change)))
    for (const pod of views.collection(PODS).list()) this.#references.set(pod.id, pod.object)
    await this.#settle()
    this.#subscriptions.push(this.#share.onChange(() => this.#shareChanged()))
    this.#shareChanged()
    const renew = (): void => {
      for (const [subject, { tokenAt, token }] of this.#published)
        if (token !== undefined && clock.now() - tokenAt > RENEW_AFTER_MS) this.#mark(idOf(subject))
      this.#timer = clock.after(RENEW_CHECK_MS, renew)
    }
    this.#timer = clock.after(RENEW_CHECK_MS, renew)
  }
  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
    for (const subscription of this.#subscriptions) subscription.close()
  }
  #shareChanged(): void {
    this.#settling ??= this.#settle().then(
      () => (this.#settling = undefined),
      (error: unknown) => {
        this.#options.onError(error)
        this.#options.clock.after(RETRY_MS, () => {
          this.#settling = undefined
          if (!this.#stopped) this.#shareChanged()
        })
      }
    )
  }
  /**
   * Takes over what came to its share, and lets go of what left it. All of BINDINGS is read once for that: nodes that are gone
   * may have bindings left, and nobody could name them.
   */
  async #settle(): Promise<void> {
    for (let has = this.#share.current(); has !== this.#settled && !this.#stopped; has = this.#share.current()) {
      const settled = this.#settled
      const gained = (node: string): boolean => has(node) && !settled(node)
      this.#has = has
      for (const subject of [...this.#published.keys()]) if (!has(nodeOf(subject))) this.#forget(subject)
      await this.#readPublished(gained)
      // What left it meanwhile is another round's.
      this.#settled = has
      for (const subject of this.#published.keys()) if (gained(nodeOf(subject))) this.#mark(idOf(subject))
      for (const { id, object } of this.#options.views.collection(PODS).list()) if (gained(object.spec?.nodeName ?? '')) this.#mark(id)
    }
  }
  /** Its node has no binding of it: it is published whether or not it was. */
  renew({ namespace, name }: Pick<Stray, 'namespace' | 'name'>): void {
    const id = objectId(namespace, name)
    this.#anew.add(id)
    this.#mark(id)
  }
  #changed(change: Change): void {
    const { resource, group, namespace, name } = change.entry.key
    if (group !== '') return
    if (isChangeOf(PODS, change)) {
      const { type, entry } = change
      if (type === 'DELETED') {
        this.#references.delete(entry.id)
        this.#deleted.set(entry.id, entry.object.metadata.uid as string)
      } else {
        // What its agent said of a pod changes nothing about what the agent must do.
        if (type === 'MODIFIED' && entry.facts.verb.endsWith('/status')) return
        this.#references.set(entry.id, entry.object)
      }
      this.#mark(entry.id)
    } else if (resource === 'configmaps' || resource === 'secrets')
      for (const pod of this.#references.of(resource, namespace, name)) this.#mark(pod)
  }
  #readPublished(wanted: (node: string) => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const subscription = this.#options.bindings.follow({
        from: 1,
        // One by one: all of them together may be larger than anything else here.
        onEntries: (entries) => {
          for (const entry of entries) if (wanted(nodeOf(entry.subject))) this.#remember(entry)
        },
        onCaughtUp: () => {
          subscription.close()
          resolve()
        },
        onFailed: reject
      })
    })
  }
  #keep(subject: string, published: Published): void {
    this.#published.set(subject, published)
    const id = idOf(subject)
    const subjects = this.#subjects.get(id)
    if (subjects === undefined) this.#subjects.set(id, new Set([subject]))
    else subjects.add(subject)
  }
  #forget(subject: string): void {
    const id = idOf(subject)
    const subjects = this.#subjects.get(id)
    this.#published.delete(subject)
    if (subjects?.delete(subject) === true && subjects.size === 0) this.#subjects.delete(id)
  }
  /** A word that a pod is gone is kept as long as somebody is about to write behind it. */
  #remember(entry: LogEntry): void {
    const { subject, sequence } = entry
    if ((this.#published.get(subject)?.sequence ?? 0) >= sequence) return
    const update = this.#read(entry)
    if (update === undefined || update.binding === null) return this.#forget(subject)
    const { binding } = update
    const token = binding.serviceAccountToken
    const origin = originOf(entry.headers)
    this.#keep(subject, {
      ...digests(binding),
      sequence,
      asOf: sameOrigin(origin, this.#origin) ? asOfIn(entry.headers) : 0,
      uid: binding.pod.metadata?.uid ?? '',
      origin,
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
    this.#pump()
  }
  #pump(): void {
    for (const id of this.#dirty) {
      if (this.#stopped || this.#busy.size >= PARALLEL) return
      if (this.#busy.has(id)) continue
      this.#dirty.delete(id)
      this.#busy.add(id)
      void this.#work(id)
    }
  }
  async #work(id: string): Promise<void> {
    const { clock, onError } = this.#options
    /** By subject: what stands there, when another API server wrote it. */
    const heads = new Map<string, number>()
    const anew = this.#anew.delete(id)
    try {
      for (let tries = 1; ; tries++) {
        try {
          await this.#publish(id, heads, anew)
          break
        } catch (error) {
          if (!(error instanceof Outrun) || tries === RACES) throw error
          heads.set(error.subject, await this.#lookAgain(error.subject))
        }
      }
    } catch (error) {
      onError(error)
      if (anew) this.#anew.add(id)
      clock.after(RETRY_MS, () => this.#mark(id))
    } finally {
      // Others' nodes are others' to remember.
      for (const subject of [...(this.#subjects.get(id) ?? [])]) if (!this.#has(nodeOf(subject))) this.#forget(subject)
      this.#busy.delete(id)
      this.#pump()
    }
  }
  /** What stands on the subject; resolves with its sequence when all that its writer knew is known here. */
  async #lookAgain(subject: string): Promise<number> {
    const entry = await this.#options.bindings.lastOn(subject)
    this.#forget(subject)
    if (entry === undefined) return 0
    this.#remember(entry)
    await this.#foldUpTo(asOfIn(entry.headers))
    return entry.sequence
  }
  /** All that the writer of a message knew is to be known here. */
  #foldUpTo(asOf: number): Promise<void> {
    return this.#options.views.of(PODS).waitFor(asOf)
  }
  async #publish(id: string, heads: ReadonlyMap<string, number>, anew: boolean): Promise<void> {
    // What was taken over may have been written by one who is further.
    for (const subject of this.#subjects.get(id) ?? []) await this.#foldUpTo(this.#published.get(subject)?.asOf ?? 0)
    const at = id.indexOf('/')
    const entry = this.#options.views.get({ ...PODS, namespace: id.slice(0, at), name: id.slice(at + 1) })
    const node = entry?.object.spec?.nodeName ?? ''
    const subject = entry === undefined || node === '' ? undefined : bindingSubject(node, entry.key.namespace, entry.key.name)
    // Of what it was before, the present pod tells as much.
    if (subject !== undefined) this.#deleted.delete(id)
    for (const other of [...(this.#subjects.get(id) ?? [])]) {
      const before = this.#published.get(other)
      if (other === subject || before === undefined) continue
      // The pod of that name is another node's now: this is the log's word, too.
      if (subject !== undefined) await this.#bury(other, before, false)
      else await this.#takeBack(id, other, before)
    }
    if (subject !== undefined && (this.#has(node) || anew)) return this.#bind(entry as Entry<Pod>, subject, heads.get(subject) ?? 0, anew)
    if (!this.#subjects.has(id)) this.#deleted.delete(id)
  }
  /** `head`: what stands there, when that is no binding. */
  async #bind(entry: Entry<Pod>, subject: string, head: number, anew: boolean): Promise<void> {
    const { views, clock, clusterCA, seal } = this.#options
    const before = this.#published.get(subject)
    const same = before?.uid === entry.object.metadata.uid ? before : undefined
    const fresh = same?.token !== undefined && clock.now() - same.tokenAt <= RENEW_AFTER_MS
    const token = fresh ? same.token : await this.#token(entry)
    const folded = views.of(PODS).objects.sequence
    const next = bindingOf(views, entry, {
      clusterCA,
      ...(token === undefined ? {} : { serviceAccountToken: token }),
      ...(same === undefined ? {} : { serviceEnv: same.serviceEnv })
    })
    const { digest, podDigest } = digests(next)
    // What the agent does about a pod follows from the event that changed the pod's part, not from what was said of it since.
    const binding = same?.podDigest === podDigest ? { ...next, cause: same.cause } : next
    if (!anew && same?.digest === digest && sameOrigin(same.origin, this.#origin)) return
    const { cause, serviceEnv } = binding
    const uid = entry.object.metadata.uid as string
    const sent = {
      sequence: before?.sequence ?? head,
      asOf: folded,
      uid,
      origin: this.#origin,
      digest,
      podDigest,
      cause,
      serviceEnv,
      token,
      tokenAt: fresh ? same.tokenAt : clock.now()
    }
    // It may be stored though nobody hears of it: from here on it is sent again, or taken back.
    this.#keep(subject, { ...sent, digest: '' })
    const sequence = await this.#send(subject, bindingMessage(subject, binding, this.#origin, seal), sent.sequence, folded)
    this.#keep(subject, { ...sent, sequence })
  }
  /** The pod is not there. Whether it is gone is for the log to say. */
  async #takeBack(id: string, subject: string, before: Published): Promise<void> {
    const seen = this.#deleted.get(id) === before.uid
    const [, node = '', namespace = '', name = ''] = subject.split('.').map(decodeToken)
    const [fate] = seen ? ['gone' as const] : await fatesIn(this.#options.views, node, [{ namespace, name, uid: before.uid, since: 0 }])
    if (fate === 'gone' || fate === 'lost') await this.#bury(subject, before, fate === 'lost')
    else if (fate === 'unknown' && !this.#unknown.has(id)) {
      this.#unknown.add(id)
      this.#options.onError(
        new Error(`node ${node} is told to run pod ${id} (${before.uid}), which the log knows nothing of; it is let run`)
      )
    }
  }
  async #bury(subject: string, { sequence }: Published, lost: boolean): Promise<void> {
    await this.#send(subject, tombstone(this.#origin, lost), sequence, this.#options.views.of(PODS).objects.sequence)
    this.#forget(subject)
  }
  async #token(entry: Entry<Pod>): Promise<Token | undefined> {
    if (!referencesOf(entry.object).token) return undefined
    const { namespace, name } = entry.key
    const account = entry.object.spec?.serviceAccountName ?? 'default'
    const found = this.#options.views.get({ ...SERVICE_ACCOUNTS, namespace, name: account })
    if (found === undefined) return undefined
    return this.#options.tokens.issue({
      namespace,
      name: account,
      uid: found.object.metadata.uid as string,
      pod: { name, uid: entry.object.metadata.uid as string }
    })
  }
  /** The sequence it got. Throws Outrun when not `expected` stands there. */
  async #send(subject: string, message: BindingMessage, expected: number, folded: number): Promise<number> {
    const { headers, text } = asOf(message, folded)
    const result = await this.#options.bindings.append([{ subject, headers, text, expected }])
    if (!result.ok) throw new Outrun(subject)
    return result.last
  }
}

const nodeOf = (subject: string): string => decodeToken(subject.split('.')[1] as string)

const idOf = (subject: string): string => {
  const [, , namespace = '', name = ''] = subject.split('.')
  return objectId(decodeToken(namespace), decodeToken(name))
}

const digests = ({ cause: _, ...rest }: Binding): { readonly digest: string; readonly podDigest: string } => ({
  digest: digestOf(rest),
  podDigest: digestOf(rest.pod)
})

const sameOrigin = (a: Origin | undefined, b: Origin): boolean => a?.cluster === b.cluster && a.epoch === b.epoch
