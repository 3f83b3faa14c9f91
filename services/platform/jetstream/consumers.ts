/**
 * Where a follower's consumer comes from: made by itself, for users of the log's own account; asked for at the API
 * server, for everybody else. Who may make consumers may also have the server push stored bytes to any subject.
 */
import {
  AckPolicy,
  DeliverPolicy,
  jetstreamManager,
  type ConsumerConfig,
  type ConsumerInfo,
  type JetStreamManager
} from '@nats-io/jetstream'
import { nanos, nuid, type NatsConnection } from '@nats-io/transport-node'
import type { FollowAnswer, FollowRequest } from '#events/Follow.ts'
import type { LogState } from '#events/Log.ts'
import { Refusal, type Status } from '#events/Refusal.ts'
import { BASE, baseSubjectOf } from '#events/Subject.ts'
import { stateOf } from './metadata.ts'

/** The server forgets a consumer nobody has fetched from for so long. */
const INACTIVE_MS = 30_000
const ASK_MS = 5_000

export interface Opened {
  readonly info: ConsumerInfo
  /** The stream's state before the consumer was made. */
  readonly state: LogState
}

/** The consumer reads what was kept when history was compacted, and the stream itself begins behind that. */
export const readsBase = ({ stream_name }: Pick<ConsumerInfo, 'stream_name'>): boolean => stream_name === BASE

/** The consumer begins with each subject's last entry, in the order of sequences. */
export const readsNewest = ({ config }: Pick<ConsumerInfo, 'config'>): boolean => config.deliver_policy === DeliverPolicy.LastPerSubject

export interface Consumers {
  state(): Promise<LogState>
  /** A consumer that delivers what has a sequence ≥ from, in order; `newest`: each subject's last entry. */
  open(from: number, newest: boolean): Promise<Opened>
  /** Deletes it; never rejects. */
  end(consumer: Pick<ConsumerInfo, 'stream_name' | 'name'>): Promise<void>
}

export interface ConsumerSpec {
  readonly stream: string
  /** A fixed name; one made earlier is replaced. Otherwise each gets its own. */
  readonly name?: string
  readonly filters?: readonly string[]
}

const startOf = (from: number, newest: boolean): Partial<ConsumerConfig> =>
  newest
    ? { deliver_policy: DeliverPolicy.LastPerSubject }
    : { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: Math.max(1, from) }

/**
 * Makes the consumer a follower needs: pulled, not acknowledged, kept in memory. For who begins before the floor of
 * history it is one of what was kept there.
 */
export const makeConsumer = async (
  jsm: JetStreamManager,
  { stream, name, filters: given = [] }: ConsumerSpec,
  from: number,
  { first, floor }: Pick<LogState, 'first' | 'floor'>,
  newest = false
): Promise<ConsumerInfo> => {
  const base = from <= floor && from < first
  // The server takes no last-per-subject consumer without a filter.
  const [source, filters] = base ? [BASE, given.map(baseSubjectOf)] : [stream, newest && given.length === 0 ? ['>'] : given]
  if (name !== undefined) await jsm.consumers.delete(source, name).catch(() => false)
  return jsm.consumers.add(source, {
    name: name ?? `view-${nuid.next()}`,
    ack_policy: AckPolicy.None,
    ...(base ? { deliver_policy: DeliverPolicy.All } : startOf(from, newest)),
    mem_storage: true,
    num_replicas: 1,
    inactive_threshold: nanos(INACTIVE_MS),
    ...(filters.length === 0 ? {} : filters.length === 1 ? { filter_subject: filters[0] as string } : { filter_subjects: [...filters] })
  })
}

export const ownConsumers = (connection: NatsConnection, spec: ConsumerSpec): Consumers => {
  let manager: Promise<JetStreamManager> | undefined
  const jsm = (): Promise<JetStreamManager> => (manager ??= jetstreamManager(connection, { checkAPI: false }))
  const state = async (): Promise<LogState> => stateOf(await (await jsm()).streams.info(spec.stream))
  return {
    state,
    open: async (from, newest) => {
      const before = await state()
      return { state: before, info: await makeConsumer(await jsm(), spec, from, before, newest) }
    },
    end: async ({ stream_name, name }) => {
      if (!connection.isClosed()) await (await jsm()).consumers.delete(stream_name, name).catch(() => false)
    }
  }
}

/** Asks the API server on `follow.<user>`; rejects with its Refusal. */
export const askToFollow = async (connection: NatsConnection, user: string, request: FollowRequest): Promise<FollowAnswer> => {
  const answer = (await connection.request(`follow.${user}`, JSON.stringify(request), { timeout: ASK_MS })).json<
    FollowAnswer | { readonly status: Status }
  >()
  if ('status' in answer) throw Refusal.of(answer.status)
  return answer
}

/**
 * `user`: the asking NATS user; `part`: one of what it may follow. `filter`: for who may follow whole streams. `replica`: which of the
 * user's processes it is.
 */
export const askedConsumers = (connection: NatsConnection, user: string, part: string, filter?: string, replica = 0): Consumers => {
  const which = replica === 0 ? {} : { replica }
  const ask = (request: FollowRequest): Promise<FollowAnswer> => askToFollow(connection, user, request)
  return {
    state: async () => (await ask({ what: 'state', part })).state,
    open: async (from, newest) => {
      const { state, consumer } = await ask({
        what: 'open',
        part,
        from,
        ...(newest ? { newest } : {}),
        ...(filter === undefined ? {} : { filter }),
        ...which
      })
      return { state, info: consumer as unknown as ConsumerInfo }
    },
    end: async ({ name, stream_name }) => {
      // Nobody waits for it: what is not told ends by itself.
      if (!connection.isClosed() && stream_name !== BASE)
        connection.publish(`follow.${user}`, JSON.stringify({ what: 'end', part, consumer: name, ...which } satisfies FollowRequest))
    }
  }
}
