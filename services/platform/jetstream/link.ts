/**
 * A connection's state, heard of at once. The client library keeps requests in flight until they time out, though their
 * answers died with the connection; and what is sent while there is none is dropped with the next try to connect.
 */
import type { NatsConnection } from '@nats-io/transport-node'

/** The connection broke while an answer was on its way: whether the question arrived is not known. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost'
  constructor() {
    super('the connection to the log was lost')
  }
}

interface Link {
  up: boolean
  readonly lost: Set<() => void>
  readonly back: Set<() => void>
  /** Told once, when it is closed for good. */
  readonly over: Set<() => void>
}

const links = new WeakMap<NatsConnection, Link>()

const tell = (listeners: Set<() => void>): void => {
  const told = [...listeners]
  listeners.clear()
  for (const listener of told) listener()
}

/** The library hands out connections only once they stand, so one that nobody has asked about yet counts as up. */
const linkOf = (connection: NatsConnection): Link => {
  const known = links.get(connection)
  if (known !== undefined) return known
  const link: Link = { up: !connection.isClosed(), lost: new Set(), back: new Set(), over: new Set() }
  links.set(connection, link)
  const change = (up: boolean): void => {
    link.up = up
    tell(up ? link.back : link.lost)
  }
  const watch = async (): Promise<void> => {
    for await (const { type } of connection.status()) {
      if (type === 'disconnect' || type === 'close') change(false)
      else if (type === 'reconnect') change(true)
    }
  }
  const end = (): void => change(false)
  void watch().then(end, end)
  // Once for all who wait: what is added to a promise stays with it as long as the connection.
  void connection.closed().then(() => tell(link.over))
  return link
}

export const isConnected = (connection: NatsConnection): boolean => linkOf(connection).up

/** Calls `listener` once, at the next loss, unless it is cancelled before. */
export const onDisconnect = (connection: NatsConnection, listener: () => void): (() => void) => {
  const { lost } = linkOf(connection)
  lost.add(listener)
  return () => void lost.delete(listener)
}

/** True when there is a connection, now or within `ms`; false when there is none by then, or it was closed for good. */
export const whenConnected = (connection: NatsConnection, ms: number): Promise<boolean> => {
  const link = linkOf(connection)
  if (link.up) return Promise.resolve(true)
  if (ms <= 0 || connection.isClosed()) return Promise.resolve(false)
  return new Promise((resolve) => {
    const finish = (answer: boolean): void => {
      clearTimeout(timer)
      link.back.delete(connected)
      link.over.delete(over)
      resolve(answer)
    }
    const connected = (): void => finish(true)
    const over = (): void => finish(false)
    const timer = setTimeout(() => finish(false), ms)
    link.back.add(connected)
    link.over.add(over)
  })
}

/** The answer, or ConnectionLost as soon as it can no longer come; nothing is asked without a connection. */
export const untilLost = async <Answer>(connection: NatsConnection, ask: () => Promise<Answer>): Promise<Answer> => {
  if (!isConnected(connection)) throw new ConnectionLost()
  let cancel = (): void => {}
  const lost = new Promise<never>((_, reject) => {
    cancel = onDisconnect(connection, () => reject(new ConnectionLost()))
  })
  try {
    return await Promise.race([ask(), lost])
  } finally {
    cancel()
  }
}
