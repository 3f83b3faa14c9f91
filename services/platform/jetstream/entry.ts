/** From the client library's messages to the log's entries. */
import type { MsgHdrs } from '@nats-io/transport-node'
import type { LogEntry } from '#events/Log.ts'
import { subjectOfBase } from '#events/Subject.ts'

/** In the stream BASE: the place a version had in its own stream. */
export const SEQUENCE_HEADER = 'reckon-sequence'

/** An entry of the stream BASE as the one it was in EVENTS. */
export const entryOfBase = (entry: LogEntry): LogEntry => ({
  ...entry,
  subject: subjectOfBase(entry.subject),
  sequence: Number(entry.headers[SEQUENCE_HEADER] ?? 0)
})

export const plainHeaders = (from: MsgHdrs | undefined): Record<string, string> => {
  const plain: Record<string, string> = {}
  if (from !== undefined) for (const [name, values] of from) plain[name] = values[0] ?? ''
  return plain
}

interface Stored {
  readonly subject: string
  readonly seq: number
  readonly header: MsgHdrs
  readonly data: Uint8Array
  readonly time: Date
}

const decoder = new TextDecoder()

/** What the server adds to a direct get's answer: not the event's, and not there when it is followed. */
const ADDED = ['Nats-Stream', 'Nats-Subject', 'Nats-Sequence', 'Nats-Time-Stamp', 'Nats-Num-Pending', 'Nats-Last-Sequence']

export const entryOfStored = (message: Stored): LogEntry => {
  const headers = plainHeaders(message.header)
  for (const name of ADDED) delete headers[name]
  return { subject: message.subject, sequence: message.seq, headers, text: decoder.decode(message.data), time: message.time.getTime() }
}
