/** The decider, given a cluster's state, when an intent comes, then an event or a refusal in Kubernetes' words. */
import { at } from '#test/support/kinds.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Intent } from '#events/Intent.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { encodeEvent } from '#events/Event.ts'
import { LogDamaged, type Append } from '#events/Log.ts'
import { subjectOf } from '#events/Subject.ts'
import { madeUpNames } from '#services/apiserver/MadeUpNames.ts'
import { ApiDecider } from '#services/apiserver/Decider.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { accepted, ADMIN, refused, startTestApi, type TestApi } from '#test/support/api.ts'
import { builtIns } from '#test/support/builtIns.ts'

const CONFIGMAPS = { group: '', resource: 'configmaps' }
const PODS = { group: '', resource: 'pods' }
const DEPLOYMENTS = { group: 'apps', resource: 'deployments' }
const SERVICES = { group: '', resource: 'services' }
const NAMESPACES = { group: '', resource: 'namespaces' }

const configMap = (name: string, data: Record<string, string> = { key: 'value' }): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  data
})
const pod = (name: string, spec: Record<string, unknown> = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, labels: { app: 'web' } },
  spec: { containers: [{ name: 'web', image: 'web:1' }], ...spec }
})
const deployment = (name: string, replicas = 3): KubeObject => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name },
  spec: {
    replicas,
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'web', image: 'web:1' }] } }
  }
})

const create = suite('create')
let api: TestApi
create.before(async () => {
  api = await startTestApi()
})

