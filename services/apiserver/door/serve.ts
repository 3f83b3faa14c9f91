/**
 * How a door on NATS takes requests: at once, or not at all. The client library keeps what an iterator has not come to yet
 * without any limit, and one credential could fill the memory with it; so every message is taken as it arrives, what is
 * not answered yet is counted, and who sends too much is told to come again (429), as over HTTPS.
 */
import type { Msg, NatsConnection } from '@nats-io/transport-node'
import { badRequest, Refusal, tooLarge, tooManyRequests, type Status } from '#events/Refusal.ts'
import { Pool, type Share } from '#services/apiserver/Pool.ts'

/** What may be on its way at a time. Nodes share theirs; the control plane and the command line have as much again, which no node fills. */
export interface DoorLimits {
  readonly requests: Share
  /** From a message's arrival to its answer. */
  readonly bytes: Share
}

const WORDS = { requests: 'requests in flight', bytes: 'bytes of requests in flight' } as const
type Counted = keyof typeof WORDS

/** A request's place among those that are not answered yet. */
export interface Place {
  /** The request turned out to be several; throws 429 when there is no room for them. */
  more(requests: number): void
}

class Desk {
  readonly #limits: DoorLimits
  readonly #nodes = { requests: new Pool(), bytes: new Pool() }
  readonly #others = { requests: new Pool(), bytes: new Pool() }

  constructor(limits: DoorLimits) {
    this.#limits = limits
  }
  /** Throws 429. `user`: the subject's token. */
  enter(user: string, bytes: number): Place & { leave(): void } {
    const held = { requests: 0, bytes: 0 }
    const pools = user.startsWith('node-') ? this.#nodes : this.#others
    const take = (what: Counted, amount: number): void => {
      const share = this.#limits[what]
      const full = pools[what].full(share, user, amount)
      if (full !== undefined)
        throw tooManyRequests(
          `too many requests, please try again later: ${full === 'user' ? `user "${user}" has` : 'the server has'} ${full === 'user' ? share.perUser : pools[what].taken} ${WORDS[what]}`,
          1
        )
      pools[what].take(user, amount)
      held[what] += amount
    }
    const leave = (): void => {
      for (const what of ['requests', 'bytes'] as const) pools[what].give(user, held[what])
    }
    try {
      take('requests', 1)
      take('bytes', bytes)
    } catch (error) {
      leave()
      throw error
    }
    return { more: (requests) => take('requests', requests), leave }
  }
}

export interface DoorOptions {
  readonly connection: NatsConnection
  /** `intent.*`: the last token is who asks; nobody else may publish there. */
  readonly subject: string
  readonly limits: DoorLimits
  /** Bytes of one message; a larger one is refused (413). */
  readonly largest: number
  /** The answer's text. Rejects when nothing can be said: who asks asks again. */
  readonly answer: (user: string, message: Msg, place: Place) => Promise<string>
  /** The answer to who may not come in. */
  readonly refuse: (status: Status) => string
  readonly onError: (error: unknown) => void
}

export interface Door {
  close(): Promise<void>
}

export const serveDoor = ({ connection, subject, limits, largest, answer, refuse, onError }: DoorOptions): Door => {
  const desk = new Desk(limits)
  const serve = async (message: Msg): Promise<void> => {
    const user = message.subject.slice(subject.length - 1)
    const place = entered(user, message)
    if (place === undefined) return
    try {
      message.respond(await answer(user, message, place))
    } finally {
      place.leave()
    }
  }
  const entered = (user: string, message: Msg): ReturnType<Desk['enter']> | undefined => {
    try {
      if (message.data.length > largest) throw tooLarge(`Request entity too large: limit is ${largest}`)
      return desk.enter(user, message.data.length)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      message.respond(refuse(error.status))
      return undefined
    }
  }
  const subscription = connection.subscribe(subject, {
    queue: 'apiserver',
    callback: (error, message) => {
      if (error !== null) onError(error)
      else void serve(message).catch(onError)
    }
  })
  return { close: () => subscription.drain() }
}

/** The JSON object a request holds; 400 for anything else. */
export const requestIn = (message: Msg): Readonly<Record<string, unknown>> => {
  let body: unknown
  try {
    body = message.json()
  } catch {
    throw badRequest('the request is not valid JSON')
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw badRequest('the request is not a JSON object')
  return body as Readonly<Record<string, unknown>>
}
