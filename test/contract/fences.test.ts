/**
 * What a lagging API server can't do, on both twins of the log: it decides on what it has heard, and the log says no. A namespace
 * that goes takes nothing more, and a leader whose term is over changes nothing.
 */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { isTermEnded } from '#events/coordination/term.ts'
import { isGuard } from '#events/guard.ts'
import type { Intent, IntentResult } from '#events/Intent.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import type { Log } from '#events/Log.ts'
import { keyOfSubject, type StreamName } from '#events/Subject.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { accepted, refused } from '#test/support/api.ts'
import { onBothLogs, STREAMS, type LogOf } from '#test/support/bothLogs.ts'
import { deafness, type Deafness } from '#test/support/deaf.ts'
import { settled, startServers, type Server } from '#test/support/servers.ts'

const LEASE = 'kube-controller-manager'
const MARKERS = { group: '', resource: 'configmaps' }
const DEPLOYMENTS = { group: 'apps', resource: 'deployments' }

const configMap = (name: string, namespace = 'default'): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace },
  data: { a: '1' }
})
const named = (name: string): KubeObject => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
const deployment: KubeObject = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web' },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: 'web' } },
    template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image: 'i' }] } }
  }
}
const entry = (name: string, more: object = {}) => ({
  subject: `ev.core.configmaps.default.${name}`,
  headers: { 'ce-id': name },
  text: name,
  ...more
})

interface Two {
  readonly servers: readonly Server[]
  /** The first, which can be made deaf. */
  readonly late: Server
  readonly ears: Deafness
  readonly other: Server
  readonly log: Log
}

