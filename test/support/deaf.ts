/** A log whose followers can be made deaf: what is written meanwhile they hear when they hear again; writes and questions go through. */
import type { Follow, Log, LogEntry } from '#events/Log.ts'

export interface Deafness {
  deaf: boolean
  /** Everything they have missed, in order. */
  hear(): void
}

export const deafness = (): Deafness & { over(log: Log): Log } => {
  const missed: (() => void)[] = []
  const self = {
    deaf: false,
    hear: (): void => {
      self.deaf = false
      for (const tell of missed.splice(0)) tell()
    },
    over: (log: Log): Log => ({
      stream: log.stream,
      append: (appends, waitMs) => log.append(appends, waitMs),
      follow: (follow: Follow) =>
        log.follow({
          ...follow,
          onEntries: (entries: readonly LogEntry[]) =>
            void (self.deaf ? missed.push(() => follow.onEntries(entries)) : follow.onEntries(entries))
        }),
      get: (sequence, subject) => log.get(sequence, subject),
      read: (range) => log.read(range),
      lastOn: (subject, upTo) => log.lastOn(subject, upTo),
      lastSequence: () => log.lastSequence(),
      state: () => log.state()
    })
  }
  return self
}
