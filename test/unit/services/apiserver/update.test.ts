/** What a write of an object keeps of it, whoever sends what: owners, times, the halves that are not written. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Intent } from '#events/Intent.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { VirtualClock } from '#test/simulation/VirtualClock.ts'
import { accepted, kindFor, startTestApi, type TestApi } from '#test/support/api.ts'
import { at } from '#test/support/kinds.ts'

const as = (fieldManager: string): Pick<Intent, 'options'> => ({ options: { fieldManager } })

const about = (apiVersion: string, kind: string, name: string): Pick<Intent, 'ref' | 'version' | 'namespace' | 'name'> => {
  const { group, resource, version, namespaced } = kindFor(apiVersion, kind)
  return { ref: { group, resource }, version, namespace: namespaced ? 'default' : '', name }
}
const put = (api: TestApi, object: unknown, more: Partial<Intent> = {}) => {
  const { apiVersion, kind, metadata } = object as KubeObject
  return api.submit({ ...about(apiVersion, kind, metadata.name as string), verb: 'update', object: object as KubeObject, ...more })
}
const SERVICE = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web', namespace: 'default' },
  spec: { selector: { app: 'web' }, ports: [{ port: 80 }] }
}
const CONFIG = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', namespace: 'default' }, data: { x: '1' } }
const POD = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'default', finalizers: ['example.com/hold'] },
  spec: { containers: [{ name: 'c', image: 'i' }] }
}
const copy = <T>(value: T): T => structuredClone(value)
const ownersOf = (object: KubeObject): readonly string[] => (object.metadata.managedFields ?? []).map(({ manager }) => manager)

const update = suite('update')

update('who creates an object owns what is filled in for them, and keeps it when others send it as it was written', async () => {
  const api = await startTestApi()
  const made = accepted(await api.create(copy(SERVICE) as unknown as KubeObject, as('first')))
  const fields = made.metadata.managedFields?.[0]?.fieldsV1
  assert.ok(at(fields, 'f:spec.f:sessionAffinity') !== undefined, JSON.stringify(fields))
  const again = accepted(await put(api, copy(SERVICE), as('second')))
  assert.equal(ownersOf(again), ['first'])
  assert.equal(again.metadata.managedFields?.[0]?.fieldsV1, fields)
  assert.is(again.metadata.resourceVersion, made.metadata.resourceVersion)
})
update('who creates an object names no owners', async () => {
  const api = await startTestApi()
  const managedFields = [
    {
      manager: 'forged',
      operation: 'Apply',
      apiVersion: 'v1',
      time: '2026-01-01T00:00:00Z',
      fieldsType: 'FieldsV1',
      fieldsV1: { 'f:data': {} }
    }
  ]
  const object = { ...copy(CONFIG), metadata: { ...CONFIG.metadata, managedFields } } as unknown as KubeObject
  assert.equal(ownersOf(accepted(await api.create(object, as('first')))), ['first'])
})
update('the same sent again is no event, however much later', async () => {
  const clock = new VirtualClock(1)
  const api = await startTestApi(clock)
  const made = accepted(await api.create(copy(CONFIG) as unknown as KubeObject, as('first')))
  await clock.run(10_000)
  for (const manager of ['first', 'second'])
    assert.is(accepted(await put(api, copy(CONFIG), as(manager))).metadata.resourceVersion, made.metadata.resourceVersion)
})
update('owners alone can be taken away', async () => {
  const api = await startTestApi()
  const made = accepted(await api.create(copy(CONFIG) as unknown as KubeObject, as('first')))
  const cleared = accepted(await put(api, { ...copy(CONFIG), metadata: { ...CONFIG.metadata, managedFields: [] } }))
  assert.equal(ownersOf(cleared), [])
  assert.is.not(cleared.metadata.resourceVersion, made.metadata.resourceVersion)
})
update('when an object goes need not be sent along', async () => {
  const api = await startTestApi()
  const metadata = { ...CONFIG.metadata, finalizers: ['example.com/hold'] }
  accepted(await api.create({ ...copy(CONFIG), metadata } as unknown as KubeObject))
  accepted(await api.submit({ ...about('v1', 'ConfigMap', 'a'), verb: 'delete' }))
  const going = accepted(await put(api, { ...copy(CONFIG), metadata: { ...metadata, labels: { app: 'web' } } }))
  assert.equal(going.metadata.labels, { app: 'web' })
  assert.ok(going.metadata.deletionTimestamp)
})
update('whose a pod is, is nothing its status says', async () => {
  const api = await startTestApi()
  const owner = (name: string) => ({ apiVersion: 'apps/v1', kind: 'ReplicaSet', name, uid: `${name}-uid` })
  const metadata = { ...POD.metadata, ownerReferences: [owner('mine')] }
  accepted(await api.create({ ...copy(POD), metadata } as unknown as KubeObject))
  for (const ownerReferences of [[owner('other')], [], undefined]) {
    const object = { ...copy(POD), metadata: { ...POD.metadata, ownerReferences }, status: { phase: 'Running' } }
    const written = accepted(await put(api, JSON.parse(JSON.stringify(object)), { subresource: 'status' }))
    assert.equal(written.metadata.ownerReferences, [owner('mine')])
  }
})
update('a subresource that is no status leaves the metadata alone', async () => {
  const api = await startTestApi()
  accepted(await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team', labels: { a: 'b' } } }))
  const object = {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'team', labels: { c: 'd' }, annotations: { e: 'f' } },
    spec: { finalizers: ['kubernetes', 'example.com/x'] }
  }
  const written = accepted(await put(api, object, { subresource: 'finalize' }))
  assert.equal(at(written, 'spec.finalizers'), ['kubernetes', 'example.com/x'])
  assert.is(written.metadata.labels?.['c'], undefined)
  assert.is(written.metadata.labels?.['a'], 'b')
  assert.is(written.metadata.annotations, undefined)
})
update('a finished delete of an older kind answers the object, of a newer one that it was done', async () => {
  const api = await startTestApi()
  accepted(await api.create(copy(SERVICE) as unknown as KubeObject))
  accepted(await api.create(copy(CONFIG) as unknown as KubeObject))
  const answerTo = async (kind: string, name: string): Promise<unknown> => {
    const result = await api.submit({ ...about('v1', kind, name), verb: 'delete' })
    return result.ok ? result.object.kind : result.status.message
  }
  assert.is(await answerTo('Service', 'web'), 'Service')
  assert.is(await answerTo('ConfigMap', 'a'), 'Status')
})

const TEMPLATE = { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image: 'i' }] } }
const WORKLOAD = { selector: { matchLabels: { app: 'web' } }, template: TEMPLATE }
const CIDRS = { apiVersion: 'networking.k8s.io/v1', kind: 'ServiceCIDR', metadata: { name: 'more' }, spec: { cidrs: ['10.97.0.0/24'] } }

/** What a status write may change of the metadata, as upstream's strategies let it; the object itself may have all of it changed. */
const THROUGH_STATUS: readonly (readonly [object: object, changes: readonly ('labels' | 'annotations')[]])[] = [
  [POD, ['labels', 'annotations']],
  [{ apiVersion: 'v1', kind: 'Node', metadata: { name: 'n' } }, ['labels', 'annotations']],
  [SERVICE, ['labels', 'annotations']],
  [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', metadata: { name: 'r', namespace: 'default' }, spec: WORKLOAD }, ['labels', 'annotations']],
  [{ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'd', namespace: 'default' }, spec: WORKLOAD }, ['annotations']],
  [CIDRS, []]
]
for (const [object, changes] of THROUGH_STATUS) {
  const { apiVersion, kind, metadata } = object as KubeObject
  update(`the status of a ${kind} changes of its metadata ${changes.length === 0 ? 'nothing' : changes.join(' and ')}`, async () => {
    const api = await startTestApi()
    const before = { labels: { a: '1' }, annotations: { 'example.com/a': '1' } }
    const after = { labels: { b: '2' }, annotations: { 'example.com/b': '2' } }
    accepted(await api.create({ ...copy(object), apiVersion, kind, metadata: { ...metadata, ...before } }))
    for (const subresource of ['status', '']) {
      const stored = api.get({ apiVersion, kind, name: metadata.name as string }) as KubeObject
      const { labels, annotations } = accepted(
        await put(api, { ...copy(stored), metadata: { ...copy(stored.metadata), ...after } }, { subresource })
      ).metadata
      const changed = subresource === '' ? (['labels', 'annotations'] as const) : changes
      assert.equal({ labels, annotations }, { ...before, ...Object.fromEntries(changed.map((field) => [field, after[field]])) })
    }
  })
}

update.run()
