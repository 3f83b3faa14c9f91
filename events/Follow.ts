/**
 * How a component that may not enter the log's own account comes to read it: it asks the API server for a consumer on
 * `follow.<user>`, and then only fetches from it. What a part holds is the API server's to know, not the asker's to say.
 */
import type { LogState } from './Log.ts'

/** Processes of one user that follow the same part at the same time: each has a consumer of its own, by its place among them. */
export const REPLICAS = 5

/** The consumer of a user's part, of its first process and of others; the user's permissions name it. */
export const consumerOf = (user: string, part: string, replica = 0): string => `${user}-${part}${replica === 0 ? '' : `-${replica}`}`

/** Where a cursor begins. */
export type CursorStart = { readonly at: 'start' | 'now' } | { readonly sequence: number } | { /** RFC 3339 */ readonly time: string }

export type FollowRequest =
  | { readonly what: 'state'; readonly part: string }
  /**
   * A consumer of what has a sequence ≥ from; `newest`: of each subject's last entry. `filter`: for users who may see whole streams, one
   * subject pattern.
   */
  | {
      readonly what: 'open'
      readonly part: string
      readonly from: number
      readonly newest?: true
      readonly filter?: string
      readonly replica?: number
    }
  /** A consumer that remembers what was acknowledged; without a name it is forgotten some time after its reader. */
  | {
      readonly what: 'cursor'
      readonly part: string
      readonly name?: string
      readonly start: CursorStart
      /** Begin anew. */ readonly reset?: boolean
    }
  /** Where all events of one object are, by its subject; for users who may see whole streams. */
  | { readonly what: 'places'; readonly part: string; readonly subject: string }
  | { readonly what: 'end'; readonly part: string; readonly consumer: string; readonly replica?: number }

export interface FollowAnswer {
  readonly state: LogState
  /** open, cursor: the server's description of the consumer, as its own API gives it. */
  readonly consumer?: Readonly<Record<string, unknown>>
  /** places: sequences, ascending. Absent: the index of the past does not tell, and the whole stream does. */
  readonly places?: readonly number[]
}
