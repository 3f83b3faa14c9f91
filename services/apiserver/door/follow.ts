/**
 * Serves `follow.<user>`: makes the consumers from which components fetch their parts of the log, and the cursors of the
 * command line. Components make none themselves: who may make a consumer may have stored bytes pushed to any subject.
 */
import {
  AckPolicy,
  DeliverPolicy,
  jetstreamManager,
  type ConsumerConfig,
  type ConsumerInfo,
  type JetStreamManager
} from '@nats-io/jetstream'
import { nanos, nuid, type Msg, type NatsConnection } from '@nats-io/transport-node'
import { REPLICAS, type CursorStart, type FollowAnswer, type FollowRequest } from '#events/Follow.ts'
import type { ObjectKey } from '#events/Key.ts'
import { badRequest, forbidden, Refusal, type Status } from '#events/Refusal.ts'
import { keyOfSubject, type StreamName } from '#events/Subject.ts'
import { makeConsumer } from '#services/platform/jetstream/consumers.ts'
import { stateOf } from '#services/platform/jetstream/metadata.ts'
import { mayFollowWhole, partOf, type Part } from './parts.ts'
import { requestIn, serveDoor, type Door, type DoorLimits } from './serve.ts'

/** A cursor without a name outlives its reader by this. */
const IDLE_MS = 30 * 60_000
const ACK_WAIT_MS = 30_000
const CURSOR = /^[A-Za-z0-9_-]{1,64}$/
const SUBJECT = /^[^\s*>]{1,1024}$/
const TOKEN = /^[^\s.*>]{1,512}$/
const LARGEST_REQUEST = 4_096
/** A component follows a few parts, and begins with all of them at once; a person runs a few command lines. */
const LIMITS: DoorLimits = { requests: { total: 256, perUser: 32 }, bytes: { total: 256 * LARGEST_REQUEST, perUser: 32 * LARGEST_REQUEST } }

export interface FollowDoorOptions {
  readonly connection: NatsConnection
  /** Where all events of an object are; undefined when nobody can tell without reading the stream. */
  readonly places?: (stream: StreamName, key: ObjectKey) => Promise<readonly number[] | undefined>
  readonly onError: (error: unknown) => void
}

export const serveFollows = ({ connection, places, onError }: FollowDoorOptions): Door => {
  const jsm = jetstreamManager(connection, { checkAPI: false })
  const refusalOf = (error: unknown): Refusal => {
    if (error instanceof Refusal) return error
    onError(error)
    return new Refusal(503, 'ServiceUnavailable', 'the log can not be followed now; ask again')
  }
  return serveDoor({
    connection,
    subject: 'follow.*',
    limits: LIMITS,
    largest: LARGEST_REQUEST,
    answer: async (user, message) => {
      let answer: FollowAnswer | { readonly status: Status }
      try {
        answer = await answerTo(await jsm, user, requestOf(message), places)
      } catch (error) {
        answer = { status: refusalOf(error).status }
      }
      return JSON.stringify(answer)
    },
    refuse: (status) => JSON.stringify({ status }),
    onError
  })
}

const text = (value: unknown, form: RegExp, field: string): string => {
  if (typeof value !== 'string' || !form.test(value)) throw badRequest(`${field}: must match ${form.source}`)
  return value
}

const replicaOf = (value: unknown): { readonly replica?: number } => {
  if (value === undefined) return {}
  if (!Number.isInteger(value) || (value as number) < 0 || (value as number) >= REPLICAS)
    throw badRequest(`replica: must be a whole number below ${REPLICAS}`)
  return { replica: value as number }
}

