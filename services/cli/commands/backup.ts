/** `reckon backup`, `reckon backup verify` and `reckon restore`: what was done, and what a person has to know of it. */
import { CliError, type BackupRequest, type Environment, type RestoreRequest } from '#services/cli/Environment.ts'
import { encoded, out, table } from '#services/cli/print.ts'

type Format = 'table' | 'json' | 'yaml'

/** Progress is for people; machines read the result alone. */
const progressOf = (format: Format): ((line: string) => void) =>
  format === 'table' ? (line) => void process.stderr.write(`${line}\n`) : () => {}

const size = (bytes: number): string => (bytes < 2 ** 20 ? `${(bytes / 2 ** 10).toFixed(1)} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`)
const seconds = (milliseconds: number): string => `${(milliseconds / 1_000).toFixed(1)} s`

export const backup = async (environment: Environment['Service'], request: BackupRequest, format: Format): Promise<void> => {
  const result = await environment.backup.take(request, progressOf(format))
  if (format !== 'table') return out(encoded(result, format))
  const { folder, encrypted, taken, last, added, entries, written, total, milliseconds } = result
  out(`${folder}: the cluster as of ${taken}, resourceVersion ${last}; ${added} new events, ${entries} in all.`)
  out(`${written.files} files written (${size(written.bytes)}), ${total.files} in all (${size(total.bytes)}), in ${seconds(milliseconds)}.`)
  if (!encrypted)
    out(
      "It is not encrypted and holds the cluster's keys: who can read it is the cluster's administrator, and can read every Secret. Keep it so, or use --encrypt."
    )
}

export const verify = async (environment: Environment['Service'], request: BackupRequest, format: Format): Promise<void> => {
  const verdict = await environment.backup.verify(request, progressOf(format))
  const { folder, taken, streams, hash, problems } = verdict
  if (format !== 'table') out(encoded(verdict, format))
  else {
    out(
      table(
        ['STREAM', 'ENTRIES', 'FIRST', 'LAST', 'FILES', 'SIZE', 'NOT SEALED'],
        streams.map(({ stream, entries, first, last, files, bytes, notSealed }) => [
          stream,
          String(entries),
          String(first),
          String(last),
          String(files),
          size(bytes),
          String(notSealed)
        ])
      )
    )
    for (const problem of problems) out(problem)
    if (problems.length === 0) out(`${folder} is whole: the cluster as of ${taken}, its chain at ${hash.slice(0, 16)}.`)
    else
      out(
        'A file that was damaged can be removed: the next `reckon backup` reads what was in it from the log again, if the log still has it.'
      )
  }
  if (problems.length > 0) throw new CliError(format === 'table' ? 'error: the backup is not whole' : '')
}

export const restore = async (environment: Environment['Service'], request: RestoreRequest, format: Format): Promise<void> => {
  const result = await environment.backup.restore(request, progressOf(format))
  if (format !== 'table') return out(encoded(result, format))
  const { home, taken, upTo, leftOut, next, entries, config, milliseconds } = result
  out(
    `${home}: the cluster as of ${new Date(upTo.time).toISOString()}, resourceVersion ${upTo.sequence}; ${entries} events, from the backup of ${taken}, in ${seconds(milliseconds)}.`
  )
  if (leftOut > 0) out(`What came after that, up to ${upTo.sequence + leftOut}, is left out.`)
  out(
    `The next change gets resourceVersion ${next + (request.asCopy ? 1 : 0)} or a later one: those in between may have been given out by the lost cluster after the backup, and nobody gets one a second time. Where it may have given out more, restore again with a larger --skip.`
  )
  if (request.asCopy)
    out(
      `It is a copy: instance ${config.instance}, API port ${config.apiPort}, services ${config.serviceCIDR}. It serves the API and runs nothing; see settings.components in its config.json.`
    )
  out(`Start it with \`RECKON_HOME=${home} reckon up\`.`)
}
