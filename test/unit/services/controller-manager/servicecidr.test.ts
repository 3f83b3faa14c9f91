/**
 * The ServiceCIDR controller: given networks and addresses from them, when a network comes or goes, then it is ready, waits, or is let go.
 */
import { at } from '#test/support/kinds.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { KubeObject } from '#events/KubeObject.ts'
import { decide } from '#services/controller-manager/servicecidr/decide.ts'
import { accepted, startTestApi, type TestApi } from '#test/support/api.ts'
import { builtIns } from '#test/support/builtIns.ts'

const CIDRS = { group: 'networking.k8s.io', resource: 'servicecidrs' }
const cidr = (name: string, ...cidrs: string[]): KubeObject => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'ServiceCIDR',
  metadata: { name },
  spec: { cidrs }
})
const service = (name: string, clusterIP: string): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name },
  spec: { clusterIP, ports: [{ port: 80 }] }
})

/** Decides and does what was decided, until nothing is left to do; returns how long it wants to wait. */
const work = async (api: TestApi, name: string, later = 0): Promise<number | undefined> => {
  for (let n = 0; n < 5; n++) {
    const { asks, requeueAfterMs } = decide(api.views, name, { api: builtIns, now: Date.now() + later, random: 0 })
    if (asks.length === 0) return requeueAfterMs
    for (const ask of asks) accepted(await api.submit(ask))
  }
  throw new Error('it never comes to rest')
}
const of = (api: TestApi, name: string) => api.get({ apiVersion: 'networking.k8s.io/v1', kind: 'ServiceCIDR', name })
const readyOf = (api: TestApi, name: string) => of(api, name)?.status?.conditions?.[0]
const remove = (api: TestApi, ref: typeof CIDRS, namespace: string, name: string) => api.submit({ verb: 'delete', ref, namespace, name })

const servicecidr = suite('service-cidrs-controller')
servicecidr('a new network gets its finalizer and is ready: addresses come from it', async () => {
  const api = await startTestApi()
  accepted(await api.create(cidr('more', '192.168.0.0/24')))
  await work(api, 'more')
  assert.equal(of(api, 'more')?.metadata.finalizers, ['networking.k8s.io/service-cidr-finalizer'])
  assert.is(readyOf(api, 'more')?.status, 'True')
  accepted(await api.create(service('far', '192.168.0.9')))
})
servicecidr('one that goes waits for its addresses, says so, and gives none', async () => {
  const api = await startTestApi()
  accepted(await api.create(cidr('more', '192.168.0.0/24')))
  await work(api, 'more')
  accepted(await api.create(service('far', '192.168.0.9')))
  accepted(await remove(api, CIDRS, '', 'more'))
  assert.is(await work(api, 'more', 60_000), undefined)
  assert.is(readyOf(api, 'more')?.reason, 'Terminating')
  assert.not.ok((await api.create(service('late', '192.168.0.10'))).ok)
  accepted(await remove(api, { group: '', resource: 'services' }, 'default', 'far'))
  assert.ok(((await work(api, 'more')) as number) > 5_000)
  assert.ok(of(api, 'more'))
  await work(api, 'more', 60_000)
  assert.is(of(api, 'more'), undefined)
})
servicecidr('one whose addresses another network holds as well goes at once', async () => {
  const api = await startTestApi()
  accepted(await api.create(cidr('whole', '192.168.0.0/16')))
  accepted(await api.create(cidr('part', '192.168.0.0/24')))
  for (const name of ['whole', 'part']) await work(api, name)
  accepted(await api.create(service('far', '192.168.0.9')))
  accepted(await remove(api, CIDRS, '', 'part'))
  await work(api, 'part', 60_000)
  assert.is(of(api, 'part'), undefined)
  accepted(await remove(api, CIDRS, '', 'whole'))
  await work(api, 'whole', 60_000)
  assert.ok(of(api, 'whole'))
})
servicecidr.run()