const contract = (name: string, open: () => Promise<LogOf>, close: () => Promise<void>): void => {
  const fences = suite(`fences: ${name}`)
  let logs: (stream: StreamName) => Log
  let open2: Server[] = []
  fences.before(async () => void (logs = await open()))
  fences.after.each(() => {
    for (const { views } of open2) for (const view of views.byStream.values()) view.close()
    open2 = []
  })
  fences.after(close)

  const two = async (): Promise<Two> => {
    const ears = deafness()
    let count = 0
    // The first server opens its three streams first.
    const servers = await startServers(2, (stream) => (count++ < STREAMS.length ? ears.over(logs(stream)) : logs(stream)), systemClock)
    open2 = [...servers]
    await settled(servers)
    return { servers, late: servers[0] as Server, other: servers[1] as Server, ears, log: logs('EVENTS') }
  }
  /** What `late` answers to what it decides while it is deaf, and then hears. */
  const whileDeaf = async ({ ears }: Two, asked: () => readonly Promise<IntentResult>[]): Promise<readonly IntentResult[]> => {
    const answers = asked()
    // The log's word on them is here before the view is: what was decided too early is decided again when it has heard.
    setTimeout(() => ears.hear(), 200)
    return Promise.all(answers)
  }

  fences('an append that goes alone may say where the log must end', async () => {
    const log = logs('EVENTS')
    const first = await log.append([entry('ends', { expected: 0 })])
    assert.ok(first.ok)
    assert.not.ok((await log.append([entry('ends-1', { expected: 0, after: first.last - 1 })])).ok)
    assert.not.ok((await log.append([entry('ends', { expected: 0, after: first.last })])).ok, 'and holds the lock on its subject as well')
    assert.is(await log.lastSequence(), first.last)
    assert.ok((await log.append([entry('ends-1', { expected: 0, after: first.last })])).ok)
    assert.not.ok((await log.append([entry('ends-2', { expected: 0, after: first.last })])).ok)
  })
  fences('an object that is guarded may be written in the batch of those who guard it', async () => {
    const log = logs('EVENTS')
    const first = await log.append([entry('ns', { expected: 0 })])
    assert.ok(first.ok)
    const on = 'ev.core.configmaps.default.ns'
    const batch = [entry('guard', { expected: first.last, on }), entry('in-it', { expected: 0 }), entry('ns', { expected: first.last })]
    assert.ok((await log.append(batch)).ok)
  })
  fences('nothing comes to be in a namespace that goes, also by a server that has not heard of it', async () => {
    const it = await two()
    const { late, other, ears } = it
    for (const namespace of ['going', 'staying']) accepted(await other.create(named(namespace)))
    accepted(await other.create({ ...configMap('held', 'going'), metadata: { name: 'held', namespace: 'going' } }, { namespace: 'going' }))
    await settled(it.servers)
    ears.deaf = true
    accepted(await goes(other, 'going'))
    const results = await whileDeaf(it, () =>
      ['going', 'staying'].flatMap((namespace) =>
        Array.from({ length: 12 }, (_, n) => late.create(configMap(`late-${n}`, namespace), { namespace }))
      )
    )
    for (const [n, result] of results.entries())
      if (n < 12) assert.match(refused(result), /unable to create new content in namespace going because it is being terminated/)
      else accepted(result)
    await settled(it.servers)
    const there = other.views.collection(MARKERS).list('going')
    assert.equal(
      there.map(({ key }) => key.name),
      ['held']
    )
  })
  fences('nor one by one, nor in one that is gone, nor in one of the same name that came after it without being asked again', async () => {
    const it = await two()
    const { late, other, ears } = it
    accepted(await other.create(named('gone')))
    await settled(it.servers)
    ears.deaf = true
    accepted(await goes(other, 'gone'))
    const finalize = {
      verb: 'update',
      ref: { group: '', resource: 'namespaces' },
      namespace: '',
      name: 'gone',
      subresource: 'finalize'
    } as const
    accepted(await other.submit({ ...finalize, object: { ...named('gone'), spec: { finalizers: [] } } }))
    const [result] = await whileDeaf(it, () => [late.create(configMap('alone', 'gone'), { namespace: 'gone' })])
    assert.match(refused(result as IntentResult), /namespaces "gone" not found/)
    assert.is(other.views.collection(MARKERS).list('gone').length, 0)
  })
  fences('creates of several servers in one namespace neither wait for each other nor are decided again', async () => {
    const it = await two()
    let appends = 0
    let refusals = 0
    const counted = it.log.append.bind(it.log)
    it.log.append = async (entries, waitMs) => {
      const result = await counted(entries, waitMs)
      appends += 1
      // Alone is tried without guards first: that the log has gone on is no refusal of them.
      if (!result.ok && entries.length > 1) refusals += 1
      return result
    }
    const before = await it.log.lastSequence()
    try {
      const made = await Promise.all(Array.from({ length: 120 }, (_, n) => (it.servers[n % 2] as Server).create(configMap(`busy-${n}`))))
      for (const result of made) accepted(result)
    } finally {
      it.log.append = counted
    }
    assert.is(refusals, 0)
    let guards = 0
    for await (const batch of it.log.read({ from: before + 1, to: await it.log.lastSequence() }))
      for (const { subject } of batch) {
        const key = keyOfSubject('EVENTS', subject)
        if (key !== undefined && isGuard(key)) guards += 1
      }
    assert.ok(guards < 20, `${guards} guards for 120 creates, in ${appends} appends`)
  })
  fences('whatever a leader of yesterday asks for is refused, also by a server that has not heard of the new term', async () => {
    const it = await two()
    const { late, other, ears } = it
    const marker = accepted(await other.create(configMap(LEASE, 'kube-system'), { namespace: 'kube-system' }))
    accepted(await other.create(deployment))
    accepted(await other.create(configMap('victim')))
    await settled(it.servers)
    const term = { lease: LEASE, sequence: Number(marker.metadata.resourceVersion) }
    const body = { metadata: { labels: { late: 'yes' } } }
    const patch = { type: 'application/merge-patch+json', body } as const
    const status = { ...deployment, status: { replicas: 7 } }
    const scale: KubeObject = {
      apiVersion: 'autoscaling/v1',
      kind: 'Scale',
      metadata: { name: 'web', namespace: 'default' },
      spec: { replicas: 9 }
    }
    const asks: readonly Partial<Intent>[] = [
      { verb: 'update', object: { ...configMap('victim'), data: { a: 'late' } } },
      { verb: 'patch', patch },
      { verb: 'delete' },
      { verb: 'create', name: 'new', object: configMap('new') },
      { verb: 'update', ref: DEPLOYMENTS, name: 'web', object: { ...deployment, metadata: { name: 'web', labels: { late: 'yes' } } } },
      { verb: 'patch', ref: DEPLOYMENTS, name: 'web', patch },
      { verb: 'update', ref: DEPLOYMENTS, name: 'web', subresource: 'status', object: status },
      { verb: 'patch', ref: DEPLOYMENTS, name: 'web', subresource: 'status', patch: { ...patch, body: { status: { replicas: 8 } } } },
      { verb: 'update', ref: DEPLOYMENTS, name: 'web', subresource: 'scale', object: scale },
      { verb: 'patch', ref: DEPLOYMENTS, name: 'web', subresource: 'scale', patch: { ...patch, body: { spec: { replicas: 9 } } } }
    ]
    const ask = (server: Server, one: Partial<Intent>, id: string): Promise<IntentResult> =>
      server.submit({ verb: 'update', ref: MARKERS, name: 'victim', term, id, ...one })
    // Of the term that goes on, one of them is done.
    accepted(await ask(late, { verb: 'patch', patch: { ...patch, body: { metadata: { labels: { early: 'yes' } } } } }, 'early'))
    for (const [n, one] of asks.entries()) {
      await settled(it.servers)
      const before = await it.log.lastSequence()
      ears.deaf = true
      accepted(
        await other.submit({
          verb: 'patch',
          ref: MARKERS,
          namespace: 'kube-system',
          name: LEASE,
          patch: { ...patch, body: { data: { holderIdentity: `next-${n}` } } }
        })
      )
      const [result] = (await whileDeaf(it, () => [
        ask(late, { ...one, term: { ...term, sequence: Number(sequenceOf(late)) } }, `late-${n}`)
      ])) as [IntentResult]
      assert.match(
        refused(result),
        /^409 Conflict: .*the term of kube-controller-manager .* has ended; another one leads/,
        JSON.stringify(one)
      )
      assert.ok(!result.ok && isTermEnded(result.status))
      await settled(it.servers)
      assert.is(await it.log.lastSequence(), before + 1, 'the line and nothing else')
    }
  })
  fences.run()
}

const goes = (server: Server, name: string): Promise<IntentResult> =>
  server.submit({ verb: 'delete', ref: { group: '', resource: 'namespaces' }, namespace: '', name })

/** Where the term began that a server knows of. */
const sequenceOf = ({ views }: Server): number => views.get({ ...MARKERS, namespace: 'kube-system', name: LEASE })?.sequence ?? 0

onBothLogs(contract)
