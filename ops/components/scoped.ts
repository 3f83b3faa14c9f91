/** The few shapes in which the shells' objects become scoped resources. */
import * as Effect from 'effect/Effect'
import * as Layer from 'effect/Layer'
import type * as Scope from 'effect/Scope'

/** Made and at work from here to the scope's end. */
export const running = <Value extends { stop(): void }>(begin: () => Value): Effect.Effect<Value, never, Scope.Scope> =>
  Effect.acquireRelease(Effect.sync(begin), (begun) => Effect.sync(() => begun.stop()))

/** At its end what it is at is done, but nobody waits for it longer than this. */
const ENDING = '2 seconds'

/** What is still to be done at its end; not for long, and whatever comes of it. */
export const briefly = (end: () => Promise<unknown>, limit: '2 seconds' | '3 seconds' = ENDING): Effect.Effect<void> =>
  Effect.promise(end).pipe(Effect.timeout(limit), Effect.ignore)

type Sequence<One extends Layer.Layer<never, unknown, unknown>> = Layer.Layer<never, Layer.Error<One>, Layer.Services<One>>

/**
 * One after the other; what begins first ends last. `Layer.mergeAll` begins all at once, and what nobody asks for, such as a
 * finalizer that must run first, has no dependency that would put it in its place.
 */
export const inOrder = <One extends Layer.Layer<never, unknown, unknown>>(layers: readonly One[]): Sequence<One> =>
  layers.reduce((before: Sequence<One>, next) => Layer.provideMerge(next, before) as Sequence<One>, Layer.empty as Sequence<One>)
