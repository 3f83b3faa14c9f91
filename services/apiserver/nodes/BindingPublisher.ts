/**
 * Publishes what each agent must run to BINDINGS, one message per pod, the last one being the truth.
 *
 * Agents never read EVENTS: this is where the cluster's Secrets are narrowed down to what one node's pods name.
 */
import { headers as newHeaders, type NatsConnection } from '@nats-io/transport-node'
import type { Binding } from '#events/node/messages.ts'
import { bindingSubject } from '#events/node/messages.ts'
import type { Log, LogEntry, Subscription } from '#events/Log.ts'
import type { Entry } from '#projections/Objects.ts'
import type { Clock, Timer } from '../../platform/Clock.ts'
import type { Views } from '../../platform/View.ts'
import { bindingOf, referencesOf } from './decide.ts'
import type { Token, Tokens } from './Tokens.ts'

const PODS = { group: '', resource: 'pods' }
const SERVICE_ACCOUNTS = { group: '', resource: 'serviceaccounts' }
/** A token is replaced when this much of its hour is gone. */
const RENEW_AFTER_MS = 45 * 60_000
const RENEW_CHECK_MS = 60_000
const RETRY_MS = 1_000
/** How long an agent that was away can still learn that a pod is gone; afterwards its absence says the same. */
const TOMBSTONE_TTL = '1h'

interface Published {
  readonly subject: string
  readonly uid: string
  readonly text: string
  /** What the pod's part says, and the event it followed from. */
  readonly podText: string
  readonly cause: Binding['cause']
  readonly serviceEnv: Binding['serviceEnv']
  readonly token: Token | undefined
  readonly tokenAt: number
}

export interface BindingPublisherOptions {
  readonly views: Views
  readonly connection: NatsConnection
  readonly bindings: Log
  readonly tokens: Tokens
  readonly clusterCA: string
  readonly clock: Clock
  readonly onError: (error: unknown) => void
}

export class BindingPublisher {
  readonly #options: BindingPublisherOptions
  /** By pod id (`ns/name`). */
  readonly #published = new Map<string, Published>()
  readonly #dirty = new Set<string>()
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
    await this.#readPublished(bindings)
    const view = views.of(PODS)
    this.#subscriptions.push(
      view.subscribe(({ entry }) => {
        const { resource, group, namespace } = entry.key
        if (group !== '') return
        if (resource === 'pods') this.#mark(entry.id)
        // A changed ConfigMap or Secret concerns the pods of its namespace that name it.
        else if (resource === 'configmaps' || resource === 'secrets')
          for (const pod of views.collection(PODS).list(namespace)) if (referencesOf(pod.object)[resource === 'secrets' ? 'secrets' : 'configMaps'].has(entry.key.name)) this.#mark(pod.id)
      })
    )
    for (const id of this.#published.keys()) this.#mark(id)
    for (const pod of views.collection(PODS).list()) this.#mark(pod.id)
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
  #readPublished(bindings: Log): Promise<void> {
    return new Promise((resolve, reject) => {
      const found: LogEntry[] = []
      const subscription = bindings.follow({
        from: 1,
        onEntries: (entries) => void found.push(...entries),
        onCaughtUp: () => {
          subscription.close()
          for (const entry of found) this.#remember(entry)
          resolve()
        },
        onFailed: reject
      })
    })
  }
  #remember(entry: LogEntry): void {
    if (entry.text === '') return
    const binding = JSON.parse(entry.text) as Binding
    const { namespace, name, uid } = binding.pod.metadata ?? {}
    const token = binding.serviceAccountToken
    this.#published.set(`${namespace}/${name}`, {
      subject: entry.subject,
      uid: uid ?? '',
      text: entry.text,
      podText: JSON.stringify(binding.pod),
      cause: binding.cause,
      serviceEnv: binding.serviceEnv,
      token,
      tokenAt: token === undefined ? 0 : Date.parse(token.expiresAt) - 3_600_000
    })
  }
  #mark(id: string): void {
    this.#dirty.add(id)
    if (this.#pumping || this.#stopped) return
    this.#pumping = true
    void this.#pump().finally(() => (this.#pumping = false))
  }
  async #pump(): Promise<void> {
    while (this.#dirty.size > 0 && !this.#stopped) {
      const ids = [...this.#dirty].slice(0, 64)
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
  }
  async #publish(id: string): Promise<void> {
    const { views, clock, clusterCA } = this.#options
    const at = id.indexOf('/')
    const entry = views.get({ ...PODS, namespace: id.slice(0, at), name: id.slice(at + 1) })
    const node = entry?.object['spec']?.nodeName as string | undefined
    const before = this.#published.get(id)
    if (entry === undefined || node === undefined || node === '') {
      if (before === undefined) return
      await this.#send(before.subject, '')
      this.#published.delete(id)
      return
    }
    const same = before?.uid === entry.object.metadata.uid ? before : undefined
    const fresh = same?.token !== undefined && clock.now() - same.tokenAt <= RENEW_AFTER_MS
    const token = fresh ? same.token : await this.#token(entry)
    const next = bindingOf(views, entry, {
      clusterCA,
      ...(token === undefined ? {} : { serviceAccountToken: token }),
      ...(same === undefined ? {} : { serviceEnv: same.serviceEnv })
    })
    const podText = JSON.stringify(next.pod)
    // What the agent does about a pod follows from the event that changed the pod's part, not from its own reports since.
    const binding = same !== undefined && same.podText === podText ? { ...next, cause: same.cause } : next
    const text = JSON.stringify(binding)
    // A status report changes the pod's latest event, not what the agent must do.
    if (same !== undefined && withoutCause(text) === withoutCause(same.text)) return
    const subject = bindingSubject(node, entry.key.namespace, entry.key.name)
    await this.#send(subject, text)
    this.#published.set(id, { subject, uid: entry.object.metadata.uid as string, text, podText, cause: binding.cause, serviceEnv: binding.serviceEnv, token, tokenAt: fresh ? same.tokenAt : clock.now() })
  }
  async #token(entry: Entry): Promise<Token | undefined> {
    if (!referencesOf(entry.object).token) return undefined
    const { namespace, name } = entry.key
    const account = (entry.object['spec']?.serviceAccountName as string | undefined) ?? 'default'
    const found = this.#options.views.get({ ...SERVICE_ACCOUNTS, namespace, name: account })
    if (found === undefined) return undefined
    return this.#options.tokens.issue({ namespace, name: account, uid: found.object.metadata.uid as string, pod: { name, uid: entry.object.metadata.uid as string } })
  }
  async #send(subject: string, text: string): Promise<void> {
    const headers = newHeaders()
    if (text === '') headers.set('Nats-TTL', TOMBSTONE_TTL)
    const answer = await this.#options.connection.request(subject, text, { timeout: 5_000, headers })
    const { error } = answer.json<{ error?: { description: string } }>()
    if (error !== undefined) throw new Error(`BINDINGS refused ${subject}: ${error.description}`)
  }
}

const withoutCause = (text: string): string => text.slice(0, text.lastIndexOf('"cause":'))

