/** What an API server and its historian's thread know together: which streams are indexed, and what they say to each other. */
import type { Damage } from '#events/Log.ts'
import type { StreamName } from '#events/Subject.ts'

/** Streams whose past is indexed, and whether entries leave them by themselves. */
export const INDEXED: readonly (readonly [StreamName, { readonly expires: boolean }])[] = [
  ['EVENTS', { expires: false }],
  ['NOTICES', { expires: true }]
]

/** What the thread tells. */
export type Told =
  | { readonly type: 'reached'; readonly stream: StreamName; readonly sequence: number; readonly file: string; readonly filled?: number }
  | { readonly type: 'damaged'; readonly stream: StreamName; readonly damage: Damage }
  | { readonly type: 'warn'; readonly message: string }

/** What it is told: an index was found to be unreadable by who reads it, in this file. */
export interface Asked {
  readonly remake: StreamName
  readonly file: string
}

/** `every`: a keyframe each so many events; absent where another process makes them. */
export interface Given {
  readonly home: string
  readonly folder: string
  readonly every?: number
}
