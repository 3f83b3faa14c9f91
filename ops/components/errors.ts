/** What a start can fail of, told apart by tag; the message is what a person reads. Made where the shells' own errors come in. */
import * as Data from 'effect/Data'
import * as Effect from 'effect/Effect'
import { LogDamaged, type Damage } from '#events/Log.ts'

interface Told {
  readonly message: string
  readonly cause?: unknown
}

/** What is configured makes no sense; the message names the field and the file, and is all there is to say. */
export class Unusable extends Data.TaggedError('Unusable')<{ readonly message: string }> {}

/** A part could not begin. */
export class NotStarted extends Data.TaggedError('NotStarted')<Told> {}

/** A part began, and can't go on. */
export class Fatal extends Data.TaggedError('Fatal')<Told> {}

/** The log is not what this home remembers of it. */
export class DamagedLog extends Data.TaggedError('DamagedLog')<Told & { readonly damages: readonly Damage[] }> {}

export type StartError = Unusable | NotStarted | DamagedLog

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** What is wrong with the log, whoever found it; other failures stay failures. */
export const damagesIn = (error: unknown): readonly Damage[] => (error instanceof LogDamaged ? [error.damage] : [])

const notStarted = (what: string) => (cause: unknown) => new NotStarted({ message: `${what}: ${messageOf(cause)}`, cause })

/** `what` begins each message: `the kubelet`. */
export const attempt = <Value>(what: string, run: () => Promise<Value>): Effect.Effect<Value, NotStarted> =>
  Effect.tryPromise({ try: run, catch: notStarted(what) })

const unread = (cause: unknown): NotStarted | DamagedLog => {
  const damages = damagesIn(cause)
  const message = messageOf(cause)
  return damages.length > 0 ? new DamagedLog({ message, damages, cause }) : new NotStarted({ message, cause })
}

/** For what reads the log, or what the home remembers of it. */
export const reading = <Value>(run: () => Promise<Value>): Effect.Effect<Value, NotStarted | DamagedLog> =>
  Effect.tryPromise({ try: run, catch: unread })

export const readingSync = <Value>(run: () => Value): Effect.Effect<Value, NotStarted | DamagedLog> =>
  Effect.try({ try: run, catch: unread })

/** For plain functions that check settings and throw. */
export const usable = <Value>(
  check: () => Value,
  told: (message: string) => string = (message) => message
): Effect.Effect<Value, Unusable> => Effect.try({ try: check, catch: (error) => new Unusable({ message: told(messageOf(error)) }) })
