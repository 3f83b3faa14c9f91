/** What a view is told when it is made. */
import type { KubeObject } from '#events/KubeObject.ts'
import type { LogEntry, LogState } from '#events/Log.ts'
import type { Indexing } from '#projections/Objects.ts'
import type { Integrity } from './ledger/Integrity.ts'
import type { Resumable } from './standing.ts'
import type { Vault } from './secrets/Vault.ts'

export interface ViewOptions {
  /** Says what collections are found by. */
  readonly api: Indexing
  /** Tells views of parts of one stream apart; the stream's name otherwise. */
  readonly name?: string
  /** Checks what comes; without it (for who has no key to the log) what can't be read is passed over. */
  readonly integrity?: Integrity
  /** Opens the bodies of confidential objects; without it they stay as they are stored. */
  readonly vault?: Vault
  /** Of text whose objects are held parsed as well (`projections/Parsed.ts`). */
  readonly parsedBytes?: number
  /** How many names of objects that are gone are remembered; who never writes needs none. */
  readonly names?: number
  /** What of an object is held here, where not all of it is wanted. */
  readonly narrow?: (object: KubeObject) => KubeObject
  /** Entries leave the stream by themselves, and then the view. */
  readonly expires?: boolean
  /** A keyframe to start from that is no newer than a place; undefined: there is none, or none is needed. */
  readonly keyframe?: (state: LogState, upTo: number) => Promise<Resumable | undefined>
  /** One that was of no use: the start goes on without it. */
  readonly onUnused?: (error: unknown) => void
  /** Told of entries that are passed over. */
  readonly onPassed?: (entry: LogEntry) => void
}
