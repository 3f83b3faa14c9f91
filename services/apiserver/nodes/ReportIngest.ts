/**
 * Takes what agents report (pod statuses, notices, pulses) to the decider, as intents of that node's user.
 *
 * Reports are level-triggered: only the newest of a pod counts, so a backlog collapses to one write per pod. A report
 * is acknowledged to the stream when it is decided, so a crash in between delivers it again.
 */
import { AckPolicy, DeliverPolicy, jetstream, jetstreamManager, type ConsumerMessages, type JsMsg } from '@nats-io/jetstream'
import { nanos, type NatsConnection, type Subscription as NatsSubscription } from '@nats-io/transport-node'
import type { Intent, UserInfo } from '#events/Intent.ts'
import { decodeToken } from '#events/Subject.ts'
import type { NoticeReport, PodReport, Pulse } from '#events/node/messages.ts'
import type { Clock } from '../../platform/Clock.ts'
import type { Views } from '../../platform/View.ts'
import type { Decider } from '../Decider.ts'
import { seconds } from '../request/events.ts'
import { intentOfNotice, intentOfPodReport, intentsOfPulse } from './decide.ts'

const CONSUMER = 'apiserver-reports'
/** Unacknowledged reports at once, which bounds the queue here. */
const OUTSTANDING = 1_000
const RETRY_MS = 500

export interface ReportIngestOptions {
  readonly views: Views
  readonly decider: Decider
  readonly connection: NatsConnection
  readonly clock: Clock
  readonly onError: (error: unknown) => void
}

export class ReportIngest {
  readonly #options: ReportIngestOptions
  /** Per subject: the newest report waiting, while one is being decided. */
  readonly #waiting = new Map<string, JsMsg[]>()
  readonly #busy = new Set<string>()
  #messages: ConsumerMessages | undefined
  #pulses: NatsSubscription | undefined
  #stopped = false

  constructor(options: ReportIngestOptions) {
    this.#options = options
  }
  async start(): Promise<void> {
    const { connection } = this.#options
    const jsm = await jetstreamManager(connection, { checkAPI: false })
    await jsm.consumers.add('REPORTS', { durable_name: CONSUMER, ack_policy: AckPolicy.Explicit, deliver_policy: DeliverPolicy.All, max_ack_pending: OUTSTANDING, ack_wait: nanos(30_000) })
    void this.#consume()
    // Pulses are stored for late readers (one per node); here only the live ones count, so a plain subscription will do.
    this.#pulses = connection.subscribe('pulse.node.*', {
      callback: (error, message) => {
        if (error !== null) return this.#options.onError(error)
        this.#pulse(message.subject, message.string()).catch(this.#options.onError)
      }
    })
  }
  async stop(): Promise<void> {
    this.#stopped = true
    this.#pulses?.unsubscribe()
    await this.#messages?.close()
  }
  async #consume(): Promise<void> {
    while (!this.#stopped) {
      try {
        const consumer = await jetstream(this.#options.connection).consumers.get('REPORTS', CONSUMER)
        this.#messages = await consumer.consume({ max_messages: 500 })
        for await (const message of this.#messages) this.#take(message)
      } catch (error) {
        if (!this.#stopped) this.#options.onError(error)
      }
      if (!this.#stopped) await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
  }
  #take(message: JsMsg): void {
    const { subject } = message
    const waiting = this.#waiting.get(subject)
    if (waiting !== undefined) waiting.push(message)
    else this.#waiting.set(subject, [message])
    this.#next(subject)
  }
  #next(subject: string): void {
    if (this.#busy.has(subject)) return
    const messages = this.#waiting.get(subject)
    if (messages === undefined) return
    this.#waiting.delete(subject)
    this.#busy.add(subject)
    void this.#decide(subject, messages).finally(() => {
      this.#busy.delete(subject)
      this.#next(subject)
    })
  }
  async #decide(subject: string, messages: readonly JsMsg[]): Promise<void> {
    try {
      const [, node = '', what, namespace = '', name = ''] = subject.split('.').map(decodeToken)
      if (what === 'pod') await this.#pod(node, namespace, name, (messages.at(-1) as JsMsg).json<PodReport>())
      else if (what === 'event') for (const message of messages) await this.#submit(node, intentOfNotice(this.#options.views, node, message.json<NoticeReport>()))
    } catch (error) {
      this.#options.onError(error)
    }
    // Refused or broken reports are done with as well: the agent reports anew when something changes.
    for (const message of messages) message.ack()
  }
  async #pod(node: string, namespace: string, name: string, report: PodReport): Promise<void> {
    const draft = intentOfPodReport(this.#options.views, node, namespace, name, report)
    if (draft !== undefined) await this.#submit(node, draft)
  }
  async #pulse(subject: string, text: string): Promise<void> {
    const { views, clock } = this.#options
    const node = decodeToken(subject.slice('pulse.node.'.length))
    const pulse = JSON.parse(text) as Pulse
    if (pulse.node !== node) return
    for (const draft of intentsOfPulse(views, pulse, seconds(clock.now()))) await this.#submit(node, draft)
  }
  async #submit(node: string, draft: Omit<Intent, 'id' | 'source'>): Promise<void> {
    const { decider, clock } = this.#options
    const user: UserInfo = { username: `system:node:${node}`, groups: ['system:nodes', 'system:authenticated'] }
    const result = await decider.submit({ ...draft, id: clock.uuid(), source: `kubelet/${node}` }, user)
    if (result.ok) return
    const { reason, message } = result.status
    // The object moved on or went away; the next report is about what is there then.
    if (reason !== 'NotFound' && reason !== 'Conflict' && reason !== 'AlreadyExists') this.#options.onError(new Error(`a report of node ${node} was refused: ${message}`))
  }
}
