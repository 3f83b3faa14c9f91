/** `reckon secrets erase`: what a deleted Secret said is taken out of all of history. */
import type { Status } from '#events/Refusal.ts'
import { CliError, type Environment } from '#services/cli/Environment.ts'
import { encoded, out } from '#services/cli/print.ts'

type Format = 'table' | 'json' | 'yaml'
type Answer = { readonly erased: readonly { readonly uid: string; readonly deleted?: string }[] } | { readonly status: Status }

const ANSWER_MS = 30_000

export const erase = async (
  environment: Environment['Service'],
  names: readonly string[],
  namespace: string,
  format: Format
): Promise<void> => {
  if (names.length === 0) throw new CliError('error: name the Secrets: reckon secrets erase NAME… [-n NAMESPACE]')
  const connection = await environment.connect()
  try {
    for (const name of names) {
      const message = await connection.request('erase.admin', JSON.stringify({ namespace, name }), { timeout: ANSWER_MS })
      const answer = message.json<Answer>()
      if ('status' in answer) throw new CliError(`Error from server (${answer.status.reason}): ${answer.status.message}`)
      if (format !== 'table') out(encoded({ namespace, name, ...answer }, format))
      else
        for (const { uid, deleted } of answer.erased)
          out(
            `secret/${name} (uid ${uid}${deleted === undefined ? '' : `, deleted ${deleted}`}) erased: no version of it can be read any more, but from backups that were taken before`
          )
    }
  } finally {
    await connection.close()
  }
}
