/** What controllers ask for is about the object they saw, not about whoever has its name by then. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ConfigMap } from '#events/core/ConfigMap.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { remove } from '#services/controller-manager/asks.ts'
import { accepted, refused, startTestApi } from '#test/support/api.ts'

const CONFIGMAP: KubeObject = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', namespace: 'default' } }

const asks = suite('asks')
asks('a delete does not reach another object of that name, whatever else it asks for', async () => {
  const api = await startTestApi()
  const seen = accepted(await api.create(CONFIGMAP))
  accepted(await api.submit(remove(ConfigMap, seen)))
  const next = accepted(await api.create(CONFIGMAP))
  for (const options of [{}, { propagationPolicy: 'Background' }, { gracePeriodSeconds: 0 }] as const)
    assert.match(
      refused(await api.submit(remove(ConfigMap, seen, options))),
      /^409 Conflict: .*The object might have been deleted and then recreated/
    )
  assert.is(api.get({ kind: 'ConfigMap', apiVersion: 'v1', name: 'a' })?.metadata.uid, next.metadata.uid)
  accepted(await api.submit(remove(ConfigMap, next)))
})
asks.run()