create('stores the object with what only the server knows', async () => {
  const object = accepted(await api.create(configMap('a')))
  assert.match(object.metadata.uid ?? '', /^[0-9a-f-]{36}$/)
  assert.match(object.metadata.creationTimestamp ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
  assert.is(object.metadata.namespace, 'default')
  assert.is(object.metadata.resourceVersion, String(await api.logs.EVENTS.lastSequence()))
  assert.equal(api.get({ apiVersion: 'v1', kind: 'ConfigMap', name: 'a' }), object)
})
create('records who, what and the command in the event', async () => {
  accepted(await api.create(configMap('facts'), { id: 'intent-1', source: 'kubectl', command: 'kubectl create' }))
  const entry = await api.logs.EVENTS.lastOn('ev.core.configmaps.default.facts')
  assert.is(entry?.headers['ce-id'], 'intent-1')
  assert.is(entry?.headers['ce-type'], 'reckon.configmap.created.v1')
  assert.is(entry?.headers['ce-authid'], 'kubernetes-admin')
  assert.is(entry?.headers['reckon-command'], 'kubectl create')
  assert.is(entry?.headers['ce-correlationid'], 'intent-1')
  assert.not.ok(entry?.text.includes('resourceVersion'))
})
create('refuses a second object of the name', async () => {
  assert.is(refused(await api.create(configMap('a'))), '409 AlreadyExists: configmaps "a" already exists')
})
create('refuses a bad name, a missing namespace, a wrong kind and an unknown field when strict', async () => {
  assert.match(
    refused(await api.create(configMap('Bad_Name'))),
    /^422 Invalid: ConfigMap "Bad_Name" is invalid: metadata.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain must consist of/
  )
  assert.is(refused(await api.create(configMap('x'), { namespace: 'nowhere' })), '404 NotFound: namespaces "nowhere" not found')
  assert.match(refused(await api.create({ ...pod('x'), kind: 'Pod' }, { ref: CONFIGMAPS })), /^400 BadRequest/)
  assert.is(
    refused(await api.create({ ...configMap('x'), dataa: {} }, { options: { fieldValidation: 'Strict' } })),
    '400 BadRequest: ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "dataa"'
  )
})
create('warns of unknown fields when asked to', async () => {
  const result = await api.create({ ...configMap('warned'), dataa: {} }, { options: { fieldValidation: 'Warn' } })
  assert.ok(result.ok)
  assert.equal(result.warnings, ['unknown field "dataa"'])
})
create('makes nothing of a request for a stream or a token', async () => {
  const before = await api.logs.EVENTS.lastSequence()
  for (const subresource of ['exec', 'attach'])
    assert.is(refused(await api.create(pod('sneaky'), { subresource })), '400 BadRequest: Upgrade request required')
  assert.match(
    refused(await api.create({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'sneaky' } }, { subresource: 'token' })),
    /^405 MethodNotAllowed/
  )
  assert.is(await api.logs.EVENTS.lastSequence(), before)
})
create('stores nothing in a dry run', async () => {
  const before = await api.logs.EVENTS.lastSequence()
  const object = accepted(await api.create(configMap('dry'), { options: { dryRun: true } }))
  assert.is(object.metadata.name, 'dry')
  assert.is(await api.logs.EVENTS.lastSequence(), before)
})
create('generates names', async () => {
  const { name: _, ...metadata } = pod('x').metadata
  const object = accepted(await api.create({ ...pod('x'), metadata: { ...metadata, generateName: 'web-' } }))
  assert.match(object.metadata.name ?? '', /^web-[bcdfghjklmnpqrstvwxz2456789]{5}$/)
})
create('generates another name while the one it made is taken, eight times at most', async () => {
  const intent = (id: string) =>
    ({
      id,
      verb: 'create',
      ref: { group: '', resource: 'configmaps' },
      version: 'v1',
      namespace: 'default',
      name: '',
      object: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { generateName: 'taken-' } },
      source: 'test'
    }) as Intent
  const names = (madeUpNames(builtIns, intent('seven'), ADMIN) ?? []).map(({ name }) => name)
  assert.is(new Set(names).size, 8)
  for (const name of names.slice(0, 7)) accepted(await api.create(configMap(name)))
  assert.is(accepted(await api.submit(intent('seven'))).metadata.name, names[7])
  for (const { name } of madeUpNames(builtIns, intent('all'), ADMIN) ?? []) accepted(await api.create(configMap(name)))
  assert.match(refused(await api.submit(intent('all'))), /^409 AlreadyExists: configmaps "taken-/)
})
create('decides an intent that is delivered twice once', async () => {
  const [first, second] = await Promise.all([
    api.create(configMap('twice'), { id: 'same' }),
    api.create(configMap('twice'), { id: 'same' })
  ])
  assert.equal(first, second)
  assert.ok(first.ok)
})
create('gives a service an address and a node port, each once', async () => {
  const service = (name: string, spec: Record<string, unknown> = {}): KubeObject => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name },
    spec: { type: 'NodePort', selector: { app: 'web' }, ports: [{ port: 80 }], ...spec }
  })
  const made = await Promise.all(Array.from({ length: 40 }, (_, n) => api.create(service(`s${n}`))))
  const specs = made.map((result) => accepted(result)['spec'] as { clusterIP: string; ports: { nodePort: number }[] })
  assert.is(new Set(specs.map(({ clusterIP }) => clusterIP)).size, 40)
  assert.is(new Set(specs.map(({ ports }) => ports[0]?.nodePort)).size, 40)
  assert.match(refused(await api.create(service('taken', { clusterIP: specs[0]?.clusterIP }))), /provided IP is already allocated/)
  assert.match(
    refused(await api.create(service('port', { ports: [{ port: 80, nodePort: 80 }] }))),
    /provided port is not in the valid range. The range of valid ports is 30000-32767/
  )
})
create('mounts the service account token, and refuses an account that is not there', async () => {
  const object = accepted(await api.create(pod('tokened')))
  assert.ok((at(object, 'spec.volumes') as { name: string }[]).some(({ name }) => name.startsWith('kube-api-access-')))
  assert.match(
    refused(await api.create(pod('nobody', { serviceAccountName: 'ghost' }))),
    /error looking up service account default\/ghost: serviceaccount "ghost" not found/
  )
})
create('refuses what no rule allows', async () => {
  assert.is(
    refused(await api.create(configMap('mine'), {}, { username: 'bob', groups: ['system:authenticated'] })),
    '403 Forbidden: configmaps "mine" is forbidden: User "bob" cannot create resource "configmaps" in API group "" in the namespace "default"'
  )
})
create('makes anew what was deleted so long ago that its name is forgotten, and answers again for what was made then', async () => {
  const own = await startTestApi()
  const first = { id: 'long-ago' }
  const made = accepted(await own.create(configMap('old'), first))
  accepted(await own.submit({ verb: 'delete', ref: CONFIGMAPS, namespace: 'default', name: 'old' }))
  const key = { ...CONFIGMAPS, namespace: 'default', name: 'old' }
  const { objects } = own.views.of(CONFIGMAPS)
  const deleted = objects.head(key)
  assert.ok(deleted > 0)
  // More deletions than are remembered.
  const gone = (n: number): Append => {
    const name = `gone-${n}`
    const podKey = { ...PODS, namespace: 'default', name }
    const facts = {
      id: name,
      type: 'reckon.pod.deleted.v1',
      source: 'test',
      time: '2026-01-01T00:00:00.000Z',
      user: 'test',
      correlationId: name,
      verb: 'delete'
    }
    return {
      subject: subjectOf('EVENTS', podKey),
      ...encodeEvent({ ...facts, stream: 'EVENTS', key: podKey, deleted: true, expected: 0, object: pod(name) }),
      expected: 0
    }
  }
  for (let n = 0; n < 17_000; n += 500) assert.ok((await own.logs.EVENTS.append(Array.from({ length: 500 }, (_, at) => gone(n + at)))).ok)
  await own.views.of(PODS).waitFor(await own.logs.EVENTS.lastSequence())
  assert.is(objects.head(key), 0)
  assert.is(
    accepted(await own.create(configMap('old'), { ...first, again: true })).metadata.uid,
    made.metadata.uid,
    'the intent was decided a second time'
  )
  assert.is(own.get({ apiVersion: 'v1', kind: 'ConfigMap', name: 'old' }), undefined)
  const anew = accepted(await own.create(configMap('old')))
  assert.is.not(anew.metadata.uid, made.metadata.uid)
  // The new one follows on the deletion, as if the name had never been forgotten.
  assert.is((await own.logs.EVENTS.lastOn(subjectOf('EVENTS', key)))?.headers['Nats-Expected-Last-Subject-Sequence'], String(deleted))
})
create.run()

