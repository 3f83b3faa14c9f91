/** Connects to a cluster's nats-server as one of its users. */
import { connect, type ConnectionOptions, type NatsConnection, nkeyAuthenticator } from '@nats-io/transport-node'
import type { ClusterConfig } from '../home.ts'
import { pkiFile } from '../pki/pki.ts'
import { readSeed } from './credentials.ts'
import { inboxPrefix } from './users.ts'

/** The options for one user: TLS against the cluster's CA, its nkey, its own inbox; reconnects for ever. */
export const natsOptions = (home: string, config: ClusterConfig, user: string): ConnectionOptions => ({
  servers: `127.0.0.1:${config.natsPort}`,
  name: user,
  inboxPrefix: inboxPrefix(user),
  authenticator: nkeyAuthenticator(readSeed(home, user)),
  tls: { caFile: pkiFile(home, 'ca.crt') },
  maxReconnectAttempts: -1,
  reconnectTimeWait: 250,
  // A component may start before its server does; it waits instead of failing.
  waitOnFirstConnect: true,
  // Otherwise every request begins with two errors, for their stacks.
  noAsyncTraces: true,
  ignoreAuthErrorAbort: true
})

/** `more` overrides: a command line, for one, sets waitOnFirstConnect to false so as to fail at once when no server is there. */
export const connectNats = (home: string, config: ClusterConfig, user: string, more: ConnectionOptions = {}): Promise<NatsConnection> =>
  connect({ ...natsOptions(home, config, user), ...more })
