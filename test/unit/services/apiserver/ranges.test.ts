/** Parts of the pod network on one API server: what is checked and written when a node takes one, and what is not when it has it. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { NODES } from '#events/collections.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { subjectOf } from '#events/Subject.ts'
import { POD_CIDRS } from '#services/apiserver/claims/ranges.ts'
import { accepted, refused, startTestApi, type TestApi } from '#test/support/api.ts'

const NETWORKS = ['10.244.0.0/20', 'fd00:10:244::/60']
const node = (name: string, ...podCIDRs: readonly string[]): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name },
  ...(podCIDRs.length === 0 ? {} : { spec: { podCIDR: podCIDRs[0], podCIDRs } })
})
const lab = (podCIDRs: readonly string[] = NETWORKS): Promise<TestApi> => startTestApi(undefined, { podCIDRs })
const label = (api: TestApi, name: string) =>
  api.submit({
    verb: 'patch',
    ref: NODES,
    name,
    patch: { type: 'application/merge-patch+json', body: { metadata: { labels: { changed: 'yes' } } } }
  })

const ranges = suite('parts of the pod network')

ranges('a part is within one network, from its first address to its last, of its own family', async () => {
  const api = await lab()
  for (const cidr of ['10.244.0.0/19', '10.244.16.0/24', '10.243.255.0/24', 'fd00:10:244:10::/64', '::af4:100/120'])
    assert.match(refused(await api.create(node('n', cidr))), /^422 Invalid: .*is no part of the cluster's pod network/, cidr)
  accepted(await api.create(node('n', '10.244.15.0/24', 'fd00:10:244:f::/64')))
})
ranges('what is asked for is said in its place', async () => {
  const api = await lab()
  const result = await api.create(node('n', '10.244.1.0/24', 'fd00::/64'))
  assert.is(result.ok ? undefined : result.status.details?.causes?.[0]?.field, 'spec.podCIDRs[1]')
})
ranges('a change of a node that has its part writes the node alone', async () => {
  const api = await lab()
  accepted(await api.create(node('n', '10.244.1.0/24')))
  const before = await api.logs.EVENTS.lastSequence()
  accepted(await label(api, 'n'))
  assert.is(await api.logs.EVENTS.lastSequence(), before + 1)
})
ranges('a node keeps a part that is of no network any more, or that another has as well', async () => {
  const first = await startTestApi()
  accepted(await first.create(node('n', '192.168.0.0/24')))
  const next = await startTestApi(undefined, { podCIDRs: NETWORKS }, undefined, first)
  assert.equal(accepted(await label(next, 'n')).metadata.labels, { changed: 'yes' })
  assert.match(refused(await next.create(node('m', '192.168.0.0/25'))), /^422/)
})
ranges('all who take one write one line, and who takes none does not', async () => {
  const api = await lab()
  const line = () => api.logs.EVENTS.lastOn(subjectOf('EVENTS', { ...POD_CIDRS, namespace: '', name: 'assigned' }))
  accepted(await api.create(node('none')))
  assert.is(await line(), undefined)
  const places: (number | undefined)[] = []
  for (const n of [1, 2]) {
    accepted(await api.create(node(`n${n}`, `10.244.${n}.0/24`)))
    places.push((await line())?.sequence)
  }
  accepted(await api.submit({ verb: 'delete', ref: NODES, name: 'n1' }))
  assert.is((await line())?.sequence, places[1], 'a part that is given back is free with its node')
  assert.ok((places[0] ?? 0) > 0 && (places[1] ?? 0) > (places[0] ?? 0))
  accepted(await api.create(node('n3', '10.244.1.0/24')))
})

ranges.run()
