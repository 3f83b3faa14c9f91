/** Connects to a cluster's nats-server as one of its users. */
import { connect, type ConnectionOptions, credsAuthenticator, type NatsConnection } from '@nats-io/transport-node'
import type { ClusterConfig } from '#ops/home.ts'
import { pkiFile } from '#ops/pki/pki.ts'
import { readCredentials } from './credentials.ts'
import { serversOf } from './reach.ts'
import { inboxPrefix } from './users.ts'

/** The options for one user: TLS against the cluster's CA, its credentials, its own inbox; reconnects for ever. */
export const natsOptions = (home: string, config: ClusterConfig, user: string): ConnectionOptions => ({
  servers: serversOf(config),
  name: user,
  inboxPrefix: inboxPrefix(user),
  // Read at each connect: credentials that were renewed are used by the next one.
  authenticator: (nonce) => credsAuthenticator(readCredentials(home, user))(nonce),
  tls: { caFile: pkiFile(home, 'ca.crt') },
  maxReconnectAttempts: -1,
  // To the greeting and the end of the handshake: whoever else listens there is not waited for.
  timeout: CONNECT_MS,
  reconnectDelayHandler: reconnectDelay(),
  // A component may start before its server does; it waits instead of failing.
  waitOnFirstConnect: true,
  // Otherwise every request begins with two errors, for their stacks.
  noAsyncTraces: true,
  ignoreAuthErrorAbort: true
})

const CONNECT_MS = 3_000
const QUICK_MS = 25
const QUICK_TRIES = 80
const PATIENT_MS = 250
/** Tries further apart than this belong to different losses. */
const ANOTHER_LOSS_MS = 2_000

/**
 * Milliseconds before the next try to connect. A server that is started again is back within a moment, and asking for it on
 * this machine costs next to nothing; the library's own delay has a second of jitter, made for clouds of clients.
 */
const reconnectDelay = (now: () => number = () => performance.now()): (() => number) => {
  let tries = 0
  let last = 0
  return () => {
    const at = now()
    tries = at - last > ANOTHER_LOSS_MS ? 1 : tries + 1
    last = at
    return tries <= QUICK_TRIES ? QUICK_MS : PATIENT_MS
  }
}

/** `more` overrides: a command line, for one, sets waitOnFirstConnect to false so as to fail at once when no server is there. */
export const connectNats = (home: string, config: ClusterConfig, user: string, more: ConnectionOptions = {}): Promise<NatsConnection> =>
  connect({ ...natsOptions(home, config, user), ...more })
