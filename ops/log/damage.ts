/** What a person is told of a damaged log: what was, what is, where the files are, and the ways on. */
import { existsSync } from 'node:fs'
import type { Damage } from '#events/Log.ts'
import { asideFolder, keepCopy } from '#ops/nats/store.ts'
import { ledgerFolder } from '#ops/nats/streams.ts'
import { textOfRanges } from '#services/platform/jetstream/metadata.ts'
import { readRecord, writeRecord } from '#services/platform/ledger/FileLedger.ts'

/** Damage found at work is still there at the next start, whatever the log then says of itself. */
export const rememberDamage = (home: string, damages: readonly Damage[]): void => {
  if (damages.length > 0) keepCopy(home, new Date())
  for (const damage of damages) {
    const record = readRecord(ledgerFolder(home), damage.stream)
    if (record !== undefined && record.damage === undefined) writeRecord(ledgerFolder(home), damage.stream, { ...record, damage })
  }
}

/** One line a damage: `EVENTS: it ends at 1528, but 3051 events were acknowledged (missing: 1529-3051)`. */
export const damageLines = (damages: readonly Damage[]): string[] =>
  damages.map(
    ({ detail, ranges, kind }) => `${detail}${ranges.length === 0 || kind === 'altered' ? '' : ` (missing: ${textOfRanges(ranges)})`}`
  )

/** The ways on, each with what it does. */
export const waysOn = (home: string): string[] => [
  'Nothing is written until you choose; containers go on as they are. The ways on:',
  '  reckon restore FOLDER       brings a backup back into an empty home (RECKON_HOME), with its history up to the backup;',
  '                              this home stays as it is, for a closer look',
  '  reckon up --accept-loss     goes on with the events that are left. Objects are as their last event that is left says;',
  '                              what was lost is written down, and no resourceVersion is given out again',
  '  reckon log verify           reads the whole log and says what is missing or changed; takes this back if nothing is',
  ...(existsSync(asideFolder(home)) ? [`Copies of files as they were found: ${asideFolder(home)}`] : [])
]
