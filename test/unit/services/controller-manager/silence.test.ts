/** How long a node was silent, from the times of entries alone: whose clock said what, and which API servers count. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { KubeObject } from '#events/KubeObject.ts'
import type { Entry, ObjectsView } from '#projections/Objects.ts'
import { listening, silenceOf } from '#services/controller-manager/node-lifecycle/silence.ts'

/** Milliseconds as an object says them. */
const said = (ms: number): string => new Date(ms).toISOString()
/** `written`: when, by its writer's clock; `stored`: by the log's. */
const entry = (name: string, object: object, stored: number | undefined, written: number): Entry =>
  ({
    key: { group: '', resource: '', namespace: '', name },
    object: { metadata: { name }, ...object },
    facts: { time: said(written), ...(stored === undefined ? {} : { stored }) }
  }) as unknown as Entry

const IDENTITY = { labels: { 'apiserver.kubernetes.io/identity': 'kube-apiserver' } }
const HOUR = 3_600_000
/** Clocks of others are an hour off. */
const api = (name: string, stored: number, heldFor: number, metadata: object = IDENTITY): Entry => {
  const renewed = stored + HOUR
  return entry(name, { metadata, spec: { renewTime: said(renewed), acquireTime: said(renewed - heldFor) } }, stored, renewed)
}
const view = (servers: readonly Entry[], lease?: Entry): ObjectsView =>
  ({ collection: () => ({ list: () => servers }), get: () => lease }) as unknown as ObjectsView
const node = (stored: number, status: object = {}): Entry<KubeObject> => entry('n', { status }, stored, stored + HOUR)
const ready = (status: string, at: number): object => ({ conditions: [{ type: 'Ready', status, lastHeartbeatTime: said(at) }] })
const silent = (servers: readonly Entry[], of: Entry, lease?: Entry): number => silenceOf(view(servers, lease), of as never)

const T = 10 * HOUR
const silence = suite('the silence of a node')

silence('is what lies between its Lease and what was heard last, by the log’s clock', () => {
  assert.is(silent([api('a', T, 5 * HOUR)], node(0), entry('n', {}, T - 30_000, T + 5 * HOUR)), 30_000)
  assert.is(silent([api('a', T, 5 * HOUR)], node(0), entry('n', {}, T - 30_000, 0)), 30_000)
})
silence('is told by the writer’s clock where an entry comes from no log', () => {
  assert.is(silent([api('a', T, 5 * HOUR)], node(0), entry('n', {}, undefined, T - 20_000)), 20_000)
})
silence('of one without a Lease begins with its last change', () => {
  assert.is(silent([api('a', T, 5 * HOUR)], node(T - 7_000)), 7_000)
})
silence('begins no sooner than somebody listened without a break', () => {
  assert.is(silent([api('a', T, 15_000)], node(0)), 15_000)
  assert.is(silent([api('a', T, 15_000), api('b', T - 9_000, HOUR)], node(0)), HOUR + 9_000, 'another one did')
  assert.is(silent([api('a', T, 15_000), api('b', T - 11_000, HOUR)], node(0)), 15_000, 'another one is gone')
  assert.is(silent([api('a', T, -HOUR)], node(0)), 0, 'a clock that was set back')
})
silence('is none where nobody listens', () => {
  assert.is(silent([], node(0)), 0)
  assert.is(silent([api('a', T, HOUR, {})], node(0)), 0, 'a Lease of somebody else')
  assert.is(listening(view([api('a', T, HOUR, { labels: { app: 'web' } })])), undefined)
})
silence('ends with a status that says that the node is there, as long before its change as its writer says', () => {
  const [stored, written] = [T - 5_000, T - 5_000 + HOUR]
  const lease = entry('n', {}, T - 60_000, 0)
  const silentAfter = (status: object): number => silent([api('a', T, 5 * HOUR)], node(stored, status), lease)
  assert.is(silentAfter(ready('True', written)), 5_000)
  assert.is(silentAfter(ready('False', written - 2_000)), 7_000)
  assert.is(silentAfter(ready('True', written + 2 * HOUR)), 5_000, 'never later than it was stored')
  assert.is(silentAfter(ready('Unknown', written)), 60_000, 'that is not its own word')
  assert.is(silentAfter({}), 60_000)
})

silence.run()
