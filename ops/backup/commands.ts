/** `reckon backup`, `reckon backup verify` and `reckon restore`, as the command line asks for them. */
import { join, resolve } from 'node:path'
import type { ClusterConfig } from '#ops/home.ts'
import { lockLog, withKeeper } from '#ops/log/keeping.ts'
import { takeLock } from '#ops/setup/lock.ts'
import type { Report } from '#ops/setup/project.ts'
import type { BackupResult } from '#services/cli/Environment.ts'
import { BackupFolder, readPassphrase } from './folder.ts'
import { restore, type Restored } from './restore.ts'
import { takeBackup } from './take.ts'
import { verifyBackup, type BackupVerdict } from './verify.ts'

export interface BackupRequest {
  readonly folder: string
  readonly encrypt: boolean
  readonly passphraseFile: string | undefined
}

const passphraseOf = ({ encrypt, passphraseFile }: BackupRequest): string | undefined => {
  if (passphraseFile !== undefined) return readPassphrase(resolve(passphraseFile))
  if (encrypt) throw new Error('name a file with the passphrase: --passphrase-file FILE')
  return undefined
}

export const backup = async (
  home: string,
  config: ClusterConfig,
  version: string,
  request: BackupRequest,
  report: Report
): Promise<BackupResult> => {
  const path = resolve(request.folder)
  if (path === home || home.startsWith(`${path}/`))
    throw new Error(`${path} holds the cluster's home: a backup belongs elsewhere, best on another disk`)
  const passphrase = passphraseOf(request)
  const releases = [takeLock(join(path, 'lock'), 'reckon backup')]
  try {
    releases.push(lockLog(home, 'reckon backup'))
    const folder = await BackupFolder.open(path, passphrase, true)
    return await withKeeper(home, config, report, (connection, works) =>
      takeBackup({ home, config, folder, connection, eased: works, version, report })
    )
  } finally {
    for (const release of releases) release()
  }
}

export const verify = async (request: BackupRequest, report: Report): Promise<BackupVerdict> => {
  const folder = await BackupFolder.open(resolve(request.folder), passphraseOf(request))
  const manifest = await folder.manifest()
  if (manifest === undefined) throw new Error(`there is no finished backup in ${folder.path}`)
  return verifyBackup(folder, manifest, report)
}

export interface RestoreRequest extends BackupRequest {
  readonly home: string
  readonly to: string | undefined
  readonly skip: number
  readonly asCopy: boolean
}

export const restoreFrom = async (request: RestoreRequest, report: Report): Promise<Restored> => {
  const { folder: from, to, skip, asCopy } = request
  if (!Number.isSafeInteger(skip) || skip < 0 || skip > 1_000_000_000) throw new Error(`--skip ${skip}: must be between 0 and 1000000000`)
  const home = resolve(request.home)
  const folder = await BackupFolder.open(resolve(from), passphraseOf(request))
  const command = ['reckon restore', ...(to === undefined ? [] : [`--to ${to}`]), ...(asCopy ? ['--as-copy'] : [])].join(' ')
  return restore({ folder, home, to, skip, asCopy, command, report })
}
