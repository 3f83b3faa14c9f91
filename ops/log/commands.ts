/** `reckon log …`: looking after the log itself, as the keeper, whether the cluster runs or not. */
import { jetstreamManager } from '@nats-io/jetstream'
import { durationOf, type ClusterConfig } from '#ops/home.ts'
import { EXPIRING_STREAMS, KEPT_STREAMS, ledgerFolder, SPARSE_STREAMS } from '#ops/nats/streams.ts'
import type { Report } from '#ops/setup/project.ts'
import type { Compacted } from '#services/cli/Environment.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { QUARANTINE, rangesOf } from '#services/platform/jetstream/metadata.ts'
import { readRecord, writeRecord } from '#services/platform/ledger/FileLedger.ts'
import { compact, finishCompaction, plan, type Compaction } from './compact.ts'
import { lockLog, withKeeper } from './keeping.ts'
import { loadSeal } from './keys.ts'
import { limitOf } from './moment.ts'
import type { Limit } from './plan.ts'
import { scan, type Strange } from './scan.ts'
import { verifyLog, type StreamVerdict } from './verify.ts'

/** What is there, and what is wrong with it. Damage that was noted earlier is taken back when nothing is wrong any more. */
export const verify = (home: string, config: ClusterConfig, report: Report): Promise<readonly StreamVerdict[]> =>
  withKeeper(home, config, report, async (connection) => {
    const verdicts = await verifyLog({ home, connection, report })
    for (const { stream, damages } of verdicts) {
      const record = readRecord(ledgerFolder(home), stream)
      if (damages.length > 0 || record?.damage === undefined) continue
      report(`${stream}: nothing is wrong any more; what was noted before ("${record.damage.detail}") is taken back`)
      const { damage: _, ...whole } = record
      writeRecord(ledgerFolder(home), stream, whole)
    }
    return verdicts
  })

export interface CompactRequest {
  /** A moment as a person names it; what settings.keepHistory says otherwise. */
  readonly before: string | undefined
  readonly dryRun: boolean
}

/** History that is younger stays: readers are in the middle of it. */
const YOUNGEST_MS = 5 * 60_000

/** Undefined when nothing is old enough to go. */
export const compactHistory = async (
  home: string,
  config: ClusterConfig,
  { before, dryRun }: CompactRequest,
  report: Report
): Promise<Compacted | undefined> => {
  const begun = performance.now()
  const limit = limitFor(config, before)
  const release = lockLog(home, 'reckon log compact')
  try {
    return await withKeeper(home, config, report, async (connection, works) => {
      const work: Compaction = {
        home,
        connection,
        seal: loadSeal(home),
        report,
        eased: works,
        command: `reckon log compact${before === undefined ? '' : ` --before ${before}`}`
      }
      if (!dryRun) await finishCompaction(work)
      const planned = await plan(work, limit)
      const { floor } = await new JetStreamLog(connection, 'EVENTS').state()
      if (planned === undefined || planned.mark.floor <= floor) return undefined
      const { mark, entries, gone, goneBytes } = planned
      if (mark.time > Date.now() - YOUNGEST_MS)
        throw new Error(`resourceVersion ${mark.floor} is of ${new Date(mark.time).toISOString()}: history of the last five minutes stays`)
      if (!dryRun) await compact(work, planned)
      return {
        done: !dryRun,
        floor: mark.floor,
        time: new Date(mark.time).toISOString(),
        entries,
        gone,
        goneBytes,
        kept: mark.entries,
        milliseconds: Math.round(performance.now() - begun)
      }
    })
  } finally {
    release()
  }
}

const limitFor = ({ settings }: ClusterConfig, before: string | undefined): Limit => {
  const now = Date.now()
  if (before !== undefined) {
    const limit = limitOf(before, '--before', now)
    return 'time' in limit ? { time: Math.min(limit.time, now - YOUNGEST_MS) } : limit
  }
  const keep = durationOf(settings?.keepHistory ?? 'forever', 'keepHistory')
  if (keep === Number.POSITIVE_INFINITY)
    throw new Error(
      'say up to when history is to be compacted, with --before (-90d, 2026-11-20, a resourceVersion), or set settings.keepHistory in config.json'
    )
  return { time: now - Math.max(keep, YOUNGEST_MS) }
}

/** Entries that readers pass over because they are not ours, or that nobody can read. */
export const strangeEntries = (
  home: string,
  config: ClusterConfig,
  report: Report
): Promise<readonly (Strange & { readonly stream: string; readonly quarantined: boolean })[]> =>
  withKeeper(home, config, report, async (connection) => {
    const seal = loadSeal(home)
    const found = await Promise.all(
      KEPT_STREAMS.map(async (stream) => {
        const { strange, state } = await scan({
          connection,
          stream,
          seal,
          expires: EXPIRING_STREAMS.has(stream) || SPARSE_STREAMS.has(stream)
        })
        return strange.map((one) => ({ ...one, stream, quarantined: state.quarantined.includes(one.sequence) }))
      })
    )
    return found.flat()
  })

/** Puts entries aside for every reader: they stand in the log and mean nothing. Refuses what is an event of ours that can be read. */
export const quarantine = (
  home: string,
  config: ClusterConfig,
  stream: string,
  sequences: readonly number[],
  report: Report
): Promise<void> =>
  withKeeper(home, config, report, async (connection) => {
    if (!KEPT_STREAMS.includes(stream)) throw new Error(`there is no stream ${stream} to put entries of aside: ${KEPT_STREAMS.join(', ')}`)
    const { strange } = await scan({
      connection,
      stream,
      seal: loadSeal(home),
      expires: EXPIRING_STREAMS.has(stream) || SPARSE_STREAMS.has(stream)
    })
    const whole = sequences.filter((sequence) => !strange.some((one) => one.sequence === sequence))
    if (whole.length > 0)
      throw new Error(`${stream} ${whole.join(', ')}: not among the entries that are not ours or can't be read; history is not taken away`)
    const jsm = await jetstreamManager(connection, { checkAPI: false })
    const { config: present } = await jsm.streams.info(stream)
    const known = rangesOf(present.metadata?.[QUARANTINE]).map(({ first }) => first)
    const all = [...new Set([...known, ...sequences])].sort((a, b) => a - b)
    await jsm.streams.update(stream, { ...present, metadata: { ...present.metadata, [QUARANTINE]: all.join(',') } })
    report(`${stream} ${sequences.join(', ')}: put aside; readers that start from now on pass over it in silence`)
  })
