/** `reckon why`: the chain of causes, from a person's command to what is there now. */
import type { Event } from '#events/Event.ts'
import { collectionOf } from '#events/Kind.ts'
import { chainTo, eventToExplain, type Chain, type Link } from '#services/historian/why.ts'
import { eventAt, eventsOf } from '#services/historian/read.ts'
import { askToFollow } from '#services/platform/jetstream/consumers.ts'
import { CliError, type Environment } from '#services/cli/Environment.ts'
import { bold, dim, encoded, out, red, short, took } from '#services/cli/print.ts'
import { objectOfWords, printedName } from '#services/cli/resources.ts'
import { factOf } from './history.ts'

export interface WhyOptions {
  readonly words: readonly string[]
  readonly namespace: string
  readonly format: 'table' | 'json' | 'yaml'
}

const PLACE = /^([A-Z]+):(\d+)$/

export const why = async (environment: Environment['Service'], { words, namespace, format }: WhyOptions): Promise<void> => {
  const connection = await environment.connect()
  let chain: Chain
  try {
    const place = PLACE.exec(words[0] ?? '')
    let last: Event | Link | undefined
    if (place !== null) last = await eventAt(connection, place[1] as string, Number(place[2]))
    else {
      const { kind, name } = objectOfWords(await environment.api(), words)
      last = eventToExplain(
        await eventsOf(connection, kind.stream, { ...collectionOf(kind), namespace: kind.namespaced ? namespace : '', name })
      )
      if (last === undefined)
        throw new CliError(
          `Error: the log has no ${printedName(kind, name)}${kind.namespaced ? ` in namespace ${namespace}` : ''}, present or past`
        )
    }
    if (last === undefined) throw new CliError(`Error: there is no event at ${words[0]}`)
    const { state } = await askToFollow(connection, 'admin', { what: 'state', part: 'EVENTS' })
    chain = await chainTo(last, (stream, sequence) => eventAt(connection, stream, sequence), state.floor)
  } finally {
    await connection.close()
  }
  if (format !== 'table')
    return out(
      encoded(
        {
          links: chain.links.map((link) => ({ ...link, object: undefined })),
          ...(chain.broken === undefined ? {} : { broken: chain.broken })
        },
        format
      )
    )
  if (chain.broken !== undefined) out(red(`(the chain begins here: ${chain.broken})`))
  for (const [at, link] of chain.links.entries()) out(lineOf(link, chain.links[at - 1], at))
}

/** One link: indented under its cause, with what the decision knew. */
export const lineOf = (link: Link, cause: Link | undefined, depth: number): string => {
  const { key, type, time, user, source, command, reasons, stream, sequence } = link
  const singular = type.split('.')[1] ?? key.resource
  const indent = depth === 0 ? '' : `${'  '.repeat(depth - 1)}└ `
  const after = cause === undefined ? '' : dim(` after ${took(Date.parse(time) - Date.parse(cause.time))}`)
  const by = command === undefined ? `${source} (${user})` : `${user} with \`${command}\``
  const lines = [
    `${indent}${dim(time)} ${bold(`${singular} ${key.name}`)} ${factOf(type)} by ${by}${after} ${dim(`${stream}:${sequence}`)}`
  ]
  if (reasons !== undefined)
    lines.push(
      `${'  '.repeat(depth)}  ${dim(
        Object.entries(reasons)
          .map(([name, value]) => `${name}: ${short(value)}`)
          .join(', ')
      )}`
    )
  return lines.join('\n')
}
