/**
 * Bindings as messages in BINDINGS, and back: the one place that knows their form. Secrets and tokens are in the body, which
 * is sealed: only the API server and the one node can read it, whoever has the stream or its disk.
 */
import type { Binding, Origin } from '#events/node/messages.ts'
import type { LogEntry } from '#events/Log.ts'
import { decodeToken } from '#events/Subject.ts'
import type { BindingUpdate } from './NodeLink.ts'
import type { BindingSeal } from './secrets/NodeKeys.ts'

export interface BindingMessage {
  readonly text: string
  readonly headers: Readonly<Record<string, string>>
}

/** `<cluster> <epoch>`. */
const ORIGIN = 'Reckon-Cluster'
const LOST = 'Reckon-Lost'
/** The key of the body. */
const SEALED = 'Reckon-Sealed'
/** How far EVENTS was folded by who wrote it: nobody who knows less writes behind it. */
const AS_OF = 'Reckon-As-Of'
/** How long an agent that was away can still learn that a pod is gone; afterwards the log tells it, when asked. */
const TOMBSTONE_TTL = '1h'

const originHeader = ({ cluster, epoch }: Origin): Record<string, string> => ({ [ORIGIN]: `${cluster} ${epoch}` })

const nodeOf = (subject: string): string => decodeToken(subject.split('.')[1] ?? '')

/** The message as of a sequence of EVENTS. */
export const asOf = ({ text, headers }: BindingMessage, sequence: number): BindingMessage => ({
  text,
  headers: { ...headers, [AS_OF]: String(sequence) }
})

/** 0: nobody said. */
export const asOfIn = (headers: Readonly<Record<string, string>>): number => Number(headers[AS_OF] ?? 0)

/** `subject` is sealed with it: a body that is put under another pod's name does not open. */
export const bindingMessage = (subject: string, binding: Binding, origin: Origin, seal: BindingSeal): BindingMessage => {
  const { key, text } = seal.seal(nodeOf(subject), subject, JSON.stringify(binding))
  return { text, headers: { ...originHeader(origin), [SEALED]: key } }
}

export const tombstone = (origin: Origin, lost: boolean): BindingMessage => ({
  text: '',
  headers: { 'Nats-TTL': TOMBSTONE_TTL, ...originHeader(origin), ...(lost ? { [LOST]: 'true' } : {}) }
})

export const originOf = (headers: Readonly<Record<string, string>>): Origin | undefined => {
  const [cluster, epoch] = (headers[ORIGIN] ?? '').split(' ')
  return cluster === undefined || cluster === '' ? undefined : { cluster, epoch: Number(epoch ?? 0) }
}

/** A body that does not open, or that nobody sealed: not written by this cluster's API server for this node. */
export class UnreadableBinding extends Error {
  override readonly name = 'UnreadableBinding'
  constructor(subject: string, why: string, options?: ErrorOptions) {
    super(`the binding ${subject} ${why}`, options)
  }
}

const openBody = ({ subject, text, headers }: LogEntry, seal: BindingSeal): Binding | null => {
  if (text === '') return null
  const key = headers[SEALED]
  if (key === undefined) throw new UnreadableBinding(subject, 'is not sealed')
  let body: string | undefined
  try {
    body = seal.open(nodeOf(subject), subject, { key, text })
  } catch (cause) {
    throw new UnreadableBinding(subject, 'is not what was sealed', { cause })
  }
  if (body === undefined) throw new UnreadableBinding(subject, `is sealed with the key ${key}, which is not here`)
  return JSON.parse(body) as Binding
}

/** Throws UnreadableBinding. */
export const updateOf = (entry: LogEntry, seal: BindingSeal): BindingUpdate => {
  const { subject, headers } = entry
  const [, , namespace = '', name = ''] = subject.split('.').map(decodeToken)
  const origin = originOf(headers)
  return {
    namespace,
    name,
    binding: openBody(entry, seal),
    ...(origin === undefined ? {} : { origin }),
    ...(headers[LOST] === 'true' ? { lost: true } : {})
  }
}