/** A follow request as it must be; 400 otherwise. */
const requestOf = (message: Msg): FollowRequest => {
  const body = requestIn(message)
  const part = text(body['part'], TOKEN, 'part')
  switch (body['what']) {
    case 'state':
      return { what: 'state', part }
    case 'end':
      return { what: 'end', part, consumer: text(body['consumer'], TOKEN, 'consumer'), ...replicaOf(body['replica']) }
    case 'open': {
      const { from, newest, filter } = body
      if (!Number.isSafeInteger(from)) throw badRequest('from: must be a sequence')
      if (newest !== undefined && newest !== true) throw badRequest('newest: must be true, or left out')
      return {
        what: 'open',
        part,
        from: from as number,
        ...(newest === true ? { newest } : {}),
        ...(filter === undefined ? {} : { filter: text(filter, /^[^\s]{1,1024}$/, 'filter') }),
        ...replicaOf(body['replica'])
      }
    }
    case 'places':
      return { what: 'places', part, subject: text(body['subject'], SUBJECT, 'subject') }
    case 'cursor': {
      const { name, start, reset } = body
      return {
        what: 'cursor',
        part,
        start: start as CursorStart,
        ...(name === undefined ? {} : { name: text(name, CURSOR, 'name') }),
        ...(reset === true ? { reset } : {})
      }
    }
    default:
      throw badRequest('what: must be one of state, open, cursor, places, end')
  }
}

const answerTo = async (
  jsm: JetStreamManager,
  user: string,
  request: FollowRequest,
  placesOf: FollowDoorOptions['places']
): Promise<FollowAnswer> => {
  const whole = mayFollowWhole(user, request.part)
  const part: Part | undefined = whole
    ? {
        stream: request.part,
        consumer: `admin-${nuid.next()}`,
        filters: request.what === 'open' && request.filter !== undefined ? [request.filter] : []
      }
    : partOf(user, request.part, 'replica' in request ? request.replica : 0)
  if (part === undefined || (!whole && (request.what === 'cursor' || request.what === 'places')))
    throw forbidden({ group: '', resource: 'streams' }, request.part, `user "${user}" may not follow it`)
  const state = stateOf(await jsm.streams.info(part.stream))
  const answer = (consumer: ConsumerInfo): FollowAnswer => ({ state, consumer: consumer as unknown as Record<string, unknown> })
  switch (request.what) {
    case 'state':
      return { state }
    case 'open':
      return answer(
        await makeConsumer(jsm, { stream: part.stream, name: part.consumer, filters: part.filters }, request.from, state, request.newest)
      )
    case 'cursor':
      return answer(await cursor(jsm, part.stream, request))
    case 'places': {
      const key = keyOfSubject(part.stream as StreamName, request.subject)
      const places = key && (await placesOf?.(part.stream as StreamName, key))
      return { state, ...(places === undefined ? {} : { places }) }
    }
    case 'end':
      if (whole ? !/^(admin|follow)-/.test(request.consumer) : request.consumer !== part.consumer)
        throw forbidden({ group: '', resource: 'consumers' }, request.consumer, `user "${user}" may not end it`)
      await jsm.consumers.delete(part.stream, request.consumer).catch(() => false)
      return { state }
  }
}

const startOf = (start: CursorStart): Partial<ConsumerConfig> => {
  if (typeof start !== 'object' || start === null) throw badRequest('start: must say where the cursor begins')
  if ('sequence' in start && Number.isSafeInteger(start.sequence))
    return { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: Math.max(1, start.sequence) }
  if ('time' in start && !Number.isNaN(Date.parse(start.time)))
    return { deliver_policy: DeliverPolicy.StartTime, opt_start_time: new Date(start.time).toISOString() }
  if ('at' in start && start.at === 'start') return { deliver_policy: DeliverPolicy.All }
  if ('at' in start && start.at === 'now') return { deliver_policy: DeliverPolicy.New }
  throw badRequest('start: must be a sequence, an RFC 3339 time, "start" or "now"')
}

const cursor = async (
  jsm: JetStreamManager,
  stream: string,
  { name: given, start, reset }: Extract<FollowRequest, { what: 'cursor' }>
): Promise<ConsumerInfo> => {
  const name = `follow-${given ?? nuid.next()}`
  if (given !== undefined) {
    if (reset === true) await jsm.consumers.delete(stream, name).catch(() => false)
    const known = await jsm.consumers.info(stream, name).catch(() => undefined)
    if (known !== undefined) return known
  }
  return jsm.consumers.add(stream, {
    ...(given === undefined ? { name, inactive_threshold: nanos(IDLE_MS) } : { durable_name: name }),
    // One event at a time is acknowledged, in order: after a crash the cursor stands at what was not shown yet.
    ack_policy: AckPolicy.Explicit,
    ack_wait: nanos(ACK_WAIT_MS),
    max_ack_pending: 1_000,
    ...startOf(start)
  })
}
