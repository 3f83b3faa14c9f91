/** `reckon get`: the server's tables, at present or at any moment. */
import type { Status } from '#events/Refusal.ts'
import { CliError, type Environment } from '#services/cli/Environment.ts'
import { encoded, out, table, type Format } from '#services/cli/print.ts'
import { kindOfWord, pathOf, printedName } from '#services/cli/resources.ts'

export interface GetOptions {
  readonly words: readonly string[]
  readonly namespace: string
  readonly all: boolean
  readonly selector: string | undefined
  readonly format: Format
  readonly at: string | undefined
}

interface Table {
  readonly columnDefinitions: readonly { readonly name: string; readonly priority: number }[]
  readonly rows: readonly {
    readonly cells: readonly (string | number)[]
    readonly object?: { readonly metadata: { readonly name: string; readonly namespace?: string } }
  }[]
}

const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json'

export const get = async (
  environment: Environment['Service'],
  { words, namespace, all, selector, format, at }: GetOptions
): Promise<void> => {
  const [first = '', ...rest] = words
  const [word, ofWord] = first.includes('/')
    ? [first.slice(0, first.indexOf('/')), first.slice(first.indexOf('/') + 1)]
    : [first, undefined]
  const kind = kindOfWord(await environment.api(at), word)
  const names = [...(ofWord === undefined ? [] : [ofWord]), ...rest]
  const scope = all ? undefined : namespace
  const query = selector === undefined ? '' : `?labelSelector=${encodeURIComponent(selector)}`
  const asTable = format === 'table' || format === 'wide'
  const found: unknown[] = []
  const tables: Table[] = []
  for (const name of names.length === 0 ? [''] : names) {
    const { status, body } = await environment.read(`${pathOf(kind, scope, name)}${name === '' ? query : ''}`, {
      accept: asTable ? TABLE : 'application/json',
      ...(at === undefined ? {} : { moment: at })
    })
    const value = JSON.parse(body) as Status & Table & { items?: unknown[] }
    if (status !== 200) throw new CliError(`Error from server (${value.reason ?? status}): ${value.message ?? body}`)
    if (asTable) tables.push(value)
    else found.push(...(name === '' ? (value.items ?? []) : [value]))
  }
  if (!asTable) {
    if (format === 'name')
      return out((found as { metadata: { name: string } }[]).map(({ metadata }) => printedName(kind, metadata.name)).join('\n'))
    return out(encoded(found.length === 1 && names.length === 1 ? found[0] : { apiVersion: 'v1', kind: 'List', items: found }, format))
  }
  const columns = tables[0]?.columnDefinitions ?? []
  const shown = columns.map((column, index) => ({ ...column, index })).filter(({ priority }) => format === 'wide' || priority === 0)
  const rows = tables.flatMap((one) => one.rows)
  if (rows.length === 0)
    return void process.stderr.write(all || !kind.namespaced ? 'No resources found\n' : `No resources found in ${namespace} namespace.\n`)
  const withNamespace = all && kind.namespaced
  out(
    table(
      [...(withNamespace ? ['NAMESPACE'] : []), ...shown.map(({ name }) => name.toUpperCase())],
      rows.map(({ cells, object }) => [
        ...(withNamespace ? [object?.metadata.namespace ?? ''] : []),
        ...shown.map(({ index }) => String(cells[index] ?? ''))
      ])
    )
  )
}
