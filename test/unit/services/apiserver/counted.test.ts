/**
 * What counts other objects (a quota, a disruption budget): given a counter, when pods come and are evicted at several servers at once,
 * then no unit is given twice.
 */
import { at as partOf, partAt } from '#test/support/kinds.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { KubeObject } from '#events/KubeObject.ts'
import { forbidden, tooManyRequests } from '#events/Refusal.ts'
import type { StreamName } from '#events/Subject.ts'
import { ADMISSION } from '#services/apiserver/admission/admission.ts'
import { NOTHING, type AdmissionPlugin } from '#services/apiserver/decision.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { MemoryLog } from '#services/platform/MemoryLog.ts'
import { accepted, refused } from '#test/support/api.ts'
import { settled, startServers, type Server } from '#test/support/servers.ts'

const CONFIGMAPS = { group: '', resource: 'configmaps' }
const PODS = { group: '', resource: 'pods' }
const COUNTER = { ...CONFIGMAPS, namespace: 'default', name: 'quota' }
const BUDGET = { ...CONFIGMAPS, namespace: 'default', name: 'budget' }
const SWITCH = { ...CONFIGMAPS, namespace: 'default', name: 'switch' }

const numberIn = (object: KubeObject | undefined): number => Number(partOf(object, 'data.n') ?? 0)
const with_ = (object: KubeObject, n: number): KubeObject => ({ ...object, data: { ...partAt(object, 'data'), n: String(n) } })

/** As ResourceQuota: a pod takes a unit. */
const Quota: AdmissionPlugin = {
  name: 'Quota',
  handles: (operation, { resource }, subresource) => operation === 'CREATE' && resource === 'pods' && subresource === '',
  validate({ kind, name }, { context }) {
    const quota = context.view.get(COUNTER)?.object
    if (quota === undefined) return NOTHING
    if (numberIn(quota) === 0) throw forbidden(kind, name, 'exceeded quota')
    return { ...NOTHING, accompanying: [{ key: COUNTER, type: 'reckon.quota.used.v1', object: with_(quota, numberIn(quota) - 1) }] }
  }
}
/** As an eviction under a PodDisruptionBudget: it takes an allowed disruption, and notes the pod. */
const Budget: AdmissionPlugin = {
  name: 'Budget',
  handles: (operation, { resource }, subresource) => operation === 'CREATE' && resource === 'pods' && subresource === 'eviction',
  validate({ name }, { context }) {
    const budget = context.view.get(BUDGET)?.object
    if (budget === undefined) return NOTHING
    if (numberIn(budget) === 0) throw tooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.")
    const next = with_(budget, numberIn(budget) - 1)
    return {
      ...NOTHING,
      accompanying: [
        { key: BUDGET, type: 'reckon.budget.used.v1', object: { ...next, data: { ...partAt(next, 'data'), [name]: 'disrupted' } } }
      ]
    }
  }
}
/** Stands on an object it does not write. */
const Standing: AdmissionPlugin = {
  name: 'Standing',
  handles: (operation, { resource }, subresource) => operation === 'CREATE' && resource === 'pods' && subresource === '',
  validate({ kind, name }, { context }) {
    const entry = context.view.get(SWITCH)
    if (entry !== undefined && partOf(entry.object, 'data.state') !== 'on') throw forbidden(kind, name, 'it is switched off')
    return { ...NOTHING, guards: [{ key: SWITCH, expected: context.head(SWITCH) }] }
  }
}

/** `lag`: milliseconds until servers hear of what others wrote. */
const given = async (plugins: readonly AdmissionPlugin[], count = 3, lag = 0): Promise<{ servers: readonly Server[]; log: MemoryLog }> => {
  const logs = Object.fromEntries(
    (['EVENTS', 'NOTICES', 'PULSE'] as const).map((stream) => [
      stream,
      new MemoryLog(stream, systemClock, { faults: { deliver: () => lag } })
    ])
  ) as Record<StreamName, MemoryLog>
  const servers = await startServers(count, (stream) => logs[stream], systemClock, { plugins: [...ADMISSION, ...plugins] })
  accepted(
    await (servers[0] as Server).create({
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 'default' }
    } as unknown as KubeObject)
  )
  return { servers, log: logs.EVENTS }
}
const configMap = (name: string, data: Record<string, string>): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  data
})
const pod = (name: string): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: { containers: [{ name: 'web', image: 'web:1' }] }
})
const evict = (server: Server, name: string) =>
  server.submit({
    verb: 'create',
    ref: PODS,
    name,
    subresource: 'eviction',
    object: { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace: 'default' } } as unknown as KubeObject
  })
