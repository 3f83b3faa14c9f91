/** The agent's link over NATS: bindings from BINDINGS through its one permitted consumer, reports into REPORTS. */
import { jetstream } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import type { FateAnswer, FateRequest, NoticeReport, PodReport, Pulse, Stray } from '#events/node/messages.ts'
import { noticeReportSubject, podReportSubject, pulseSubject } from '#events/node/messages.ts'
import type { LogEntry, Subscription } from '#events/Log.ts'
import { Refusal, type Status } from '#events/Refusal.ts'
import { encodeToken } from '#events/Subject.ts'
import { UnreadableBinding, updateOf } from '#services/platform/bindings.ts'
import { askedConsumers } from '#services/platform/jetstream/consumers.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import type { BindingUpdate, NodeLink } from '#services/platform/NodeLink.ts'
import type { BindingSeal } from '#services/platform/secrets/NodeKeys.ts'

/** Finding a pod's end in the log may take many reads. */
const FATES_MS = 20_000

export class NatsLink implements NodeLink {
  readonly #connection: NatsConnection
  readonly #node: string
  readonly #seal: BindingSeal
  readonly #onError: (error: unknown) => void

  constructor(connection: NatsConnection, node: string, seal: BindingSeal, onError: (error: unknown) => void) {
    this.#connection = connection
    this.#node = node
    this.#seal = seal
    this.#onError = onError
  }
  bindings(handlers: Parameters<NodeLink['bindings']>[0]): Subscription {
    const token = encodeToken(this.#node)
    const log = new JetStreamLog(this.#connection, 'BINDINGS', {
      consumers: askedConsumers(this.#connection, `node-${token}`, 'bindings'),
      gapless: false
    })
    return log.follow({
      // The stream keeps one message per subject, so everything from the start is the last binding of every pod.
      from: 1,
      onEntries: (entries) => {
        for (const entry of entries) {
          const update = this.#read(entry)
          if (update !== undefined) handlers.onUpdate(update)
        }
      },
      onCaughtUp: handlers.onCaughtUp,
      onFailed: handlers.onFailed
    })
  }
  /** What can't be read says nothing: what runs goes on, and the API server writes it anew when it is asked for. */
  #read(entry: LogEntry): BindingUpdate | undefined {
    try {
      return updateOf(entry, this.#seal)
    } catch (error) {
      if (!(error instanceof UnreadableBinding)) throw error
      this.#onError(error)
      return undefined
    }
  }
  async reportPod(namespace: string, name: string, report: PodReport): Promise<void> {
    await jetstream(this.#connection).publish(podReportSubject(this.#node, namespace, name), JSON.stringify(report))
  }
  async reportNotice(namespace: string, name: string, notice: NoticeReport): Promise<void> {
    // Under its own name: the stream takes it once, should the acknowledgement be lost.
    const named = notice.id === undefined ? {} : { msgID: notice.id }
    await jetstream(this.#connection).publish(noticeReportSubject(this.#node, namespace, name), JSON.stringify(notice), named)
  }
  async pulse(pulse: Pulse): Promise<void> {
    await jetstream(this.#connection).publish(pulseSubject(this.#node), JSON.stringify(pulse))
  }
  async fates(pods: readonly Stray[]): Promise<FateAnswer> {
    const request: FateRequest = { pods }
    const message = await this.#connection.request(`gone.node-${encodeToken(this.#node)}`, JSON.stringify(request), { timeout: FATES_MS })
    const answer = message.json<FateAnswer | { readonly status: Status }>()
    if ('status' in answer) throw Refusal.of(answer.status)
    return answer
  }
}
