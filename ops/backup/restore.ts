/**
 * A backup becomes a home again: the log as it was, entry by entry, each at the sequence it had; the authority and the keys;
 * and a ledger that remembers it all. It becomes a cluster's home at the very end, when its configuration is written: a
 * restore that was cut short leaves a folder that says so, and is begun anew.
 */
import { closeSync, existsSync, fsyncSync, openSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { NatsConnection } from '@nats-io/transport-node'
import { anyPort, configPath, privateFolder, restoringFile, writeConfig, writeSecret, type ClusterConfig } from '#ops/home.ts'
import { endLeftBehind } from '#ops/leftBehind.ts'
import { loadSeal } from '#ops/log/keys.ts'
import { limitOf } from '#ops/log/moment.ts'
import { ensureNatsServer } from '#ops/nats/binary.ts'
import { connectNats } from '#ops/nats/connect.ts'
import { startNatsServer, stopNatsServer } from '#ops/nats/server.ts'
import { ensurePki } from '#ops/pki/pki.ts'
import type { Report } from '#ops/setup/project.ts'
import { homeFilesOf } from './content.ts'
import { copyOf, mustBeEmpty, mustBeFree } from './destination.ts'
import type { BackupFolder } from './folder.ts'
import { configIn, writeHomeFiles } from './home.ts'
import { upToOf, type UpTo } from './moment.ts'
import { remember, writeAll, type Rewriting } from './rewrite.ts'

export interface RestoreOptions {
  readonly folder: BackupFolder
  readonly home: string
  /** A moment as a person names it; all of the backup otherwise. */
  readonly to?: string | undefined
  /** Sequences behind the backup's end that are not given out: the lost cluster went on after its last backup. */
  readonly skip: number
  /** Beside the one it is of: with ports, networks and a name of its own. */
  readonly asCopy: boolean
  readonly command: string
  readonly report: Report
}

export interface Restored {
  readonly home: string
  readonly taken: string
  readonly upTo: UpTo
  /** Events behind that moment that the backup has and the restored log has not. */
  readonly leftOut: number
  /** The first resourceVersion that is given out from here on. */
  readonly next: number
  readonly entries: number
  readonly config: ClusterConfig
  readonly milliseconds: number
}

export const restore = async (options: RestoreOptions): Promise<Restored> => {
  const { folder, home, to, asCopy, report } = options
  const begun = performance.now()
  const manifest = await folder.manifest()
  if (manifest === undefined) throw new Error(`there is no backup in ${folder.path}`)
  const files = await homeFilesOf(folder, manifest)
  const original = JSON.parse(configIn(files)) as ClusterConfig
  // First, for they write into it.
  if (!existsSync(configPath(home))) await endLeftBehind(home, report)
  mustBeEmpty(home)
  const config = asCopy ? await copyOf(original) : original
  if (!asCopy) await mustBeFree(config)
  const upTo = await upToOf(folder, manifest, to === undefined ? undefined : limitOf(to, '--to', Date.parse(manifest.taken)))
  privateFolder(home)
  for (const name of readdirSync(home)) rmSync(join(home, name), { recursive: true })
  writeSecret(restoringFile(home), `${JSON.stringify({ from: folder.path, since: new Date().toISOString() })}\n`)
  writeHomeFiles(home, files)
  await ensurePki(home, config)
  // A port of its own: the cluster that was backed up may still run.
  const server = {
    home,
    config: { ...config, natsPort: await anyPort() },
    binary: (await ensureNatsServer(report)).path,
    report: (): void => {}
  }
  const work: Rewriting = { ...options, manifest, original, config, upTo, seal: loadSeal(home) }
  let next: number
  let entries: number
  try {
    await startNatsServer({ ...server, synced: false })
    const written = await withNats(server, (nats) => writeAll(work, nats))
    next = written.next
    await stopNatsServer(home)
    syncTree(join(home, 'nats/store'))
    await startNatsServer(server)
    entries = await withNats(server, (nats) => remember(work, nats, written.wanted))
  } finally {
    await stopNatsServer(home)
  }
  writeConfig(home, config)
  rmSync(restoringFile(home))
  return {
    home,
    taken: manifest.taken,
    upTo,
    leftOut: manifest.events.last - upTo.sequence,
    next,
    entries,
    config,
    milliseconds: Math.round(performance.now() - begun)
  }
}

const withNats = async <Value>(
  { home, config }: { readonly home: string; readonly config: ClusterConfig },
  work: (nats: NatsConnection) => Promise<Value>
): Promise<Value> => {
  const nats = await connectNats(home, config, 'keeper')
  try {
    return await work(nats)
  } finally {
    await nats.close()
  }
}

/** Nothing was synced while it was written. */
const syncTree = (folder: string): void => {
  for (const entry of [folder, ...readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name))]) {
    const file = openSync(entry, 'r')
    fsyncSync(file)
    closeSync(file)
  }
}
