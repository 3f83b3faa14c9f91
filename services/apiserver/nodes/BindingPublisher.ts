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
import type { Stray } from '#events/node/messages.ts'
import { bindingSubject } from '#events/node/messages.ts'
import type { Log, Subscription } from '#events/Log.ts'
import { objectId } from '#events/Key.ts'
import { same } from '#events/meta/faults.ts'
import type { Pod } from '#events/schema/generated/core.v1.ts'
import { decodeToken } from '#events/Subject.ts'
import { isChangeOf, type Change, type Entry } from '#projections/Objects.ts'
import { asOf, asOfIn, bindingMessage, tombstone, type BindingMessage } from '#services/platform/bindings.ts'
import type { Clock, Timer } from '#services/platform/Clock.ts'
import type { BindingSeal } from '#services/platform/secrets/NodeKeys.ts'
import type { Views } from '#services/platform/Views.ts'
import { bindingOf, referencesOf } from './decide.ts'
import { fatesIn, originIn } from './fates.ts'
import { digests, idOf, nodeOf, PublishedBindings, sameOrigin, type Published } from './PublishedBindings.ts'
import { References } from './References.ts'
import type { Token, Tokens } from './Tokens.ts'

/** A token is replaced when this much of its hour is gone. */
const RENEW_AFTER_MS = 45 * 60_000
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
  readonly #published: PublishedBindings
  readonly #references = new References()
  readonly #dirty = new Set<string>()
  readonly #busy = new Set<string>()
  /** To be published though nothing changed, and whoever's node it is. */
  readonly #anew = new Set<string>()
  /** By pod id: the uid whose deletion was seen. */
  readonly #deleted = new Map<string, string>()
  /** Pods of bindings that stay, though nobody knows them: told once. */
  readonly #unknown = new Set<string>()
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
    this.#published = new PublishedBindings(options)
  }
  /** Compares what is published with what should be, then follows changes. */
  async start(): Promise<void> {
    const { views, clock } = this.#options
    this.#published.origin = await originIn(views)
    this.#subscriptions.push(views.of(PODS).subscribe((change) => this.#changed(change)))
    for (const pod of views.collection(PODS).list()) this.#references.set(pod.id, pod.object)
    await this.#settle()
    this.#subscriptions.push(this.#share.onChange(() => this.#shareChanged()))
    this.#shareChanged()
    const renew = (): void => {
      for (const [subject, { tokenAt, token }] of this.#published.all())
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
      for (const [subject] of [...this.#published.all()]) if (!has(nodeOf(subject))) this.#published.forget(subject)
      await this.#published.read(gained)
      // What left it meanwhile is another round's.
      this.#settled = has
      for (const [subject] of this.#published.all()) if (gained(nodeOf(subject))) this.#mark(idOf(subject))
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
        // What its agent said of a pod changes nothing about what the agent must do, but for labels and the like that came along.
        if (type === 'MODIFIED' && entry.facts.verb.endsWith('/status') && isToldAlike(entry, change.previous)) return
        this.#references.set(entry.id, entry.object)
      }
      this.#mark(entry.id)
    } else if (resource === 'configmaps' || resource === 'secrets')
      for (const pod of this.#references.of(resource, namespace, name)) this.#mark(pod)
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
      for (const subject of this.#published.ofPod(id)) if (!this.#has(nodeOf(subject))) this.#published.forget(subject)
      this.#busy.delete(id)
      this.#pump()
    }
  }
  /** What stands on the subject; resolves with its sequence when all that its writer knew is known here. */
  async #lookAgain(subject: string): Promise<number> {
    const entry = await this.#options.bindings.lastOn(subject)
    this.#published.forget(subject)
    if (entry === undefined) return 0
    this.#published.remember(entry)
    await this.#foldUpTo(asOfIn(entry.headers))
    return entry.sequence
  }
  /** All that the writer of a message knew is to be known here. */
  #foldUpTo(asOf: number): Promise<void> {
    return this.#options.views.of(PODS).waitFor(asOf)
  }
  async #publish(id: string, heads: ReadonlyMap<string, number>, anew: boolean): Promise<void> {
    // What was taken over may have been written by one who is further.
    for (const subject of this.#published.ofPod(id)) await this.#foldUpTo(this.#published.get(subject)?.asOf ?? 0)
    const at = id.indexOf('/')
    const entry = this.#options.views.get({ ...PODS, namespace: id.slice(0, at), name: id.slice(at + 1) })
    const node = entry?.object.spec?.nodeName ?? ''
    const subject = entry === undefined || node === '' ? undefined : bindingSubject(node, entry.key.namespace, entry.key.name)
    // Of what it was before, the present pod tells as much.
    if (subject !== undefined) this.#deleted.delete(id)
    for (const other of this.#published.ofPod(id)) {
      const before = this.#published.get(other)
      if (other === subject || before === undefined) continue
      // The pod of that name is another node's now: this is the log's word, too.
      if (subject !== undefined) await this.#bury(other, before, false)
      else await this.#takeBack(id, other, before)
    }
    if (subject !== undefined && (this.#has(node) || anew)) return this.#bind(entry as Entry<Pod>, subject, heads.get(subject) ?? 0, anew)
    if (this.#published.ofPod(id).length === 0) this.#deleted.delete(id)
  }
  /** `head`: what stands there, when that is no binding. */
  async #bind(entry: Entry<Pod>, subject: string, head: number, anew: boolean): Promise<void> {
    const { views, clock, clusterCA, seal } = this.#options
    const { origin } = this.#published
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
    if (!anew && same?.digest === digest && sameOrigin(same.origin, origin)) return
    const { cause, serviceEnv } = binding
    const uid = entry.object.metadata.uid as string
    const sent = {
      sequence: before?.sequence ?? head,
      asOf: folded,
      uid,
      origin,
      digest,
      podDigest,
      cause,
      serviceEnv,
      token,
      tokenAt: fresh ? same.tokenAt : clock.now()
    }
    // It may be stored though nobody hears of it: from here on it is sent again, or taken back.
    this.#published.keep(subject, { ...sent, digest: '' })
    const sequence = await this.#send(subject, bindingMessage(subject, binding, origin, seal), sent.sequence, folded)
    this.#published.keep(subject, { ...sent, sequence })
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
    await this.#send(subject, tombstone(this.#published.origin, lost), sequence, this.#options.views.of(PODS).objects.sequence)
    this.#published.forget(subject)
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

/** Whether a node is told the same of the metadata, of which containers may read labels and annotations. */
const isToldAlike = ({ object }: Entry<Pod>, previous: Entry<Pod> | undefined): boolean => {
  const before = previous?.object.metadata
  return before !== undefined && same(before.labels, object.metadata.labels) && same(before.annotations, object.metadata.annotations)
}
