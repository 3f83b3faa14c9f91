/**
 * Hearing of a connection's loss at once. The client library keeps requests in flight until they time out, though
 * their answers died with the connection.
 */
import type { NatsConnection } from '@nats-io/transport-node'

const listeners = new WeakMap<NatsConnection, Set<() => void>>()

const listenersOf = (connection: NatsConnection): Set<() => void> => {
  const known = listeners.get(connection)
  if (known !== undefined) return known
  const set = new Set<() => void>()
  listeners.set(connection, set)
  const tell = (): void => {
    const told = [...set]
    set.clear()
    for (const listener of told) listener()
  }
  const watch = async (): Promise<void> => {
    for await (const { type } of connection.status()) if (type === 'disconnect' || type === 'close') tell()
  }
  void watch().then(tell, tell)
  return set
}

/** Calls `listener` once, at the next loss, unless it is cancelled before. */
export const onDisconnect = (connection: NatsConnection, listener: () => void): (() => void) => {
  const set = listenersOf(connection)
  set.add(listener)
  return () => void set.delete(listener)
}
