/** `reckon node credentials`: who may come in as a node. */
import { writeFileSync } from 'node:fs'
import { CliError, type Environment } from '#services/cli/Environment.ts'
import { encoded, out, table } from '#services/cli/print.ts'

const told = async <Value>(work: () => Promise<Value>): Promise<Value> => {
  try {
    return await work()
  } catch (error) {
    throw new CliError(`error: ${(error as Error).message}`)
  }
}

/** They are secret: in a file for its owner only, or where the person has them go. */
export const create = async ({ nodes }: Environment['Service'], node: string, file: string | undefined): Promise<void> => {
  const bundle = await told(() => nodes.create(node))
  const text = encoded(bundle, 'json')
  if (file === undefined) return out(text)
  try {
    writeFileSync(file, `${text}\n`, { mode: 0o600, flag: 'wx' })
  } catch (error) {
    // Nobody has them, so nobody should come in by them.
    await nodes.revoke(node)
    throw new CliError(`error: ${(error as Error).message}; the credentials are revoked again`)
  }
  out(`${file}: the credentials of node ${node}. Who has them is that node: keep them secret until they are where they belong.`)
}

export const revoke = async ({ nodes }: Environment['Service'], node: string): Promise<void> => {
  if (!(await told(() => nodes.revoke(node)))) throw new CliError(`error: node "${node}" has no credentials`)
  out(`node "${node}" is cut off`)
}

export const list = async ({ nodes }: Environment['Service'], format: 'table' | 'json' | 'yaml'): Promise<void> => {
  const found = (await told(() => nodes.list())).map(({ node, since }) => ({ node, since: new Date(since).toISOString() }))
  out(
    format === 'table'
      ? table(
          ['NODE', 'SINCE'],
          found.map(({ node, since }) => [node, since])
        )
      : encoded(found, format)
  )
}
