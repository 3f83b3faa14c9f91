/** Dry runs: every kind, verb and subresource, through both doors, in every way of saying it: an answer, and nothing else. */
import { at, partAt, textAt } from '#test/support/kinds.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Kind } from '#events/Kind.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { KINDS } from '#test/support/builtIns.ts'
import { answerIntents } from '#services/apiserver/door/door.ts'
import { sampleName, sampleOf } from '#test/support/samples.ts'
import { startTestServer, type TestServer } from '#test/support/server.ts'

type Json = Record<string, unknown>

/** One change, as each door is asked for it. */
interface Change {
  readonly what: string
  readonly method: 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly verb: 'create' | 'update' | 'patch' | 'delete' | 'deletecollection'
  readonly name: string
  readonly subresource?: string
  readonly body?: Json | readonly Json[]
  readonly contentType?: string
  /** False for what never stores anything. */
  readonly stores?: false
}

/** One way of saying that it is only a try: what it adds to the query, the body, and the intent. */
interface Way {
  readonly how: string
  readonly query?: string
  readonly body?: Json
  readonly yaml?: string
  readonly intent?: Json
}

const MERGE = 'application/merge-patch+json'
const LABEL = { metadata: { labels: { merged: 'yes' } } }
const JSON_PATCH = [{ op: 'add', path: '/metadata/annotations', value: { tried: 'yes' } }]

const collectionOf = ({ group, version, resource, namespaced }: Kind): string =>
  `${group === '' ? `/api/${version}` : `/apis/${group}/${version}`}${namespaced ? '/namespaces/default' : ''}/${resource}`
const apiVersionOf = ({ group, version }: Kind): string => (group === '' ? version : `${group}/${version}`)

/** `present`: the object as it is stored. */
const changesOf = (kind: Kind, name: string, present: KubeObject): Change[] => {
  const { metadata: _, ...unnamed } = sampleOf(kind, name)
  const { resourceVersion: __, ...metadata } = present.metadata
  const changed = { ...present, metadata: { ...metadata, labels: { tried: 'yes' } } }
  const identity = {
    apiVersion: apiVersionOf(kind),
    kind: kind.kind,
    metadata: { name, ...(kind.namespaced ? { namespace: 'default' } : {}) }
  }
  const has = (subresource: string): boolean => kind.subresources?.some((one) => one.name === subresource) === true
  return [
    {
      what: 'create',
      method: 'POST',
      verb: 'create',
      name: sampleName(kind, `${name}-new`),
      body: sampleOf(kind, sampleName(kind, `${name}-new`))
    },
    // An address is its own name, a definition is called after what it defines, and neither is made up.
    ...(kind.nameRule === 'ip' || kind.kind === 'CustomResourceDefinition'
      ? []
      : [
          {
            what: 'create by generateName',
            method: 'POST',
            verb: 'create',
            name: '',
            body: { ...unnamed, metadata: { generateName: `${name}-` } }
          } as const
        ]),
    { what: 'update', method: 'PUT', verb: 'update', name, body: changed },
    { what: 'merge patch', method: 'PATCH', verb: 'patch', name, body: LABEL, contentType: MERGE },
    {
      what: 'strategic merge patch',
      method: 'PATCH',
      verb: 'patch',
      name,
      body: { metadata: { labels: { more: 'yes' } } },
      contentType: 'application/strategic-merge-patch+json'
    },
    { what: 'JSON patch', method: 'PATCH', verb: 'patch', name, body: JSON_PATCH, contentType: 'application/json-patch+json' },
    {
      what: 'apply',
      method: 'PATCH',
      verb: 'patch',
      name,
      body: { ...identity, metadata: { ...identity.metadata, annotations: { applied: 'yes' } } },
      contentType: 'application/apply-patch+yaml'
    },
    {
      what: 'apply that creates',
      method: 'PATCH',
      verb: 'patch',
      name: sampleName(kind, `${name}-applied`),
      body: sampleOf(kind, sampleName(kind, `${name}-applied`)),
      contentType: 'application/apply-patch+yaml'
    },
    ...(has('status')
      ? ([
          {
            what: 'status update',
            method: 'PUT',
            verb: 'update',
            name,
            subresource: 'status',
            body: { ...identity, status: statusOf(kind, 'True') }
          },
          {
            what: 'status patch',
            method: 'PATCH',
            verb: 'patch',
            name,
            subresource: 'status',
            body: { status: statusOf(kind, 'False') },
            contentType: MERGE
          }
        ] as const)
      : []),
    ...(has('scale')
      ? ([
          {
            what: 'scale update',
            method: 'PUT',
            verb: 'update',
            name,
            subresource: 'scale',
            body: { apiVersion: 'autoscaling/v1', kind: 'Scale', metadata: { name, namespace: 'default' }, spec: { replicas: 5 } }
          },
          {
            what: 'scale patch',
            method: 'PATCH',
            verb: 'patch',
            name,
            subresource: 'scale',
            body: { spec: { replicas: 6 } },
            contentType: MERGE
          }
        ] as const)
      : []),
    ...(has('finalize')
      ? ([
          {
            what: 'finalize',
            method: 'PUT',
            verb: 'update',
            name,
            subresource: 'finalize',
            body: { ...identity, spec: { finalizers: ['kubernetes', 'example.com/more'] } }
          }
        ] as const)
      : []),
    ...(has('token')
      ? ([
          {
            what: 'token',
            method: 'POST',
            verb: 'create',
            name,
            subresource: 'token',
            body: { spec: { expirationSeconds: 3600 } },
            stores: false
          }
        ] as const)
      : []),
    ...(has('binding')
      ? ([
          {
            what: 'binding',
            method: 'POST',
            verb: 'create',
            name: `${name}-free`,
            subresource: 'binding',
            body: { metadata: { name: `${name}-free` }, target: { kind: 'Node', name: 'n1' } }
          }
        ] as const)
      : []),
    ...(has('eviction')
      ? ([
          {
            what: 'eviction',
            method: 'POST',
            verb: 'create',
            name: `${name}-evicted`,
            subresource: 'eviction',
            body: { metadata: { name: `${name}-evicted` } }
          }
        ] as const)
      : []),
    { what: 'delete', method: 'DELETE', verb: 'delete', name },
    {
      what: 'delete in the foreground',
      method: 'DELETE',
      verb: 'delete',
      name: sampleName(kind, `${name}-applied`),
      body: { propagationPolicy: 'Foreground' }
    },
    ...(kind.verbs.includes('deletecollection')
      ? ([{ what: 'deletecollection', method: 'DELETE', verb: 'deletecollection', name: '' }] as const)
      : [])
  ]
}

