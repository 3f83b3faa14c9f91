/** One collection under two names: what is written as a core/v1 Event is read, watched and changed as an events.k8s.io/v1 one, and back. */
import { documentOf, type Document } from '#test/support/kinds.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ADMIN } from '#test/support/api.ts'
import { startServed, type Served } from '#test/support/served.ts'

const events = suite('Events of two groups')
const CORE = '/api/v1/namespaces/default/events'
const NEW = '/apis/events.k8s.io/v1/namespaces/default/events'
const about = { kind: 'Pod', namespace: 'default', name: 'web', uid: 'u1', apiVersion: 'v1' }
const old = (name: string, more = {}) => ({
  apiVersion: 'v1',
  kind: 'Event',
  metadata: { name },
  involvedObject: about,
  reason: 'Started',
  message: 'it runs',
  type: 'Normal',
  source: { component: 'kubelet', host: 'n1' },
  firstTimestamp: '2026-01-01T00:00:00Z',
  lastTimestamp: '2026-01-01T00:01:00Z',
  count: 3,
  reportingComponent: 'kubelet',
  reportingInstance: 'n1',
  ...more
})
const recent = (name: string, more = {}) => ({
  apiVersion: 'events.k8s.io/v1',
  kind: 'Event',
  metadata: { name },
  eventTime: '2026-01-01T00:00:00.000001Z',
  regarding: about,
  reason: 'Pulled',
  note: 'it is here',
  type: 'Normal',
  action: 'Pulling',
  reportingController: 'example.com/agent',
  reportingInstance: 'agent-1',
  ...more
})

let served: Served
const json = async (method: string, path: string, body?: unknown, type?: string) => {
  const { code, object } = await served.server.json(method, path, body, type)
  return { code, object: object as Document }
}
events.before(async () => {
  served = await startServed(false)
})
events.after(async () => {
  const { errors } = served.server
  await served.stop()
  assert.equal(errors, [])
})

