/** What a process keeps of an event for as long as its object lives: what was said of reasons stays in the log. */
import type { Event } from '#events/Event.ts'

type Facts = Omit<Event, 'object'>

/** Values that many events share: there are some hundred. */
const shared = new Map<string, string>()
const MOST_SHARED = 4_096

const share = (value: string): string => {
  const known = shared.get(value)
  if (known !== undefined) return known
  if (shared.size >= MOST_SHARED) shared.clear()
  shared.set(value, value)
  return value
}

/**
 * The facts without reasons and command, in strings of their own: those that were cut from a message's headers keep all of the
 * headers in memory, three times what is wanted of them.
 */
export const leanFacts = ({ reasons: _, command: __, ...facts }: Facts): Facts => {
  const own = JSON.parse(JSON.stringify(facts)) as Facts
  const { group, resource, namespace, name } = own.key
  return {
    ...own,
    key: { group: share(group), resource: share(resource), namespace: share(namespace), name },
    type: share(own.type),
    source: share(own.source),
    user: share(own.user),
    verb: share(own.verb)
  }
}
