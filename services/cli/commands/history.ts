/** `reckon history`: each change of an object, who made it, when, and what it changed. */
import type { Event } from '#events/Event.ts'
import { collectionOf } from '#events/Kind.ts'
import { diffObjects, type FieldChange } from '#services/historian/diff.ts'
import { eventsOf } from '#services/historian/read.ts'
import { askToFollow } from '#services/platform/jetstream/consumers.ts'
import { CliError, type Environment } from '#services/cli/Environment.ts'
import { dim, encoded, err, out, short, table } from '#services/cli/print.ts'
import { objectOfWords, printedName } from '#services/cli/resources.ts'

export interface HistoryOptions {
  readonly words: readonly string[]
  readonly namespace: string
  readonly limit: number
  readonly format: 'table' | 'json' | 'yaml'
}

/** `spec.replicas: 2 → 3` */
export const changeText = (change: FieldChange): string => {
  if (!('before' in change)) return `${change.path}: ${short(change.after, 60)}`
  if (!('after' in change)) return `${change.path} removed`
  return `${change.path}: ${short(change.before, 40)} → ${short(change.after, 40)}`
}

/** `reckon.deployment.scaled.v1` → `scaled` */
export const factOf = (type: string): string => type.split('.').slice(2, -1).join('.') || type

const FEW = 3

export const history = async (environment: Environment['Service'], { words, namespace, limit, format }: HistoryOptions): Promise<void> => {
  const { kind, name } = objectOfWords(await environment.api(), words)
  const connection = await environment.connect()
  let events: readonly Event[]
  let floor: number
  try {
    ;({ floor } = (await askToFollow(connection, 'admin', { what: 'state', part: kind.stream })).state)
    events = await eventsOf(connection, kind.stream, { ...collectionOf(kind), namespace: kind.namespaced ? namespace : '', name })
  } finally {
    await connection.close()
  }
  if (events.length === 0)
    throw new CliError(
      `Error: the log has no ${printedName(kind, name)}${kind.namespaced ? ` in namespace ${namespace}` : ''}, present or past`
    )
  const rows = events.map((event, at) => {
    const before = events[at - 1]
    const fresh = before === undefined || before.deleted
    return { event, changes: event.deleted ? [] : diffObjects(fresh ? undefined : before.object, event.object), fresh }
  })
  const shown = limit > 0 ? rows.slice(-limit) : rows
  if (format !== 'table')
    return out(
      encoded(
        shown.map(({ event: { object: _, reasons, ...facts }, changes }) => ({
          ...facts,
          ...(reasons === undefined ? {} : { reasons }),
          changes
        })),
        format
      )
    )
  out(
    table(
      ['SEQUENCE', 'TIME', 'WHO', 'HOW', 'WHAT'],
      shown.map(({ event, changes, fresh }) => {
        const few = fresh ? [] : changes.slice(0, FEW).map(changeText)
        const more = changes.length - FEW
        return [
          String(event.sequence),
          event.time,
          event.user,
          event.command ?? event.source,
          [factOf(event.type), ...few, ...(!fresh && more > 0 ? [`and ${more} more`] : [])].join('; ')
        ]
      })
    )
  )
  if ((events[0]?.sequence ?? 0) <= floor)
    err(dim(`(history up to ${floor} was compacted: of what was before, the first line is what was kept)`))
}
