/** What a cluster serves, as a value: looked up by collection, by name, and by what an object says of itself. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Api } from '#events/Api.ts'
import { Deployment } from '#events/apps/Deployment.ts'
import { Pod } from '#events/core/pod/Pod.ts'
import { Lease } from '#events/coordination/Lease.ts'

const api = suite('the API')
const small = new Api([Pod, Lease])

api('knows a kind by its collection and by its name', () => {
  assert.is(small.kindOf({ group: '', resource: 'pods' }), Pod)
  assert.is(small.kindOf({ group: 'apps', resource: 'deployments' }), undefined)
  assert.is(small.kindNamed('', 'v1', 'Pod'), Pod)
  assert.is(small.kindNamed('', undefined, 'Pod'), Pod)
  assert.is(small.kindNamed('', 'v2', 'Pod'), undefined)
  assert.is(small.kindOfObject({ apiVersion: 'v1', kind: 'Pod' }), Pod)
  assert.is(small.kindOfObject({ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' }), Lease)
  assert.is(small.kindOfObject({ apiVersion: 'coordination.k8s.io/v2', kind: 'Lease' }), undefined)
})
api('serves what it was made of, beside another one that serves more', () => {
  const larger = new Api([...small.kinds, Deployment])
  assert.is(larger.kindOfObject({ apiVersion: 'apps/v1', kind: 'Deployment' }), Deployment)
  assert.is(small.kindOfObject({ apiVersion: 'apps/v1', kind: 'Deployment' }), undefined)
})
api('says where a collection lives and what it is found by; what is not served lives in EVENTS', () => {
  assert.is(small.streamOf(Lease), 'PULSE')
  assert.is(small.streamOf({ group: 'x', resource: 'y' }), 'EVENTS')
  assert.equal(Object.keys(small.indexesOf(Pod)), ['node'])
  assert.equal(small.indexesOf({ group: 'x', resource: 'y' }), {})
})
api.run()
