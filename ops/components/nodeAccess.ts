/** The nodes' access as a scoped resource of the API server: a node whose object is deleted is cut off. */
import { NODES } from '#events/collections.ts'
import * as Effect from 'effect/Effect'
import type { Subscription } from '#events/Log.ts'
import { subjectOf } from '#events/Subject.ts'
import { NodeAccess } from '#ops/nats/access.ts'
import { Held } from '#ops/nats/held.ts'
import { ensureOperatorKeys } from '#ops/nats/keys.ts'
import { ACCOUNTANT } from '#ops/nats/users.ts'
import { systemClock, type Clock, type Timer } from '#services/platform/Clock.ts'
import type { Views } from '#services/platform/Views.ts'
import { connection } from './connection.ts'
import { Place } from './place.ts'

/**
 * What the log says last of a node is that it was deleted, after its credentials were made: one that is just joining has no object
 * either.
 */
const left = async (views: Views, node: string, since: number): Promise<boolean> => {
  if (views.get({ ...NODES, namespace: '', name: node }) !== undefined) return false
  const last = await views.of(NODES).log.lastOn(subjectOf('EVENTS', { ...NODES, namespace: '', name: node }))
  return last !== undefined && last.time > since
}

/** What could not be looked at, or revoked, is tried again: who was deleted must not stay because nobody answered once. */
const AGAIN_MS = 5_000

export interface Leavers {
  readonly access: Pick<NodeAccess, 'list' | 'revoke'>
  readonly views: Views
  /**
   * This machine's: its credentials are in its home beside the operator's key. Taking them away keeps nobody out, and its node comes back.
   */
  readonly ownNode: string
  readonly clock: Clock
  readonly warn: (warning: unknown) => void
}

/** Cuts off nodes whose object is deleted, and those that were deleted while nobody looked. */
export const cutOffLeavers = ({ access, views, ownNode, clock, warn }: Leavers): Subscription => {
  /** One after the other, in the order they were deleted. */
  let turn: Promise<unknown> = Promise.resolve()
  let again: Timer | undefined
  let closed = false
  const look = (name?: string): void => {
    turn = turn
      .then(async () => {
        if (closed) return
        for (const { node, since } of await access.list()) {
          if ((name !== undefined && node !== name) || node === ownNode || !(await left(views, node, since))) continue
          await access.revoke(node)
          warn(`node ${node} was deleted: its credentials are revoked`)
        }
      })
      .catch((error: unknown) => {
        warn(error)
        if (closed) return
        again?.cancel()
        again = clock.after(AGAIN_MS, () => look())
      })
  }
  look()
  const subscription = views.of(NODES).subscribe(({ type, entry }) => {
    if (type === 'DELETED' && entry.key.group === '' && entry.key.resource === 'nodes') look(entry.key.name)
  })
  return {
    close: () => {
      closed = true
      again?.cancel()
      subscription.close()
    }
  }
}

export const nodeAccess = (views: Views) =>
  Effect.gen(function* () {
    const place = yield* Place
    const nats = yield* connection(ACCOUNTANT.name)
    const access = new NodeAccess(new Held(nats), ensureOperatorKeys(place.home))
    const warn = (warning: unknown): void => place.warn('nodes', warning)
    yield* Effect.acquireRelease(
      Effect.sync(() => cutOffLeavers({ access, views, ownNode: place.config.nodeName, clock: systemClock, warn })),
      (subscription) => Effect.sync(() => subscription.close())
    )
    return access
  })
