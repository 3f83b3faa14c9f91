/**
 * Bindings as messages in BINDINGS, and back: the one place that knows their form. Secrets and tokens are in the body,
 * which only the API server and the one node may read.
 */
import type { Binding, Origin } from '#events/node/messages.ts'
import type { LogEntry } from '#events/Log.ts'
import { decodeToken } from '#events/Subject.ts'
import type { BindingUpdate } from './NodeLink.ts'

export interface BindingMessage {
  readonly text: string
  readonly headers: Readonly<Record<string, string>>
}

/** `<cluster> <epoch>`. */
const ORIGIN = 'Reckon-Cluster'
const LOST = 'Reckon-Lost'
/** How long an agent that was away can still learn that a pod is gone; afterwards the log tells it, when asked. */
const TOMBSTONE_TTL = '1h'

const originHeader = ({ cluster, epoch }: Origin): Record<string, string> => ({ [ORIGIN]: `${cluster} ${epoch}` })

export const bindingMessage = (binding: Binding, origin: Origin): BindingMessage => ({ text: JSON.stringify(binding), headers: originHeader(origin) })

export const tombstone = (origin: Origin, lost: boolean): BindingMessage => ({ text: '', headers: { 'Nats-TTL': TOMBSTONE_TTL, ...originHeader(origin), ...(lost ? { [LOST]: 'true' } : {}) } })

export const originOf = (headers: Readonly<Record<string, string>>): Origin | undefined => {
  const [cluster, epoch] = (headers[ORIGIN] ?? '').split(' ')
  return cluster === undefined || cluster === '' ? undefined : { cluster, epoch: Number(epoch ?? 0) }
}

export const updateOf = ({ subject, text, headers }: LogEntry): BindingUpdate => {
  const [, , namespace = '', name = ''] = subject.split('.').map(decodeToken)
  const origin = originOf(headers)
  return {
    namespace,
    name,
    binding: text === '' ? null : (JSON.parse(text) as Binding),
    ...(origin === undefined ? {} : { origin }),
    ...(headers[LOST] === 'true' ? { lost: true } : {})
  }
}