events('are told apart by group, and listed once', async () => {
  assert.is((await json('POST', CORE, old('one'))).code, 201)
  const created = await json('POST', NEW, recent('two'))
  assert.equal([created.code, created.object.apiVersion, created.object['note']], [201, 'events.k8s.io/v1', 'it is here'])
  const names = async (path: string) => (await json('GET', path)).object.items.map((event) => `${event.apiVersion} ${event.metadata.name}`)
  assert.equal(await names(CORE), ['v1 one', 'v1 two'])
  assert.equal(await names(NEW), ['events.k8s.io/v1 one', 'events.k8s.io/v1 two'])
  assert.is((await json('GET', NEW)).object.apiVersion, 'events.k8s.io/v1')
})
events("have each group's own fields", async () => {
  const { object: one } = await json('GET', `${NEW}/one`)
  assert.equal(
    [
      one['regarding'],
      one['note'],
      one['deprecatedSource'],
      one['deprecatedFirstTimestamp'],
      one['deprecatedLastTimestamp'],
      one['deprecatedCount']
    ],
    [about, 'it runs', { component: 'kubelet', host: 'n1' }, '2026-01-01T00:00:00Z', '2026-01-01T00:01:00Z', 3]
  )
  assert.equal([one['reportingController'], one['reportingInstance']], ['kubelet', 'n1'])
  const others = ['involvedObject', 'message', 'source', 'firstTimestamp', 'lastTimestamp', 'count', 'reportingComponent']
  assert.equal(
    others.filter((field) => field in one),
    []
  )
  const { object: two } = await json('GET', `${CORE}/two`)
  const words = [two['involvedObject'], two.message, two['reportingComponent'], two['eventTime'], two['action']]
  assert.equal(words, [about, 'it is here', 'example.com/agent', '2026-01-01T00:00:00.000001Z', 'Pulling'])
  const { metadata } = (await json('GET', `${CORE}/one`)).object
  assert.equal([one.metadata.uid, one.metadata.resourceVersion], [metadata.uid, metadata.resourceVersion])
})
events('are changed through either', async () => {
  const series = { count: 2, lastObservedTime: '2026-01-01T00:05:00.000000Z' }
  for (const type of ['application/merge-patch+json', 'application/strategic-merge-patch+json'])
    assert.is((await json('PATCH', `${NEW}/two`, { series }, type)).code, 200)
  assert.equal((await json('GET', `${CORE}/two`)).object['series'], series)
  assert.is((await json('PATCH', `${CORE}/one`, { count: 4 }, 'application/merge-patch+json')).object['count'], 4)
  const { object } = await json('GET', `${NEW}/one`)
  assert.is(object['deprecatedCount'], 4)
  const put = await json('PUT', `${NEW}/one`, { ...object, metadata: { ...object.metadata, labels: { a: 'b' } } })
  assert.equal([put.code, put.object.apiVersion, put.object.metadata.labels], [200, 'events.k8s.io/v1', { a: 'b' }])
  assert.is(JSON.stringify((await json('GET', `${NEW}/one`)).object), JSON.stringify(put.object), 'what was answered is what is read')
  const again = await json('PUT', `${NEW}/one`, put.object)
  assert.is(again.object.metadata.resourceVersion, put.object.metadata.resourceVersion)
  assert.is((await json('PUT', `${NEW}/one`, object)).code, 409)
})
events('are selected by the fields of the group they are asked for in', async () => {
  const names = async (path: string, selector: string) => {
    const { code, object } = await json('GET', `${path}?fieldSelector=${encodeURIComponent(selector)}`)
    return code === 200 ? object.items.map(({ metadata }) => metadata.name) : code
  }
  assert.equal(await names(NEW, 'regarding.name=web,reason=Pulled'), ['two'])
  assert.equal(await names(CORE, 'involvedObject.name=web,reason=Pulled'), ['two'])
  assert.equal(await names(NEW, 'reportingController=kubelet'), ['one'])
  assert.equal([await names(NEW, 'involvedObject.name=web'), await names(CORE, 'regarding.name=web')], [400, 400])
})
events('are printed alike', async () => {
  const accept = { headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' } }
  const rows = async (path: string) =>
    documentOf((await served.server.send({ method: 'GET', path, ...accept })).text).rows.map(({ cells }) => cells.slice(1))
  assert.equal(await rows(NEW), await rows(CORE))
  assert.match(((await rows(NEW))[1] ?? []).join(), /Normal,Pulled,pod\/web/)
})
events('are held to what each group asks', async () => {
  const causes = async (path: string, body: unknown) => {
    const { code, object } = await json('POST', path, body)
    return [code, ...(object.details?.causes ?? []).map(({ field }) => field)]
  }
  const bad = { ...recent('bad'), eventTime: undefined, deprecatedCount: 2, type: 'Odd', series: { count: 1 } }
  assert.equal(await causes(NEW, bad), [422, 'series.count', 'series.lastObservedTime', 'eventTime', 'type', 'count'])
  const empty = recent('bad', { action: '', reportingController: '' })
  assert.equal(await causes(NEW, empty), [422, 'reportingController', 'reportingController', 'reportingController', 'action'])
  assert.equal(await causes(CORE, old('bad', { involvedObject: { ...about, namespace: 'other' } })), [422, 'involvedObject.namespace'])
  const changed = await json('PATCH', `${NEW}/two`, { note: 'something else' }, 'application/merge-patch+json')
  assert.equal([changed.code, changed.object.details?.causes?.[0]?.field], [422, 'message'])
})
events('are watched in the words they are asked for in, whether listed or told', async () => {
  const told = async (path: string) => {
    const { text } = await served.server.send({ method: 'GET', path: `${path}?watch=1&timeoutSeconds=1` })
    const lines = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    return lines.map(({ type, object }) => `${type} ${object.apiVersion} ${object.metadata.name} ${object.note ?? object.message}`)
  }
  const waiting = [told(NEW), told(CORE)]
  await json('POST', NEW, recent('zebra'))
  const [fresh, core] = await Promise.all(waiting)
  const added = ['one it runs', 'two it is here', 'zebra it is here']
  assert.equal(
    fresh,
    added.map((event) => `ADDED events.k8s.io/v1 ${event}`)
  )
  assert.equal(
    core,
    added.map((event) => `ADDED v1 ${event}`)
  )
})
events('are answered again in the same words', async () => {
  const patch = { type: 'application/merge-patch+json', body: { note: 'it is here' } } as const
  const about = { ref: { group: 'events.k8s.io', resource: 'events' }, version: 'v1', namespace: 'default', name: 'two' }
  const intent = { id: 'again', verb: 'patch', ...about, source: 'test', patch } as const
  const { decider } = served.server.api
  for (let time = 0; time < 2; time++) {
    const result = await decider.submit(intent, ADMIN)
    assert.ok(result.ok && result.unchanged === true)
    assert.equal([result.object.apiVersion, JSON.parse(result.text ?? '{}').apiVersion], ['events.k8s.io/v1', 'events.k8s.io/v1'])
  }
})
events('are one in the log: a name is taken in both, and what is deleted in one is gone in the other', async () => {
  assert.is((await json('POST', NEW, recent('one'))).code, 409)
  assert.is((await json('DELETE', `${NEW}/one`)).code, 200)
  assert.is((await json('GET', `${CORE}/one`)).code, 404)
  assert.is((await json('DELETE', NEW)).code, 200)
  assert.equal((await json('GET', CORE)).object.items, [])
  assert.equal(
    [...served.server.api.views.byStream.get('NOTICES')!.objects.collections()].map(({ ref }) => ref.group),
    ['']
  )
})
events('are allowed by their own group', async () => {
  const as = { 'impersonate-user': 'bob' }
  const message = async (path: string) => JSON.parse((await served.server.send({ method: 'GET', path, headers: as })).text).message
  assert.match(await message(NEW), /^events\.events\.k8s\.io is forbidden: .* in API group "events\.k8s\.io"/)
  assert.match(await message(CORE), /^events is forbidden: .* in API group ""/)
})
events.run()
