/** The nodes' access as a scoped resource of the API server: a node whose object is deleted is cut off. */
import * as Effect from 'effect/Effect'
import { subjectOf } from '#events/Subject.ts'
import { NodeAccess } from '#ops/nats/access.ts'
import { Held } from '#ops/nats/held.ts'
import { ensureOperatorKeys } from '#ops/nats/keys.ts'
import { ACCOUNTANT } from '#ops/nats/users.ts'
import type { Views } from '#services/platform/View.ts'
import { connection } from './connection.ts'
import { Place } from './place.ts'

const NODES = { group: '', resource: 'nodes' } as const

/**
 * What the log says last of a node is that it was deleted, after its credentials were made: one that is just joining has no object
 * either.
 */
const left = async (views: Views, node: string, since: number): Promise<boolean> => {
  if (views.get({ ...NODES, namespace: '', name: node }) !== undefined) return false
  const last = await views.of(NODES).log.lastOn(subjectOf('EVENTS', { ...NODES, namespace: '', name: node }))
  return last !== undefined && last.time > since
}

export const nodeAccess = (views: Views) =>
  Effect.gen(function* () {
    const place = yield* Place
    const nats = yield* connection(ACCOUNTANT.name)
    const access = new NodeAccess(new Held(nats), ensureOperatorKeys(place.home))
    /** One after the other, in the order they were deleted. */
    let turn: Promise<unknown> = Promise.resolve()
    const look = (name?: string): void => {
      turn = turn
        .then(async () => {
          for (const { node, since } of await access.list()) {
            // This machine's own are in its home beside the operator's key: taking them away keeps nobody out, and its node comes back.
            if ((name !== undefined && node !== name) || node === place.config.nodeName || !(await left(views, node, since))) continue
            await access.revoke(node)
            place.warn('nodes', `node ${node} was deleted: its credentials are revoked`)
          }
        })
        .catch((error: unknown) => place.warn('nodes', error))
    }
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        // Of what was deleted while nobody looked.
        look()
        return views.of(NODES).subscribe(({ type, entry }) => {
          if (type === 'DELETED' && entry.key.group === '' && entry.key.resource === 'nodes') look(entry.key.name)
        })
      }),
      (subscription) => Effect.sync(() => subscription.close())
    )
    return access
  })
