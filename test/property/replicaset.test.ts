/**
 * The ReplicaSet controller with a view that is late, while pods fail, vanish, stray and come back: never more pods than
 * were asked for, never a deletion while some are missing, and in the end exactly as many as asked for.
 */
import { at } from '#test/support/kinds.ts'
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ReplicaSet } from '#events/schema/generated/apps.v1.ts'
import type { Pod } from '#events/schema/generated/core.v1.ts'
import { REPLICASETS } from '#events/collections.ts'
import { asOneOf, controllerOf } from '#events/KubeObject.ts'
import { Objects, type Change } from '#projections/Objects.ts'
import { replicaset } from '#services/controller-manager/replicaset/controller.ts'
import { Model, running, withoutNotices } from '#test/support/model.ts'
import { builtIns } from '#test/support/builtIns.ts'

const KEY = 'default/web'
const set = (replicas: number): ReplicaSet =>
  asOneOf(REPLICASETS, {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: { name: 'web', uid: 'set' },
    spec: {
      replicas,
      selector: { matchLabels: { app: 'web' } },
      template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'main', image: 'web:1' }] } }
    }
  })

type Step =
  | { readonly do: 'look'; readonly behind: number }
  | { readonly do: 'ready' | 'fail' | 'vanish' | 'delete' | 'gone' | 'stray'; readonly at: number }
  | { readonly do: 'scale'; readonly replicas: number }

const small = fc.nat({ max: 15 })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('look' as const), behind: small }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'ready' as const,
        'ready' as const,
        'fail' as const,
        'vanish' as const,
        'delete' as const,
        'gone' as const,
        'stray' as const
      ),
      at: small
    })
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('scale' as const), replicas: fc.nat({ max: 8 }) }) }
)

const mine = (model: Model): Pod[] => model.list('Pod').filter((pod) => controllerOf(pod)?.uid === 'set')
const isActive = ({ metadata, status }: Pod): boolean => metadata.deletionTimestamp === undefined && status?.phase !== 'Failed'

const rs = suite('replicaset')
rs('converges, whatever happens to its pods and however late it sees it', () => {
  fc.assert(
    fc.property(fc.nat({ max: 8 }), fc.array(step, { minLength: 5, maxLength: 120 }), (replicas, steps) => {
      const model = new Model()
      const seen = new Objects(builtIns)
      let folded = 0
      const fold = (upTo: number): void => {
        for (; folded < Math.min(upTo, model.changes.length); folded++) {
          const { entry, type } = model.changes[folded] as Change
          seen.apply({ ...entry.facts, deleted: type === 'DELETED' }, '', entry.object)
        }
      }
      const look = (behind: number): boolean => {
        fold(model.changes.length - behind)
        const asks = withoutNotices(replicaset.decide(seen, KEY, { api: builtIns, now: model.now, random: 0.5 }))
        assert.not(
          asks.some(({ verb }) => verb === 'create') && asks.some(({ verb }) => verb === 'delete'),
          'makes and deletes pods in one decision'
        )
        for (const ask of asks) {
          if (model.perform(ask) !== undefined) break
          fold(model.changes.length)
        }
        return asks.length > 0
      }
      model.put(set(replicas))
      let most = replicas
      const take = (given: Step): void => {
        if (given.do === 'look') return void look(given.behind)
        if (given.do === 'scale') {
          const now = model.get(set(0))
          model.put({
            ...now,
            metadata: { ...now.metadata, generation: (now.metadata.generation ?? 1) + 1 },
            spec: { ...now.spec, replicas: given.replicas }
          })
          most = Math.max(most, given.replicas)
          return
        }
        const candidates = model
          .list('Pod')
          .filter((pod) =>
            given.do === 'gone' ? pod.metadata.deletionTimestamp !== undefined : pod.metadata.deletionTimestamp === undefined
          )
        const chosen = candidates[given.at % Math.max(1, candidates.length)]
        if (chosen === undefined) return
        if (given.do === 'ready')
          model.change(chosen, { spec: { ...chosen['spec'], nodeName: `n${given.at % 3}` }, status: running('10.0.0.1') })
        else if (given.do === 'fail') model.change(chosen, { status: { phase: 'Failed' } })
        else if (given.do === 'delete') model.put({ ...chosen, metadata: { ...chosen.metadata, deletionTimestamp: model.time } })
        else if (given.do === 'stray') model.put({ ...chosen, metadata: { ...chosen.metadata, labels: { app: 'stray' } } })
        else model.gone(chosen)
      }
      const check = (): void =>
        assert.ok(
          mine(model).filter(isActive).length <= most,
          `${mine(model).filter(isActive).length} pods, though never more than ${most} were asked for`
        )
      for (const given of steps) {
        take(given)
        check()
      }
      for (let rounds = 0; look(0); rounds++) {
        check()
        if (rounds > 100) throw new Error('does not come to rest')
      }
      const wanted = at(model.get(set(0)), 'spec.replicas') as number
      const active = mine(model).filter(isActive)
      assert.is(active.length, wanted)
      assert.ok(active.every(({ metadata }) => metadata.labels?.['app'] === 'web'))
      const { status } = model.get(set(0))
      assert.equal(
        [status?.replicas, status?.readyReplicas ?? 0],
        [wanted, active.filter((pod) => at(pod, 'status.phase') === 'Running').length]
      )
    }),
    { numRuns: 250, seed: 20_300_101 }
  )
})
rs.run()
