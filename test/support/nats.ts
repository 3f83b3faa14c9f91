/** A real nats-server of a test's own, with every stream, in a folder that goes away with it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { jetstreamManager } from '@nats-io/jetstream'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { ensureKeys } from '#ops/log/keys.ts'
import { loadOrCreateConfig, type ClusterConfig } from '#ops/home.ts'
import { ensureNatsServer } from '#ops/nats/binary.ts'
import { natsOptions } from '#ops/nats/connect.ts'
import { startNatsServer, stopNatsServer, type NatsServer } from '#ops/nats/server.ts'
import { ensureStreams, ledgerFolder } from '#ops/nats/streams.ts'
import { ensurePki } from '#ops/pki/pki.ts'
import { freePort } from './ports.ts'

export interface TestNats {
  readonly home: string
  readonly config: ClusterConfig
  readonly server: () => NatsServer
  /** Connects as one of the cluster's users; closed with the rest. */
  as(user: string): Promise<NatsConnection>
  /** Starts the server again after the test killed it. */
  restart(): Promise<void>
  /** The server alone, in order. */
  halt(): Promise<void>
  stop(): Promise<void>
}

export const startNats = async (nodes: readonly string[] = ['n1']): Promise<TestNats> => {
  const home = mkdtempSync(join(tmpdir(), 'reckon-test-'))
  const config: ClusterConfig = { ...(await loadOrCreateConfig(home, () => {})), natsPort: await freePort(), apiPort: await freePort() }
  await ensurePki(home, config)
  const binary = (await ensureNatsServer(() => {})).path
  const start = (): Promise<NatsServer> => startNatsServer({ home, config, binary, report: () => {}, nodes })
  let server = await start()
  const open: NatsConnection[] = []
  const as = async (user: string): Promise<NatsConnection> => {
    const connection = await connect(natsOptions(home, config, user))
    open.push(connection)
    return connection
  }
  ensureKeys(home)
  await ensureStreams(await jetstreamManager(await as('keeper'), { checkAPI: false }), ledgerFolder(home))
  return {
    home,
    config,
    server: () => server,
    as,
    restart: async () => void (server = await start()),
    halt: () => stopNatsServer(home),
    stop: async () => {
      for (const connection of open) await connection.close()
      await stopNatsServer(home)
      rmSync(home, { recursive: true, force: true })
    }
  }
}
