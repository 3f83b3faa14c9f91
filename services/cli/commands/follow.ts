/** `reckon follow`: the log as it grows, through a cursor that has a name and survives everything. */
import { setTimeout } from 'node:timers/promises'
import { jetstream, type ConsumerInfo, type JsMsg } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { decodeFacts, objectOf, type Event } from '#events/Event.ts'
import type { CursorStart, FollowAnswer, FollowRequest } from '#events/Follow.ts'
import { resourceId } from '#events/Key.ts'
import { collectionOf } from '#events/Kind.ts'
import { Refusal } from '#events/Refusal.ts'
import { askToFollow } from '#services/platform/jetstream/consumers.ts'
import { plainHeaders } from '#services/platform/jetstream/entry.ts'
import { onDisconnect } from '#services/platform/jetstream/link.ts'
import { CliError, type Environment } from '#services/cli/Environment.ts'
import { momentOf } from '#services/cli/moment.ts'
import { bold, dim, encoded, err, out } from '#services/cli/print.ts'
import { kindOfWord } from '#services/cli/resources.ts'
import { factOf } from './history.ts'

export interface FollowOptions {
  /** Undefined: no cursor, from now (or `from`). */
  readonly cursor: string | undefined
  /** A sequence, an RFC 3339 time, `-5m`, `start`; matters for a new cursor, or with `reset`. */
  readonly from: string | undefined
  readonly reset: boolean
  readonly kind: string | undefined
  readonly namespace: string | undefined
  readonly name: string | undefined
  readonly format: 'table' | 'json' | 'yaml'
  /** Stop when everything there is has been shown. */
  readonly once: boolean
}

const CURSOR = /^[A-Za-z0-9_-]{1,64}$/
/** What waits here unacknowledged, in bytes. */
const OUTSTANDING_BYTES = 8 * 1024 * 1024
/** As many as a cursor may have delivered and not heard of. */
const SHOWN = 1_000
const RETRY_MS = 250

export const startOf = (from: string | undefined, now: number): CursorStart => {
  if (from === undefined) return { at: 'now' }
  if (from === 'start') return { at: 'start' }
  if (/^\d+$/.test(from)) return { sequence: Math.max(1, Number(from)) }
  const time = momentOf(from, now)
  if (time === undefined) throw new CliError(`error: --from ${from}: use a sequence, an RFC 3339 time, a time ago (-5m) or start`)
  return { time: new Date(time).toISOString() }
}

export const follow = async (environment: Environment['Service'], options: FollowOptions, signal: AbortSignal): Promise<void> => {
  const { cursor, from, reset, format, once } = options
  if (cursor !== undefined && !CURSOR.test(cursor)) throw new CliError('error: a cursor is named with letters, digits, - and _')
  const about = options.kind === undefined ? undefined : collectionOf(kindOfWord(await environment.api(), options.kind))
  const connection = await environment.connect({ patient: !once })
  let start = startOf(from, Date.now())
  // The last ones: what was acknowledged to a server that died before it heard of it comes again.
  const shown = new Set<number>()
  try {
    for (let again = false; ; again = true) {
      const opened = await open(
        connection,
        { what: 'cursor', part: 'EVENTS', start, reset: reset && !again, ...(cursor === undefined ? {} : { name: cursor }) },
        again
      )
      const info = opened.consumer as unknown as ConsumerInfo
      const { floor } = opened.state
      // What is shown next stands behind what was compacted, wherever the cursor stood.
      if (info.ack_floor.stream_seq < floor && !again)
        err(dim(`(history up to ${floor} was compacted: what happened between ${info.ack_floor.stream_seq} and there is not shown)`))
      if (once && info.num_pending === 0) return
      const messages = await jetstream(connection).consumers.getConsumerFromInfo(info).consume({ max_bytes: OUTSTANDING_BYTES })
      const stop = (): void => void messages.close()
      // Connected again, the library asks what its consumer is, which it may not, and fetches no more: it is asked for here instead.
      const forget = onDisconnect(connection, stop)
      signal.addEventListener('abort', stop)
      if (signal.aborted) return
      for await (const message of messages) {
        const event = eventOf(message)
        if (
          !shown.has(message.seq) &&
          (about === undefined || resourceId(event.key) === resourceId(about)) &&
          (options.namespace === undefined || event.key.namespace === options.namespace) &&
          (options.name === undefined || event.key.name === options.name)
        )
          out(textOf(event, format))
        message.ack()
        start = { sequence: message.seq + 1 }
        shown.add(message.seq)
        if (shown.size > SHOWN) shown.delete(shown.values().next().value as number)
        if (once && message.info.pending === 0) {
          await connection.flush()
          return
        }
      }
      forget()
      signal.removeEventListener('abort', stop)
      if (signal.aborted) {
        if (cursor === undefined) await askToFollow(connection, 'admin', { what: 'end', part: 'EVENTS', consumer: info.name })
        return
      }
      if (connection.isClosed() || once) throw new CliError('error: the connection to the log was lost')
    }
  } finally {
    await connection.close()
  }
}

/** Asks until there is an answer, once there was one: the cluster is being started again. */
const open = async (connection: NatsConnection, request: FollowRequest, again: boolean): Promise<FollowAnswer> => {
  for (;;) {
    try {
      return await askToFollow(connection, 'admin', request)
    } catch (error) {
      if (!again || connection.isClosed() || (error instanceof Refusal && (error.status.code ?? 500) < 500)) throw error
      await setTimeout(RETRY_MS)
    }
  }
}

const eventOf = (message: JsMsg): Event => {
  const raw = { subject: message.subject, sequence: message.seq, headers: plainHeaders(message.headers), text: message.string() }
  return { ...decodeFacts('EVENTS', raw), object: objectOf(raw) }
}

const textOf = (event: Event, format: FollowOptions['format']): string => {
  const { sequence, time, type, key, user, source, command } = event
  if (format === 'yaml') return `---\n${encoded(event, 'yaml')}`
  if (format === 'json')
    return JSON.stringify({
      specversion: '1.0',
      id: event.id,
      type,
      source,
      time,
      subject: `${key.namespace}/${key.name}`,
      sequence,
      user,
      correlationid: event.correlationId,
      causationid: event.causationId,
      command,
      deleted: event.deleted,
      data: event.object
    })
  return `${String(sequence).padStart(8)}  ${dim(time)}  ${bold(`${type.split('.')[1]} ${key.namespace === '' ? '' : `${key.namespace}/`}${key.name}`)} ${factOf(type)}  ${dim(command === undefined ? `${source} (${user})` : `${user}: ${command}`)}`
}