const change = suite('update, patch and delete')
change.before(async () => {
  api = await startTestApi()
  accepted(await api.create(configMap('a')))
  accepted(await api.create(deployment('web')))
})
const patch = (ref: typeof PODS, name: string, type: string, body: unknown, more: Record<string, unknown> = {}) =>
  api.submit({ verb: 'patch', ref, namespace: 'default', name, patch: { type: type as 'application/merge-patch+json', body }, ...more })

change('bumps the generation when the spec changes, and only then', async () => {
  const scaled = accepted(await patch(DEPLOYMENTS, 'web', 'application/merge-patch+json', { spec: { replicas: 5 } }))
  assert.is(scaled.metadata.generation, 2)
  const labelled = accepted(await patch(DEPLOYMENTS, 'web', 'application/merge-patch+json', { metadata: { labels: { a: 'b' } } }))
  assert.is(labelled.metadata.generation, 2)
})
change('makes no event of a write that changes nothing', async () => {
  const before = await api.logs.EVENTS.lastSequence()
  const result = await patch(DEPLOYMENTS, 'web', 'application/merge-patch+json', { spec: { replicas: 5 } })
  assert.ok(result.ok)
  assert.is(await api.logs.EVENTS.lastSequence(), before)
})
change('refuses a stale resourceVersion', async () => {
  assert.is(
    refused(
      await api.submit({
        verb: 'update',
        ref: CONFIGMAPS,
        namespace: 'default',
        name: 'a',
        object: { ...configMap('a', { key: 'new' }), metadata: { name: 'a', resourceVersion: '1' } }
      })
    ),
    '409 Conflict: Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply your changes to the latest version and try again'
  )
})
change('patches strategically: containers by name', async () => {
  const object = accepted(
    await patch(DEPLOYMENTS, 'web', 'application/strategic-merge-patch+json', {
      spec: {
        template: {
          spec: {
            containers: [
              { name: 'web', image: 'web:2' },
              { name: 'side', image: 'side:1' }
            ]
          }
        }
      }
    })
  )
  const containers = at(object, 'spec.template.spec.containers') as { name: string; image: string; imagePullPolicy: string }[]
  assert.equal(
    containers.map(({ name, image }) => `${name}=${image}`),
    ['web=web:2', 'side=side:1']
  )
  assert.is(containers[1]?.imagePullPolicy, 'IfNotPresent')
})
change('patches by JSON patch, and refuses a failed test', async () => {
  const object = accepted(
    await patch(DEPLOYMENTS, 'web', 'application/json-patch+json', [{ op: 'replace', path: '/spec/replicas', value: 1 }])
  )
  assert.is(at(object, 'spec.replicas'), 1)
  assert.match(
    refused(await patch(DEPLOYMENTS, 'web', 'application/json-patch+json', [{ op: 'test', path: '/spec/replicas', value: 9 }])),
    /^422 Invalid/
  )
  assert.match(refused(await patch(DEPLOYMENTS, 'web', 'application/json-patch+json', { not: 'an array' })), /^400 BadRequest/)
})
change('refuses a JSON patch whose copies double', async () => {
  const doubling = Array.from({ length: 40 }, (_, n) => ({ op: 'copy', from: '/data', path: `/data/x${n}` }))
  assert.match(
    refused(await patch(CONFIGMAPS, 'a', 'application/json-patch+json', doubling)),
    /^422 Invalid: the JSON patch copies more than \d+ bytes/
  )
})
change('refuses changes of what may not change', async () => {
  assert.match(
    refused(await patch(DEPLOYMENTS, 'web', 'application/merge-patch+json', { spec: { selector: { matchLabels: { app: 'other' } } } })),
    /^422 Invalid: Deployment.apps "web" is invalid: .*field is immutable/
  )
})
change('decides concurrent patches of one object one after another: none is lost', async () => {
  const results = await Promise.all(
    Array.from({ length: 50 }, (_, n) => patch(CONFIGMAPS, 'a', 'application/merge-patch+json', { data: { [`k${n}`]: 'x' } }))
  )
  for (const result of results) accepted(result)
  assert.is(Object.keys(api.get({ apiVersion: 'v1', kind: 'ConfigMap', name: 'a' })?.data ?? {}).length, 51)
})
change('applies server side: owns fields, refuses others, drops what is left out', async () => {
  const apply = (manager: string, body: unknown, force = false) =>
    patch(CONFIGMAPS, 'applied', 'application/apply-patch+yaml', body, { options: { fieldManager: manager, force } })
  const created = await apply('one', { ...configMap('applied', { a: '1', b: '1' }) })
  assert.is(created.ok && created.code, 201)
  assert.match(
    refused(await apply('two', configMap('applied', { a: '2' }))),
    /^409 Conflict: Apply failed with 1 conflict: conflict with "one": .data.a$/
  )
  accepted(await apply('two', configMap('applied', { a: '2', c: '2' }), true))
  const after = accepted(await apply('one', configMap('applied', {})))
  assert.equal(after['data'], { a: '2', c: '2' })
  const again = await apply('two', configMap('applied', { a: '2', c: '2' }))
  assert.is(again.ok && again.object.metadata.resourceVersion, after.metadata.resourceVersion)
})
change('deletes at once what nothing holds, and keeps the last state in the log', async () => {
  accepted(await api.create(configMap('gone', { last: 'words' })))
  const result = accepted(await api.submit({ verb: 'delete', ref: CONFIGMAPS, namespace: 'default', name: 'gone' }))
  assert.is(result.kind, 'Status')
  const entry = await api.logs.EVENTS.lastOn('ev.core.configmaps.default.gone')
  assert.is(entry?.headers['reckon-deleted'], 'true')
  assert.match(entry?.text ?? '', /last/)
  assert.is(
    refused(await api.submit({ verb: 'delete', ref: CONFIGMAPS, namespace: 'default', name: 'gone' })),
    '404 NotFound: configmaps "gone" not found'
  )
  accepted(await api.create(configMap('gone')))
})
change('waits for finalizers', async () => {
  accepted(await api.create({ ...configMap('held'), metadata: { name: 'held', finalizers: ['example.com/hold'] } }))
  const waiting = accepted(await api.submit({ verb: 'delete', ref: CONFIGMAPS, namespace: 'default', name: 'held' }))
  assert.ok(waiting.metadata.deletionTimestamp)
  accepted(await patch(CONFIGMAPS, 'held', 'application/merge-patch+json', { metadata: { finalizers: null } }))
  assert.is(api.get({ apiVersion: 'v1', kind: 'ConfigMap', name: 'held' }), undefined)
})
change('gives a running pod its grace period, and a pod without a node none', async () => {
  accepted(await api.create(pod('p')))
  accepted(
    await api.submit({
      verb: 'create',
      ref: PODS,
      namespace: 'default',
      name: 'p',
      subresource: 'binding',
      object: { apiVersion: 'v1', kind: 'Binding', metadata: { name: 'p' }, target: { kind: 'Node', name: 'n1' } } as unknown as KubeObject
    })
  )
  assert.match(
    refused(
      await api.submit({
        verb: 'create',
        ref: PODS,
        namespace: 'default',
        name: 'p',
        subresource: 'binding',
        object: {
          apiVersion: 'v1',
          kind: 'Binding',
          metadata: { name: 'p' },
          target: { kind: 'Node', name: 'n2' }
        } as unknown as KubeObject
      })
    ),
    /^409 Conflict: .*already assigned to node "n1"/
  )
  const deleting = accepted(await api.submit({ verb: 'delete', ref: PODS, namespace: 'default', name: 'p' }))
  assert.is(deleting.metadata.deletionGracePeriodSeconds, 30)
  accepted(await api.submit({ verb: 'delete', ref: PODS, namespace: 'default', name: 'p', deleteOptions: { gracePeriodSeconds: 0 } }))
  assert.is(api.get({ apiVersion: 'v1', kind: 'Pod', name: 'p' }), undefined)
  accepted(await api.create(pod('q')))
  accepted(await api.submit({ verb: 'delete', ref: PODS, namespace: 'default', name: 'q' }))
  assert.is(api.get({ apiVersion: 'v1', kind: 'Pod', name: 'q' }), undefined)
})
change('scales through the scale subresource', async () => {
  const scale = accepted(
    await patch(DEPLOYMENTS, 'web', 'application/merge-patch+json', { spec: { replicas: 7 } }, { subresource: 'scale' })
  )
  assert.is(scale.kind, 'Scale')
  assert.is(api.get({ apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' })?.['spec'].replicas, 7)
})
change('keeps namespaces until they are finalized, and refuses new content meanwhile', async () => {
  accepted(await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team' } }))
  assert.match(
    refused(await api.submit({ verb: 'delete', ref: NAMESPACES, name: 'default' })),
    /^403 Forbidden: namespaces "default" is forbidden: this namespace may not be deleted/
  )
  const terminating = accepted(await api.submit({ verb: 'delete', ref: NAMESPACES, name: 'team' }))
  assert.is(at(terminating, 'status.phase'), 'Terminating')
  assert.match(refused(await api.create({ ...configMap('late'), metadata: { name: 'late', namespace: 'team' } })), /being terminated/)
  accepted(
    await api.submit({
      verb: 'update',
      ref: NAMESPACES,
      name: 'team',
      subresource: 'finalize',
      object: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team' }, spec: { finalizers: [] } } as unknown as KubeObject
    })
  )
  assert.is(api.get({ apiVersion: 'v1', kind: 'Namespace', name: 'team' }), undefined)
})
change('keeps services addresses over updates', async () => {
  const made = accepted(
    await api.create({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'svc' },
      spec: { selector: { app: 'web' }, ports: [{ port: 80 }] }
    })
  )
  const updated = accepted(
    await api.submit({
      verb: 'update',
      ref: SERVICES,
      namespace: 'default',
      name: 'svc',
      object: { apiVersion: 'v1', kind: 'Service', metadata: { name: 'svc' }, spec: { selector: { app: 'web' }, ports: [{ port: 81 }] } }
    })
  )
  assert.is(at(updated, 'spec.clusterIP'), at(made, 'spec.clusterIP'))
  assert.is(at(updated, 'spec.ports.0.port'), 81)
})
change.run()

const compacted = suite('after history was compacted')
/** x: changed before; gone: deleted before; the API server has heard of the floor, not of what it means for subjects. */
const compactedApi = async (): Promise<{ api: TestApi; floor: number }> => {
  const api = await startTestApi()
  accepted(await api.create(configMap('x')))
  accepted(await api.create(configMap('gone')))
  assert.ok((await api.submit({ verb: 'delete', ref: CONFIGMAPS, namespace: 'default', name: 'gone' })).ok)
  accepted(await api.create(configMap('y')))
  const floor = await api.logs.EVENTS.lastSequence()
  accepted(await api.create(configMap('behind')))
  api.logs.EVENTS.raiseFloor(floor)
  await api.views.of(CONFIGMAPS).look()
  api.logs.EVENTS.compact()
  return { api, floor }
}
const patched = (api: TestApi, name: string, value: string, more: Record<string, unknown> = {}) =>
  api.submit({
    verb: 'patch',
    ref: CONFIGMAPS,
    namespace: 'default',
    name,
    patch: { type: 'application/merge-patch+json', body: { data: { key: value }, ...more } }
  })

compacted('an object that did not change since is changed, and the event names what it follows on', async () => {
  const { api, floor } = await compactedApi()
  const before = api.views.get({ ...CONFIGMAPS, namespace: 'default', name: 'x' })?.sequence ?? 0
  assert.ok(before < floor)
  const changed = accepted(await patched(api, 'x', 'new'))
  const entry = await api.logs.EVENTS.get(Number(changed.metadata.resourceVersion))
  assert.is(entry?.headers['Nats-Expected-Last-Subject-Sequence'], '0')
  assert.is(entry?.headers['reckon-previous'], String(before))
  const next = accepted(await patched(api, 'x', 'newer'))
  const second = await api.logs.EVENTS.get(Number(next.metadata.resourceVersion))
  assert.is(second?.headers['Nats-Expected-Last-Subject-Sequence'], changed.metadata.resourceVersion)
  assert.is(second?.headers['reckon-previous'], undefined)
})
compacted('a name that is free since before is taken again, and one behind the floor as ever', async () => {
  const { api } = await compactedApi()
  accepted(await api.create(configMap('gone')))
  assert.ok((await api.submit({ verb: 'delete', ref: CONFIGMAPS, namespace: 'default', name: 'y' })).ok)
  accepted(await api.create(configMap('y')))
  accepted(await patched(api, 'behind', 'new'))
})
compacted('a resourceVersion that is not the newest is still a conflict', async () => {
  const { api } = await compactedApi()
  assert.match(refused(await patched(api, 'x', 'new', { metadata: { resourceVersion: '1' } })), /^409 Conflict/)
  const { sequence = 0 } = api.views.get({ ...CONFIGMAPS, namespace: 'default', name: 'x' }) ?? {}
  accepted(await patched(api, 'x', 'new', { metadata: { resourceVersion: String(sequence) } }))
})
compacted('while the floor is raised and nothing is gone yet, everything goes on', async () => {
  const api = await startTestApi()
  accepted(await api.create(configMap('x')))
  api.logs.EVENTS.raiseFloor(await api.logs.EVENTS.lastSequence())
  await api.views.of(CONFIGMAPS).look()
  accepted(await patched(api, 'x', 'new'))
})
compacted('an intent that was decided before the floor is recognised when it is asked again', async () => {
  const api = await startTestApi()
  const ask = {
    verb: 'patch',
    ref: CONFIGMAPS,
    namespace: 'default',
    name: 'x',
    id: 'asked-twice',
    patch: { type: 'application/merge-patch+json', body: { data: { key: 'once' } } }
  } as const
  accepted(await api.create(configMap('x')))
  const first = await api.submit(ask)
  api.logs.EVENTS.raiseFloor(await api.logs.EVENTS.lastSequence())
  api.logs.EVENTS.compact()
  await api.views.of(CONFIGMAPS).look()
  const other = new ApiDecider({
    views: api.views,
    clock: systemClock,
    settings: { serviceCIDR: '10.96.0.0/16', nodePorts: [30000, 32767] }
  })
  const again = await other.submit({ version: 'v1', source: 'test', ...ask, again: true }, ADMIN)
  assert.is(accepted(again).metadata.resourceVersion, accepted(first).metadata.resourceVersion)
  assert.is(await api.logs.EVENTS.lastSequence(), Number(accepted(first).metadata.resourceVersion))
})
compacted.run()

const shortened = suite('a log that lost its end under the server')
shortened('hands out a version again, which is told to nobody: the view fails', async () => {
  const api = await startTestApi()
  for (const name of ['a', 'b', 'c']) accepted(await api.create(configMap(name)))
  const view = api.views.of(CONFIGMAPS)
  let failed: Error | undefined
  view.onFailed = (error) => (failed = error)
  api.logs.EVENTS.damage({ cut: (await api.logs.EVENTS.lastSequence()) - 2 })
  const answer = await api.create(configMap('late')).catch((error: unknown) => error)
  assert.instance(answer, LogDamaged)
  assert.is(failed, answer)
  assert.is((answer as LogDamaged).damage.kind, 'shorter')
})
shortened.run()