const statusOf = (kind: Kind, ready: string): Json => {
  if (kind.kind === 'Namespace') return { phase: 'Active', conditions: [{ type: 'Tried', status: ready }] }
  if (kind.kind === 'Service')
    return { conditions: [{ type: 'Tried', status: ready, reason: 'Tried', message: '', lastTransitionTime: '2030-01-01T00:00:00Z' }] }
  if (kind.kind === 'CustomResourceDefinition') return { storedVersions: ['v1'], conditions: [{ type: 'Tried', status: ready }] }
  if (kind.group === 'apps') return { replicas: ready === 'True' ? 1 : 2 }
  return { conditions: [{ type: 'Ready', status: ready }] }
}

const waysOf = ({ verb, subresource, body = {} }: Change): Way[] => {
  const query: Way = { how: 'in the query', query: 'dryRun=All' }
  const intent: Way = { how: "in the intent's options", intent: { options: { dryRun: true } } }
  if (verb === 'delete' || verb === 'deletecollection') {
    const inBody = { ...body, dryRun: ['All'] }
    return [
      query,
      { how: 'in the body', body: inBody },
      { how: 'in a body of YAML', yaml: 'kind: DeleteOptions\napiVersion: v1\ndryRun: [All]\n' },
      {
        how: 'in the query, with a body that does not say it',
        query: 'dryRun=All',
        body: { ...body, kind: 'DeleteOptions', apiVersion: 'v1' }
      },
      ...(verb === 'delete' ? [intent, { how: "in the intent's deleteOptions", intent: { deleteOptions: inBody } }] : [])
    ]
  }
  if (subresource === 'token') return [query]
  const words: Way = { how: "in the intent's options, in Kubernetes' words", intent: { options: { dryRun: ['All'] } } }
  if (subresource !== 'eviction') return [query, intent, words]
  const inside = { ...body, deleteOptions: { dryRun: ['All'] } }
  return [
    query,
    intent,
    words,
    { how: 'in the Eviction', body: inside },
    { how: 'in the Eviction and the query', query: 'dryRun=All', body: inside },
    { how: "in the intent's Eviction", intent: { object: inside } }
  ]
}

