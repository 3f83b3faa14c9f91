/** `reckon log verify` and `reckon log quarantine`: is the log what it was, and what in it is not ours. */
import { CliError, type Environment } from '#services/cli/Environment.ts'
import { encoded, out, table } from '#services/cli/print.ts'

type Format = 'table' | 'json' | 'yaml'

/** Progress is for people; machines read the result alone. */
const progressOf = (format: Format): ((line: string) => void) =>
  format === 'table' ? (line) => void process.stderr.write(`${line}\n`) : () => {}

const ranges = (list: readonly { readonly first: number; readonly last: number }[]): string =>
  list.map(({ first, last }) => (first === last ? String(first) : `${first}-${last}`)).join(',') || '-'

export const verify = async (environment: Environment['Service'], format: Format): Promise<void> => {
  const verdicts = await environment.log.verify(progressOf(format))
  const damages = verdicts.flatMap((verdict) => verdict.damages)
  if (format !== 'table') out(encoded(verdicts, format))
  else {
    out(
      table(
        ['STREAM', 'ENTRIES', 'FIRST', 'LAST', 'NOT OURS', 'LOST', 'HASH', 'VERDICT'],
        verdicts.map(({ stream, entries, first, last, strange, losses, hash, damages: found }) => [
          stream,
          String(entries),
          String(first),
          String(last),
          String(strange.length),
          ranges(losses),
          hash === '' ? '-' : hash.slice(0, 16),
          found.length === 0 ? 'whole' : 'DAMAGED'
        ])
      )
    )
    for (const { detail } of damages) out(detail)
    if (verdicts.some(({ strange }) => strange.length > 0))
      out('Entries that are not ours are passed over by every reader; `reckon log quarantine` lists them.')
  }
  if (damages.length > 0)
    throw new CliError(format === 'table' ? 'error: the log is not what it was; `reckon up` says what can be done' : '')
}

export const quarantine = async (
  environment: Environment['Service'],
  stream: string,
  sequences: readonly number[],
  format: Format
): Promise<void> => {
  if (sequences.length > 0) return environment.log.quarantine(stream, sequences, out)
  const found = await environment.log.strange(progressOf(format))
  if (format !== 'table') return out(encoded(found, format))
  if (found.length === 0) return out('Every entry of the log is one of ours.')
  out(
    table(
      ['STREAM', 'SEQUENCE', 'STORED', 'WHY', 'PUT ASIDE', 'SUBJECT'],
      found.map((one) => [one.stream, String(one.sequence), one.stored, one.why, one.quarantined ? 'yes' : 'no', one.subject])
    )
  )
}

const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`

export const compact = async (
  environment: Environment['Service'],
  request: { readonly before: string | undefined; readonly dryRun: boolean },
  format: Format
): Promise<void> => {
  const done = await environment.log.compact(request, progressOf(format))
  if (format !== 'table') return out(encoded(done ?? { done: false }, format))
  if (done === undefined) return out('Nothing is old enough to go.')
  const { floor, time, entries, gone, goneBytes, kept, milliseconds } = done
  if (!done.done)
    return out(
      `Of ${entries} entries up to resourceVersion ${floor} (${time}), ${gone} would go (${mebibytes(goneBytes)} before compression), and ${kept} would be kept: the version each object had then.`
    )
  out(
    `History begins at resourceVersion ${floor} (${time}). ${gone} entries are gone (${mebibytes(goneBytes)} before compression), ${kept} are kept: the version each object had then. It took ${(milliseconds / 1_000).toFixed(1)} s.`
  )
}
