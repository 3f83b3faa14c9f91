/**
 * Rollouts in any interleaving: the Deployment and the ReplicaSet controllers each see the cluster late, pods become ready
 * when they like, images change under way. At no moment are there more pods than maxSurge allows, nor fewer available than
 * maxUnavailable allows; and it ends with the last image.
 */
import { asOneOf } from '#events/KubeObject.ts'
import { DEPLOYMENTS } from '#events/collections.ts'
import type { Container } from '#events/schema/generated/core.v1.ts'
import type { Deployment as DeploymentObject } from '#events/schema/generated/apps.v1.ts'
import { at } from '#test/support/kinds.ts'
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Deployment } from '#events/apps/Deployment.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { Objects, type Change } from '#projections/Objects.ts'
import { deployment } from '#services/controller-manager/deployment/controller.ts'
import { replicaset } from '#services/controller-manager/replicaset/controller.ts'
import type { ControllerDefinition } from '#services/platform/decision.ts'
import { Model, running, withoutNotices } from '#test/support/model.ts'
import { builtIns } from '#test/support/builtIns.ts'

/** A controller with a view of its own, which is behind by some changes, but never behind what it wrote itself. */
class Late {
  readonly #definition: ControllerDefinition
  readonly #model: Model
  readonly #seen = new Objects(builtIns)
  #folded = 0

  constructor(definition: ControllerDefinition, model: Model) {
    this.#definition = definition
    this.#model = model
  }
  fold(upTo: number): void {
    for (; this.#folded < Math.min(upTo, this.#model.changes.length); this.#folded++) {
      const { entry, type } = this.#model.changes[this.#folded] as Change
      this.#seen.apply({ ...entry.facts, deleted: type === 'DELETED' }, '', entry.object)
    }
  }
  /** True when something was asked. `behind`: how many changes it has not seen. */
  look(key: string, behind: number): boolean {
    this.fold(this.#model.changes.length - behind)
    const asks = withoutNotices(this.#definition.decide(this.#seen, key, { api: builtIns, now: this.#model.now, random: 0.5 }))
    for (const ask of asks) {
      // Refused: the rest is not asked, as in the loop.
      if (this.#model.perform(ask) !== undefined) break
      this.fold(this.#model.changes.length)
    }
    return asks.length > 0
  }
}

const web = (replicas: number, rollingUpdate: Record<string, unknown>): DeploymentObject => {
  const object = asOneOf(DEPLOYMENTS, {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', uid: 'web' },
    spec: {
      replicas,
      selector: { matchLabels: { app: 'web' } },
      strategy: { type: 'RollingUpdate', rollingUpdate },
      template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'main', image: 'v0' }] } }
    }
  })
  Deployment.default?.(object)
  return object
}

interface World {
  readonly model: Model
  readonly deployments: Late
  readonly replicasets: Late
}

const available = (model: Model): number =>
  model.list('Pod').filter(({ metadata, status }) => metadata.deletionTimestamp === undefined && status?.conditions?.[0]?.status === 'True')
    .length
const sized = (model: Model): number => model.list('ReplicaSet').reduce((sum, { spec }) => sum + (spec.replicas ?? 0), 0)
const active = (model: Model): number =>
  model.list('Pod').filter(({ metadata, status }) => metadata.deletionTimestamp === undefined && status?.phase !== 'Failed').length

type Step =
  | { readonly do: 'deployment' | 'replicasets'; readonly behind: number }
  | { readonly do: 'ready' | 'gone' | 'fail'; readonly at: number }
  | { readonly do: 'image'; readonly version: number }
  | { readonly do: 'tick' }

const small = fc.nat({ max: 12 })
const steps = (failing: boolean): fc.Arbitrary<Step[]> =>
  fc.array(
    fc.oneof(
      { weight: 5, arbitrary: fc.record({ do: fc.constant('deployment' as const), behind: small }) },
      { weight: 5, arbitrary: fc.record({ do: fc.constant('replicasets' as const), behind: small }) },
      { weight: 6, arbitrary: fc.record({ do: fc.constant('ready' as const), at: small }) },
      { weight: 4, arbitrary: fc.record({ do: fc.constant('gone' as const), at: small }) },
      { weight: failing ? 3 : 0, arbitrary: fc.record({ do: fc.constant('fail' as const), at: small }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('image' as const), version: fc.nat({ max: 4 }) }) },
      { weight: 1, arbitrary: fc.constant({ do: 'tick' as const }) }
    ),
    { minLength: 10, maxLength: 150 }
  )