/** Asks one door for the change; undefined `way`: for real. */
const ask = async (
  server: TestServer,
  kind: Kind,
  change: Change,
  way: Way | undefined
): Promise<{ readonly code: number; readonly object: KubeObject & Json }> => {
  const { method, verb, name, subresource, contentType } = change
  if (way?.intent !== undefined) {
    const { options, ...more } = way.intent as { options?: Json }
    const given =
      verb === 'patch'
        ? { patch: { type: contentType, body: change.body } }
        : verb === 'delete'
          ? change.body === undefined
            ? {}
            : { deleteOptions: change.body }
          : { object: change.body }
    const intent = {
      id: crypto.randomUUID(),
      verb,
      ref: { group: kind.group, resource: kind.resource },
      version: kind.version,
      namespace: kind.namespaced ? 'default' : '',
      name,
      ...(subresource === undefined ? {} : { subresource }),
      ...given,
      source: 'test',
      options: {
        ...(verb === 'delete' ? {} : { fieldManager: 'test' }),
        ...(contentType?.startsWith('application/apply') ? { force: true } : {}),
        ...options
      },
      ...more
    }
    const [result] = JSON.parse(
      await answerIntents('admin', undefined, Buffer.from(JSON.stringify(intent)), server.api.decider, (error) => server.errors.push(error))
    ) as { ok: boolean; code: number; object: KubeObject; status: KubeObject & { code: number } }[]
    return result?.ok === true
      ? { code: result.code, object: result.object }
      : { code: result?.status.code ?? 0, object: result?.status as KubeObject }
  }
  const body = way?.yaml ?? way?.body ?? change.body
  const apply = contentType?.startsWith('application/apply') ? ['fieldManager=test', 'force=true'] : []
  const query = [...apply, ...(way?.query === undefined ? [] : [way.query])].join('&')
  const path = `${collectionOf(kind)}${method === 'POST' && subresource === undefined ? '' : name === '' ? '' : `/${name}`}${subresource === undefined ? '' : `/${subresource}`}`
  const { code, text } = await server.send({
    method,
    path: `${path}${query === '' ? '' : `?${query}`}`,
    headers:
      body === undefined ? {} : { 'content-type': way?.yaml === undefined ? (contentType ?? 'application/json') : 'application/yaml' },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) })
  })
  return { code, object: JSON.parse(text) as KubeObject }
}

const sequences = async ({ api: { logs } }: TestServer): Promise<readonly number[]> =>
  Promise.all([logs.EVENTS, logs.NOTICES, logs.PULSE].map((log) => log.lastSequence()))
const stateOf = ({ api: { views } }: TestServer, kind: Kind): string =>
  views
    .collection(kind)
    .list()
    .map(({ text }) => text)
    .join('\n')

const dry = suite('dry runs')
let server: TestServer

dry.before(async () => {
  server = await startTestServer()
})
dry.after(() => server.stop())

