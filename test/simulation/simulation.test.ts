/** Some hundred seeds of the whole cluster; and that the invariants catch what they are there to catch. */
import { at, partAt } from '#test/support/kinds.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Append, AppendResult } from '#events/Log.ts'
import type { Ask, ControllerDefinition } from '#services/platform/decision.ts'
import { MemoryLog } from '#services/platform/MemoryLog.ts'
import { PUT_BACK } from './mistakes.ts'
import { find } from './putBack.ts'
import { simulate } from './simulate.ts'

const SEEDS = Number(process.env['SEEDS'] ?? 120)
/** Most of those that put a mistake back are found by the first few. */
const PUT_BACK_SEEDS = 80

const simulation = suite('the simulated cluster')

simulation(`holds in ${SEEDS} seeds`, async () => {
  const failures: string[] = []
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { faults } = await simulate(seed)
    if (faults.length > 0)
      failures.push(`seed ${seed}: ${faults.slice(0, 3).join('; ')} (run again: node test/simulation/run.ts --seed ${seed} --trace)`)
  }
  assert.equal(failures, [])
})

simulation('is the same from the same seed', async () => {
  const [first, second] = [await simulate(7), await simulate(7)]
  assert.is(first.hash, second.hash)
  assert.is.not(first.hash, (await simulate(8)).hash)
})

/** The faults of the first seeds under a change that is wrong. */
const faultsOf = async (options: Parameters<typeof simulate>[1], seeds = 40): Promise<string> => {
  const found: string[] = []
  for (let seed = 1; seed <= seeds && found.length === 0; seed++) found.push(...(await simulate(seed, options)).faults)
  return found.join('\n')
}

/** A log that forgets expectations, and so lets the slower of two writers win. */
class CarelessLog extends MemoryLog {
  override append(appends: readonly Append[]): Promise<AppendResult> {
    return super.append(appends.map(({ expected: _, ...append }) => append))
  }
}

for (const one of PUT_BACK)
  simulation(`finds by itself that ${one.name}`, async () => {
    const { seeds } = await find(one, PUT_BACK_SEEDS)
    assert.ok(seeds > 0, `none of ${PUT_BACK_SEEDS} seeds told of it`)
  })

simulation('would notice a log that ignores expectations', async () => {
  const faults = await faultsOf({ log: (stream, clock, options) => new CarelessLog(stream, clock, options), mixture: { apiServers: 2 } })
  assert.match(faults, /was decided on|made two events|was acknowledged at|not converged|bound to/)
})

const changed =
  (name: string, decide: (original: ControllerDefinition) => ControllerDefinition['decide']) =>
  (definitions: readonly ControllerDefinition[]): readonly ControllerDefinition[] =>
    definitions.map((definition) => (definition.name === name ? { ...definition, decide: decide(definition) } : definition))

simulation('would notice a ReplicaSet controller that never removes a pod', async () => {
  const faults = await faultsOf({
    controllers: changed('replicaset-controller', ({ decide }) => (view, key, context) => {
      const decision = decide(view, key, context)
      return { ...decision, asks: decision.asks.filter(({ verb, ref }) => !(verb === 'delete' && ref.resource === 'pods')) }
    })
  })
  assert.match(faults, /not converged/)
})

simulation('would notice a deployment controller that ignores its limits', async () => {
  const faults = await faultsOf({
    controllers: changed('deployment-controller', ({ decide }) => (view, key, context) => {
      const decision = decide(view, key, context)
      return {
        ...decision,
        asks: decision.asks.map((ask) => {
          if (ask.ref.resource !== 'replicasets') return ask
          const body = ask.patch?.body as { spec?: { replicas?: number } } | undefined
          if (ask.patch !== undefined && (body?.spec?.replicas ?? 0) > 0)
            return {
              ...ask,
              patch: { ...ask.patch, body: { ...body, spec: { ...body?.spec, replicas: (body?.spec?.replicas ?? 0) + 9 } } }
            }
          const replicas = (at(ask.object, 'spec.replicas') as number | undefined) ?? 0
          return ask.object === undefined || replicas === 0
            ? ask
            : { ...ask, object: { ...ask.object, spec: { ...partAt(ask.object, 'spec'), replicas: replicas + 9 } } }
        })
      }
    })
  })
  assert.match(faults, /over the limit/)
})

simulation('would notice a garbage collector that does not work', async () => {
  const faults = await faultsOf({ controllers: changed('generic-garbage-collector', () => () => ({ asks: [] })) })
  assert.match(faults, /not converged|still has a container/)
})

simulation('would notice a garbage collector that deletes what has another owner', async () => {
  const faults = await faultsOf(
    {
      controllers: changed('generic-garbage-collector', ({ decide }) => (view, key, context) => {
        const decision = decide(view, key, context)
        const lets = ({ patch }: Ask): boolean =>
          ((patch?.body as { metadata?: { ownerReferences?: readonly unknown[] } } | undefined)?.metadata?.ownerReferences?.length ?? 0) > 0
        return {
          ...decision,
          asks: decision.asks.map((ask) =>
            lets(ask) ? { verb: 'delete', ref: ask.ref, version: ask.version, namespace: ask.namespace, name: ask.name } : ask
          )
        }
      })
    },
    40
  )
  assert.match(faults, /whose owner .* lives/)
})

simulation.run()
