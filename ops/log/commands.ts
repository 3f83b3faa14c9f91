/** `reckon log …`: looking after the log itself, as the keeper, whether the cluster runs or not. */
import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import type { ClusterConfig } from '#ops/home.ts'
import { ensureNatsServer } from '#ops/nats/binary.ts'
import { connectNats } from '#ops/nats/connect.ts'
import { runningServer, startNatsServer, stopNatsServer } from '#ops/nats/server.ts'
import { damageOf, inspectStore } from '#ops/nats/store.ts'
import { EXPIRING_STREAMS, KEPT_STREAMS, ledgerFolder, SPARSE_STREAMS } from '#ops/nats/streams.ts'
import type { Report } from '#ops/setup/project.ts'
import { QUARANTINE, rangesOf } from '#services/platform/jetstream/metadata.ts'
import { readRecord, writeRecord } from '#services/platform/ledger/FileLedger.ts'
import { damageLines } from './damage.ts'
import { loadSeal } from './keys.ts'
import { scan, type Strange } from './scan.ts'
import { verifyLog, type StreamVerdict } from './verify.ts'

/** Runs with a connection of the keeper's; nats-server is started for it when it does not run, and stopped again. */
const withKeeper = async <Value>(home: string, config: ClusterConfig, report: Report, work: (nats: NatsConnection) => Promise<Value>): Promise<Value> => {
  const runs = runningServer(home) !== undefined
  if (!runs) {
    const damaged = await inspectStore(home, report)
    if (damaged.length > 0) throw new Error(damageLines(damageOf(damaged)).join('\n'))
    await startNatsServer({ home, config, binary: (await ensureNatsServer(report)).path, report })
  }
  try {
    const nats = await connectNats(home, config, 'keeper', { waitOnFirstConnect: false, maxReconnectAttempts: 100 })
    try {
      return await work(nats)
    } finally {
      await nats.close()
    }
  } finally {
    if (!runs) await stopNatsServer(home)
  }
}

/** What is there, and what is wrong with it. Damage that was noted earlier is taken back when nothing is wrong any more. */
export const verify = (home: string, config: ClusterConfig, report: Report): Promise<readonly StreamVerdict[]> =>
  withKeeper(home, config, report, async (connection) => {
    const verdicts = await verifyLog({ home, connection, report })
    for (const { stream, damages } of verdicts) {
      const record = readRecord(ledgerFolder(home), stream)
      if (damages.length > 0 || record?.damage === undefined) continue
      report(`${stream}: nothing is wrong any more; what was noted before ("${record.damage.detail}") is taken back`)
      writeRecord(ledgerFolder(home), stream, { identity: record.identity, made: record.made })
    }
    return verdicts
  })

/** Entries that readers pass over because they are not ours, or that nobody can read. */
export const strangeEntries = (home: string, config: ClusterConfig, report: Report): Promise<readonly (Strange & { readonly stream: string; readonly quarantined: boolean })[]> =>
  withKeeper(home, config, report, async (connection) => {
    const seal = loadSeal(home)
    const found = await Promise.all(
      KEPT_STREAMS.map(async (stream) => {
        const { strange, state } = await scan({ connection, stream, seal, expires: EXPIRING_STREAMS.has(stream) || SPARSE_STREAMS.has(stream) })
        return strange.map((one) => ({ ...one, stream, quarantined: state.quarantined.includes(one.sequence) }))
      })
    )
    return found.flat()
  })

/** Puts entries aside for every reader: they stand in the log and mean nothing. Refuses what is an event of ours that can be read. */
export const quarantine = (home: string, config: ClusterConfig, stream: string, sequences: readonly number[], report: Report): Promise<void> =>
  withKeeper(home, config, report, async (connection) => {
    if (!KEPT_STREAMS.includes(stream)) throw new Error(`there is no stream ${stream} to put entries of aside: ${KEPT_STREAMS.join(', ')}`)
    const { strange } = await scan({ connection, stream, seal: loadSeal(home), expires: EXPIRING_STREAMS.has(stream) || SPARSE_STREAMS.has(stream) })
    const whole = sequences.filter((sequence) => !strange.some((one) => one.sequence === sequence))
    if (whole.length > 0) throw new Error(`${stream} ${whole.join(', ')}: not among the entries that are not ours or can't be read; history is not taken away`)
    const jsm = await jetstreamManager(connection, { checkAPI: false })
    const { config: present } = await jsm.streams.info(stream)
    const known = rangesOf(present.metadata?.[QUARANTINE]).map(({ first }) => first)
    const all = [...new Set([...known, ...sequences])].sort((a, b) => a - b)
    await jsm.streams.update(stream, { ...present, metadata: { ...present.metadata, [QUARANTINE]: all.join(',') } })
    report(`${stream} ${sequences.join(', ')}: put aside; readers that start from now on pass over it in silence`)
  })