for (const kind of KINDS)
  dry(`change nothing of ${kind.resource}${kind.group === '' ? '' : `.${kind.group}`}`, async () => {
    const name = sampleName(kind, `dry-${kind.singular}`)
    const made = async (object: KubeObject): Promise<void> => assert.is((await server.json('POST', collectionOf(kind), object)).code, 201)
    await made(sampleOf(kind, name))
    if (kind.kind === 'Pod') {
      await made(sampleOf(kind, `${name}-evicted`))
      const free = sampleOf(kind, `${name}-free`)
      delete partAt(free, 'spec')['nodeName']
      await made(free)
    }
    let tried = 0
    for (const change of changesOf(kind, name, server.api.get({ kind: kind.kind, apiVersion: apiVersionOf(kind), name }) as KubeObject)) {
      for (const way of waysOf(change)) {
        const [before, state] = [await sequences(server), stateOf(server, kind)]
        const present = server.api.get({ kind: kind.kind, apiVersion: apiVersionOf(kind), name: change.name })
        const { code, object } = await ask(server, kind, change, way)
        const said = `${change.what} of a ${kind.kind}, ${way.how}: ${code} ${JSON.stringify(object).slice(0, 300)}`
        assert.ok(code === 200 || code === 201, said)
        assert.equal(await sequences(server), before, `something was stored: ${said}`)
        assert.is(stateOf(server, kind), state, said)
        if (change.subresource === 'eviction' || change.subresource === 'binding')
          assert.equal([code, object.kind, object['status']], [201, 'Status', 'Success'], said)
        else if (change.verb === 'create' && change.subresource === undefined)
          assert.equal([code, object.kind, object.metadata.resourceVersion], [201, kind.kind, undefined], said)
        else if (change.verb === 'update' || change.verb === 'patch')
          assert.equal(object.metadata.resourceVersion, present?.metadata.resourceVersion, said)
        tried += 1
      }
      for (const way of [
        { how: 'badly', query: 'dryRun=all' },
        ...(change.verb.startsWith('delete') ? [{ how: 'badly, in the body', body: { dryRun: ['all'] } }] : [])
      ]) {
        const { code, object } = await ask(server, kind, change, way)
        assert.is(code, 422, `${change.what} of a ${kind.kind}, ${way.how}`)
        assert.match(
          textAt(object, 'message'),
          /^(Create|Update|Patch|Delete)Options\.meta\.k8s\.io "" is invalid: dryRun: Unsupported value: \["all"\]: supported values: "All"$/
        )
      }
      // For real it is another matter, or the trials above would have shown nothing.
      const before = await sequences(server)
      const { code, object } = await ask(server, kind, change, undefined)
      assert.ok(code === 200 || code === 201, `${change.what} of a ${kind.kind}: ${code} ${JSON.stringify(object).slice(0, 300)}`)
      assert.is((await sequences(server)).join() === before.join(), change.stores === false, `${change.what} of a ${kind.kind} for real`)
      // What deletes leave is made anew for the next.
      if (change.what === 'delete')
        await server.send({
          method: 'DELETE',
          path: `${collectionOf(kind)}/${name}`,
          body: JSON.stringify({ gracePeriodSeconds: 0 }),
          headers: { 'content-type': 'application/json' }
        })
    }
    assert.ok(tried > 20)
    assert.equal(server.errors, [])
  })

