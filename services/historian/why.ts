/**
 * Why something is as it is: the chain of causes from an event back to the command that began it. Pure: the caller
 * brings the events; `needs` says which one is wanted next.
 */
import type { Event } from '#events/Event.ts'

export type Link = Pick<Event, 'stream' | 'sequence' | 'key' | 'type' | 'time' | 'user' | 'source' | 'verb' | 'id' | 'correlationId'> &
  Partial<Pick<Event, 'command' | 'reasons' | 'causationId' | 'causationRef'>>

/** The causing event's place, or undefined at the root. */
const causeRef = (link: Link): { readonly stream: string; readonly sequence: number } | undefined => {
  const [stream, sequence] = link.causationRef?.split(':') ?? []
  return stream === undefined || sequence === undefined ? undefined : { stream, sequence: Number(sequence) }
}

/** Long enough for any honest chain; a longer one is a loop. */
const LONGEST = 64

export type Lookup = (stream: string, sequence: number) => Promise<Link | undefined>

export interface Chain {
  /** From the root to the event asked about. */
  readonly links: readonly Link[]
  /** Set when the chain breaks before a root: what could not be found. */
  readonly broken?: string
}

/**
 * Walks from `last` to its root. An event that is not the one its effect names is a broken chain, not a guess. `floor`: up to
 * where the history of EVENTS was compacted.
 */
export const chainTo = async (last: Link, lookUp: Lookup, floor = 0): Promise<Chain> => {
  const links: Link[] = [last]
  for (let link = last; links.length <= LONGEST;) {
    const ref = causeRef(link)
    if (ref === undefined) return { links: links.reverse() }
    const cause = await lookUp(ref.stream, ref.sequence)
    if (cause === undefined || cause.id !== link.causationId)
      return {
        links: links.reverse(),
        broken: `${ref.stream} ${ref.sequence}, the cause of ${link.type}, ${ref.stream === 'EVENTS' && ref.sequence <= floor ? 'went when history was compacted' : 'is not in the log'}`
      }
    links.push(cause)
    link = cause
  }
  return { links: links.reverse(), broken: `the chain is longer than ${LONGEST} events` }
}

/**
 * The event of an object's history that explains it: a container's last start, the last thing somebody decided, or, when
 * there was only progress, the last of that.
 */
export const eventToExplain = (history: readonly Link[]): Link | undefined =>
  history.findLast(({ type }) => /\.(started|container-restarted)\.v\d+$/.test(type)) ??
  // A container that was ready at once was never reported as only started.
  history.find(({ type }) => /^reckon\.pod\.ready\.v\d+$/.test(type)) ??
  history.findLast(({ verb }) => !verb.endsWith('/status')) ??
  history.at(-1)