const take = ({ model, deployments, replicasets }: World, step: Step): void => {
  const pods = model.list('Pod')
  switch (step.do) {
    case 'deployment':
      deployments.look('default/web', step.behind)
      return
    case 'replicasets':
      for (const { metadata } of model.list('ReplicaSet')) replicasets.look(`default/${metadata.name}`, step.behind)
      return
    case 'tick':
      model.now += 1_000
      return
    case 'image': {
      const now = model.get(web(0, {}))
      const spec = structuredClone(now.spec)
      ;(spec.template.spec.containers[0] as Container).image = `v${step.version}`
      model.put({ ...now, metadata: { ...now.metadata, generation: (now.metadata.generation ?? 1) + 1 }, spec })
      return
    }
    default: {
      const candidates = pods.filter(({ metadata, status }) =>
        step.do === 'gone'
          ? metadata.deletionTimestamp !== undefined
          : metadata.deletionTimestamp === undefined && (step.do === 'fail' || status?.phase === 'Pending')
      )
      const chosen = candidates[step.at % Math.max(1, candidates.length)]
      if (chosen === undefined) return
      if (step.do === 'gone') model.gone(chosen)
      else if (step.do === 'fail') model.change(chosen, { status: { phase: 'Failed' } })
      else model.change(chosen, { spec: { ...chosen['spec'], nodeName: `n${step.at % 3}` }, status: running('10.0.0.1', true, model.time) })
    }
  }
}

/** Everything is seen and every pod comes up, until nobody asks for anything. */
const rest = (world: World, check: () => void): void => {
  const { model, deployments, replicasets } = world
  for (let round = 0; round < 400; round++) {
    const before = model.changes.length
    deployments.look('default/web', 0)
    check()
    for (const { metadata } of model.list('ReplicaSet')) replicasets.look(`default/${metadata.name}`, 0)
    check()
    take(world, { do: 'ready', at: 0 })
    take(world, { do: 'gone', at: 0 })
    check()
    if (model.changes.length === before) return
  }
  throw new Error('the rollout does not come to rest')
}

const begin = (replicas: number, rollingUpdate: Record<string, unknown>): World => {
  const model = new Model()
  model.put(web(replicas, rollingUpdate))
  const world = { model, deployments: new Late(deployment, model), replicasets: new Late(replicaset, model) }
  rest(world, () => {})
  return world
}

const finished = ({ model }: World, replicas: number): void => {
  const wanted = at(model.get(web(0, {})), 'spec.template.spec.containers.0.image') as string
  const pods = model.list('Pod').filter(({ status }) => status?.phase !== 'Failed')
  assert.is(pods.length, replicas)
  assert.ok(pods.every((pod) => at(pod, 'spec.containers.0.image') === wanted))
  const { status } = model.get(web(0, {}))
  assert.is(status?.conditions?.find((one) => one.type === 'Progressing')?.reason, 'NewReplicaSetAvailable')
  assert.equal([status?.updatedReplicas, status?.availableReplicas], [replicas, replicas])
}

const limits = fc
  .record({ replicas: fc.integer({ min: 1, max: 7 }), surge: fc.nat({ max: 3 }), unavailable: fc.nat({ max: 3 }) })
  .filter(({ surge, unavailable }) => surge + unavailable > 0)

const rollout = suite('rollout')
rollout('stays within maxSurge and maxUnavailable at every moment', () => {
  fc.assert(
    fc.property(limits, steps(false), ({ replicas, surge, unavailable }, given) => {
      const world = begin(replicas, { maxSurge: surge, maxUnavailable: unavailable })
      const { model } = world
      const check = (): void => {
        assert.ok(sized(model) <= replicas + surge, `sets are sized for ${sized(model)} pods, more than ${replicas} + ${surge}`)
        assert.ok(active(model) <= replicas + surge, `there are ${active(model)} pods, more than ${replicas} + ${surge}`)
        assert.ok(
          available(model) >= replicas - unavailable,
          `${available(model)} pods are available, fewer than ${replicas} - ${unavailable}`
        )
      }
      for (const step of given) {
        take(world, step)
        check()
      }
      rest(world, check)
      finished(world, replicas)
    }),
    { numRuns: 150, seed: 20_300_101 }
  )
})
rollout('never surges beyond its limit, and ends well, whatever pods fail', () => {
  fc.assert(
    fc.property(limits, steps(true), ({ replicas, surge, unavailable }, given) => {
      const world = begin(replicas, { maxSurge: surge, maxUnavailable: unavailable })
      const { model } = world
      const check = (): void =>
        assert.ok(sized(model) <= replicas + surge, `sets are sized for ${sized(model)} pods, more than ${replicas} + ${surge}`)
      for (const step of given) {
        take(world, step)
        check()
      }
      rest(world, check)
      finished(world, replicas)
    }),
    { numRuns: 100, seed: 20_300_101 }
  )
})
rollout.run()