dry('reserve no addresses and no node ports', async () => {
  const service = (name: string): Json => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name },
    spec: { type: 'NodePort', clusterIP: '10.96.77.77', ports: [{ port: 80, nodePort: 31777 }] }
  })
  // The cluster's own network went with the collection of all of them.
  const cidrs = '/apis/networking.k8s.io/v1/servicecidrs'
  await server.json('POST', cidrs, { metadata: { name: 'later' }, spec: { cidrs: ['10.96.0.0/16'] } })
  const ready = { type: 'Ready', status: 'True', reason: '', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' }
  assert.is(
    (await server.json('PATCH', `${cidrs}/later/status`, { status: { conditions: [ready] } }, 'application/merge-patch+json')).code,
    200
  )
  for (let n = 0; n < 3; n++)
    assert.is((await server.json('POST', '/api/v1/namespaces/default/services?dryRun=All', service(`tried-${n}`))).code, 201)
  assert.is((await server.json('POST', '/api/v1/namespaces/default/services', service('kept'))).code, 201)
  assert.is((await server.json('POST', '/api/v1/namespaces/default/services?dryRun=All', service('late'))).code, 422)
})
dry('show what a delete would do', async () => {
  const pods = '/api/v1/namespaces/default/pods'
  // The account went with the collection of all accounts.
  await server.json('POST', '/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'default' } })
  assert.is(
    (await server.json('POST', pods, { metadata: { name: 'shown' }, spec: { nodeName: 'n1', containers: [{ name: 'a', image: 'a' }] } }))
      .code,
    201
  )
  const { object } = await server.json('DELETE', `${pods}/shown?dryRun=All`)
  const present = server.api.get({ kind: 'Pod', apiVersion: 'v1', name: 'shown' })
  assert.is(object.metadata.deletionGracePeriodSeconds, 30)
  assert.is(object.metadata.resourceVersion, present?.metadata.resourceVersion)
  assert.is(present?.metadata.deletionTimestamp, undefined)
})

const eviction = suite('evictions')
const evict = (body: unknown, query = ''): Promise<{ code: number; object: KubeObject & Json }> =>
  server.json('POST', `/api/v1/namespaces/default/pods/polite/eviction${query}`, body)

eviction.before(async () => {
  server = await startTestServer()
  await server.json('POST', '/api/v1/namespaces/default/pods', {
    metadata: { name: 'polite' },
    spec: { nodeName: 'n1', containers: [{ name: 'a', image: 'a' }] }
  })
})
eviction.after(() => server.stop())

/** Asked of kube-apiserver 1.34, which answers with these codes and words. */
const REFUSED: readonly (readonly [what: string, body: unknown, code: number, message: RegExp])[] = [
  [
    'a bad dry run',
    { metadata: { name: 'polite' }, deleteOptions: { dryRun: ['x'] } },
    422,
    /^DeleteOptions\.meta\.k8s\.io "" is invalid: dryRun: Unsupported value: \["x"\]: supported values: "All"$/
  ],
  [
    'a dry run that is no list',
    { metadata: { name: 'polite' }, deleteOptions: { dryRun: 'All' } },
    400,
    /^Eviction in version "v1" cannot be handled as a Eviction: json: cannot unmarshal string into Go struct field DeleteOptions\.deleteOptions\.dryRun of type \[\]string$/
  ],
  ['another name', { metadata: { name: 'other' } }, 400, /^name in URL does not match name in Eviction object$/],
  ['no name', {}, 400, /^name in URL does not match name in Eviction object$/],
  [
    'another namespace',
    { metadata: { name: 'polite', namespace: 'x' } },
    400,
    /^the namespace of the provided object does not match the namespace sent on the request$/
  ],
  [
    'another kind',
    { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'polite' } },
    400,
    /^Pod in version "v1" cannot be handled as a Eviction: converting \(v1\.Pod\) to \(policy\.Eviction\): unknown conversion$/
  ],
  [
    'an unknown policy',
    { metadata: { name: 'polite' }, deleteOptions: { propagationPolicy: 'x' } },
    422,
    /^DeleteOptions\.meta\.k8s\.io "" is invalid: propagationPolicy: Unsupported value: "x": supported values: "Foreground", "Background", "Orphan", "nil"$/
  ],
  [
    'two policies',
    { metadata: { name: 'polite' }, deleteOptions: { orphanDependents: true, propagationPolicy: 'Orphan' } },
    422,
    /propagationPolicy: Invalid value: "Orphan": orphanDependents and deletionPropagation cannot be both set$/
  ],
  [
    'a grace period that is no number',
    { metadata: { name: 'polite' }, deleteOptions: { gracePeriodSeconds: '5' } },
    400,
    /json: cannot unmarshal string into Go struct field DeleteOptions\.deleteOptions\.gracePeriodSeconds of type int64$/
  ],
  [
    'another uid',
    { metadata: { name: 'polite' }, deleteOptions: { preconditions: { uid: 'x' } } },
    409,
    /^Operation cannot be fulfilled on Pod "polite": the UID in the precondition \(x\) does not match the UID in record \([0-9a-f-]{36}\)\. The object might have been deleted and then recreated$/
  ],
  [
    'another version',
    { metadata: { name: 'polite' }, deleteOptions: { preconditions: { resourceVersion: '1' } } },
    409,
    /^Operation cannot be fulfilled on Pod "polite": the ResourceVersion in the precondition \(1\) does not match the ResourceVersion in record \(\d+\)\. The object might have been modified$/
  ]
]
for (const [what, body, code, message] of REFUSED)
  eviction(`with ${what} are refused`, async () => {
    const before = await sequences(server)
    const answer = await evict(body)
    assert.is(answer.code, code)
    assert.match(textAt(answer.object, 'message'), message)
    assert.equal(await sequences(server), before)
  })
eviction('of the old version are taken, and leave their condition with the pod', async () => {
  const { code, object } = await evict({
    apiVersion: 'policy/v1beta1',
    kind: 'Eviction',
    metadata: { name: 'polite', namespace: 'default' },
    deleteOptions: { gracePeriodSeconds: 7 }
  })
  assert.equal([code, object.kind, object['status'], object['code']], [201, 'Status', 'Success', 201])
  const pod = server.api.get({ kind: 'Pod', apiVersion: 'v1', name: 'polite' })
  assert.is(pod?.metadata.deletionGracePeriodSeconds, 7)
  const condition = (at(pod, 'status.conditions') as Json[]).find(({ type }) => type === 'DisruptionTarget')
  assert.equal(
    [condition?.['status'], condition?.['reason'], condition?.['message']],
    ['True', 'EvictionByEvictionAPI', 'Eviction API: evicting']
  )
})

dry.run()
eviction.run()