const at = (servers: readonly Server[], n: number): Server => servers[n % servers.length] as Server

const counted = suite('counted')
counted('as many pods come to be as there are units, at however many servers', async () => {
  const { servers } = await given([Quota])
  accepted(await at(servers, 0).create(configMap('quota', { n: '20' })))
  await settled(servers)
  const made = await Promise.all(Array.from({ length: 30 }, (_, n) => at(servers, n).create(pod(`p${n}`))))
  assert.is(made.filter(({ ok }) => ok).length, 20)
  for (const result of made) if (!result.ok) assert.match(result.status.message ?? '', /exceeded quota/)
  await settled(servers)
  for (const { views } of servers) {
    assert.is(numberIn(views.get(COUNTER)?.object), 0)
    assert.is(views.collection(PODS).size, 20)
  }
})
counted('a dry run and a refused pod take none', async () => {
  const { servers } = await given([Quota], 1)
  const [server] = servers as [Server]
  accepted(await server.create(configMap('quota', { n: '2' })))
  accepted(await server.create(pod('dry'), { options: { dryRun: true } }))
  refused(await server.create({ ...pod('Bad_Name') }))
  accepted(await server.create(pod('a')))
  refused(await server.create(pod('a')))
  assert.is(numberIn(server.views.get(COUNTER)?.object), 1)
})
counted('evictions take what is allowed, in the batch that evicts', async () => {
  const { servers, log } = await given([Budget])
  accepted(await at(servers, 0).create(configMap('budget', { n: '3' })))
  for (let n = 0; n < 9; n++) accepted(await at(servers, 0).create(pod(`p${n}`)))
  await settled(servers)
  const evicted = await Promise.all(Array.from({ length: 9 }, (_, n) => evict(at(servers, n), `p${n}`)))
  assert.is(evicted.filter(({ ok }) => ok).length, 3)
  for (const result of evicted) if (!result.ok) assert.is(result.status.code, 429)
  await settled(servers)
  const budget = at(servers, 1).views.get(BUDGET)?.object as KubeObject
  assert.is(numberIn(budget), 0)
  assert.is(Object.values(partAt(budget, 'data')).filter((value) => value === 'disrupted').length, 3)
  assert.is(at(servers, 2).views.collection(PODS).size, 6)
  // The budget's event and the pod's stand side by side.
  const last = await log.lastOn('ev.core.configmaps.default.budget')
  assert.match((await log.get((last?.sequence ?? 0) + 1))?.subject ?? '', /^ev\.core\.pods\.default\.p\d$/)
})
counted('what stands on an object is not stored when that has changed', async () => {
  const { servers } = await given([Standing], 3, 5)
  accepted(await at(servers, 0).create(configMap('switch', { state: 'on' })))
  await settled(servers)
  const off = at(servers, 0).submit({
    verb: 'patch',
    ref: CONFIGMAPS,
    name: 'switch',
    patch: { type: 'application/merge-patch+json', body: { data: { state: 'off' } } }
  })
  const asked = Array.from({ length: 30 }, (_, n) => at(servers, n + 1).create(pod(`p${n}`)))
  const switched = Number(accepted(await off).metadata.resourceVersion)
  const made = await Promise.all(asked)
  for (const result of made) if (result.ok) assert.ok(Number(result.object.metadata.resourceVersion) < switched)
  // All were decided while their servers had not heard of it.
  assert.ok(made.some(({ ok }) => !ok))
  refused(await at(servers, 0).create(pod('late')))
})
counted.run()
