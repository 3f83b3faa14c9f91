/** The agent's link over NATS: bindings from BINDINGS through its one permitted consumer, reports into REPORTS. */
import { jetstream } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { noticeReportSubject, podReportSubject, pulseSubject, type Binding, type NoticeReport, type PodReport, type Pulse } from '#events/node/messages.ts'
import type { LogEntry, Subscription } from '#events/Log.ts'
import { decodeToken, encodeToken } from '#events/Subject.ts'
import { askedConsumers } from '../platform/jetstream/consumers.ts'
import { JetStreamLog } from '../platform/jetstream/JetStreamLog.ts'
import type { BindingUpdate, NodeLink } from '../platform/NodeLink.ts'

export class NatsLink implements NodeLink {
  readonly #connection: NatsConnection
  readonly #node: string

  constructor(connection: NatsConnection, node: string) {
    this.#connection = connection
    this.#node = node
  }
  bindings(handlers: Parameters<NodeLink['bindings']>[0]): Subscription {
    const token = encodeToken(this.#node)
    const log = new JetStreamLog(this.#connection, 'BINDINGS', { consumers: askedConsumers(this.#connection, `node-${token}`, 'bindings'), gapless: false })
    return log.follow({
      // The stream keeps one message per subject, so everything from the start is the last binding of every pod.
      from: 1,
      onEntries: (entries) => {
        for (const entry of entries) handlers.onUpdate(updateOf(entry))
      },
      onCaughtUp: handlers.onCaughtUp,
      onFailed: handlers.onFailed
    })
  }
  async reportPod(namespace: string, name: string, report: PodReport): Promise<void> {
    await jetstream(this.#connection).publish(podReportSubject(this.#node, namespace, name), JSON.stringify(report))
  }
  async reportNotice(namespace: string, name: string, notice: NoticeReport): Promise<void> {
    await jetstream(this.#connection).publish(noticeReportSubject(this.#node, namespace, name), JSON.stringify(notice))
  }
  async pulse(pulse: Pulse): Promise<void> {
    await jetstream(this.#connection).publish(pulseSubject(this.#node), JSON.stringify(pulse))
  }
}

const updateOf = (entry: LogEntry): BindingUpdate => {
  const [, , namespace = '', name = ''] = entry.subject.split('.').map(decodeToken)
  return { namespace, name, binding: entry.text === '' ? null : (JSON.parse(entry.text) as Binding) }
}
