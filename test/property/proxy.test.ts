/** For any two states of the Services: the difference applied to the old rules gives the new ones, all of them and nothing else. */
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { proxyPorts } from '#projections/Proxy.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { MemoryIptables } from '#services/platform/iptables/MemoryIptables.ts'
import { parseSave } from '#services/platform/iptables/text.ts'
import { jumps } from '#services/kube-proxy/chains.ts'
import { decideBase, decideService } from '#services/kube-proxy/decide.ts'
import { KubeProxy } from '#services/kube-proxy/KubeProxy.ts'
import { renderAll, renderDelta } from '#services/kube-proxy/render.ts'
import { union, type RuleSet } from '#services/kube-proxy/RuleSet.ts'
import { CONFIG } from '#test/golden/proxy/shapes.ts'
import { service, ServiceSource, slice } from '#test/support/services.ts'

const proxy = suite('proxy')

const endpoint = fc.record({
  ip: fc.integer({ min: 2, max: 6 }).map((n) => `10.244.0.${n}`),
  node: fc.constantFrom('n1', 'n2'),
  conditions: fc.constantFrom({ ready: true }, { ready: false }, { ready: false, serving: true, terminating: true })
})
const NAMES = ['a', 'b', 'c', 'd']
const shape = fc.record({
  protocol: fc.constantFrom('TCP' as const, 'UDP' as const),
  nodePort: fc.boolean(),
  external: fc.boolean(),
  affinity: fc.constantFrom('None', 'ClientIP'),
  internal: fc.constantFrom('Cluster', 'Local'),
  outside: fc.constantFrom('Cluster', 'Local'),
  endpoints: fc.uniqueArray(endpoint, { maxLength: 4, selector: ({ ip }) => ip })
})
const cluster = fc.record(Object.fromEntries(NAMES.map((name) => [name, fc.option(shape, { nil: undefined })])))
type Cluster = typeof cluster extends fc.Arbitrary<infer T> ? T : never

const objectsOf = (state: Cluster) =>
  NAMES.flatMap((name, index) => {
    const one = state[name]
    if (one === undefined) return []
    const port = { port: 80, protocol: one.protocol, ...(one.nodePort ? { nodePort: 30000 + index } : {}) }
    return [
      {
        service: service(name, `10.96.0.${index + 1}`, [port], {
          sessionAffinity: one.affinity,
          internalTrafficPolicy: one.internal,
          externalTrafficPolicy: one.outside,
          externalIPs: one.external ? [`192.0.2.${index + 1}`] : []
        }),
        slice: slice(name, one.endpoints, [{ port: 8080, protocol: one.protocol }])
      }
    ]
  })

const rulesOf = (state: Cluster): RuleSet =>
  union([
    decideBase(CONFIG),
    ...objectsOf(state).map((pair) => decideService(proxyPorts(pair.service, [pair.slice], CONFIG.nodeName), CONFIG))
  ])

/** The tables as a plain object; rules of lists sorted, since their order means nothing. */
const tables = async (iptables: MemoryIptables, rules: RuleSet): Promise<unknown> => {
  const shown: Record<string, readonly string[]> = {}
  for (const table of ['nat', 'filter'] as const)
    for (const [name, lines] of parseSave(await iptables.save(table)))
      shown[`${table} ${name}`] = rules.lists.has(`${table} ${name}`) ? lines.toSorted() : lines
  return Object.fromEntries(Object.entries(shown).sort(([a], [b]) => (a < b ? -1 : 1)))
}

const written = async (rules: RuleSet): Promise<MemoryIptables> => {
  const iptables = new MemoryIptables()
  await iptables.restore(renderAll(rules, [], jumps(CONFIG)))
  return iptables
}

proxy('old rules + difference = new rules', async () => {
  await fc.assert(
    fc.asyncProperty(cluster, cluster, async (before, after) => {
      const [old, wanted] = [rulesOf(before), rulesOf(after)]
      const iptables = await written(old)
      const delta = renderDelta(old, wanted)
      if (delta !== '') await iptables.restore(delta)
      assert.equal(await tables(iptables, wanted), await tables(await written(wanted), wanted))
    }),
    { numRuns: 300 }
  )
})

proxy('no difference between equal rules', () => {
  fc.assert(fc.property(cluster, (state) => renderDelta(rulesOf(state), rulesOf(state)) === ''))
})

proxy('the loop, with failures on the way, ends at the same rules', async () => {
  const steps = fc.array(fc.tuple(cluster, fc.boolean()), { minLength: 1, maxLength: 4 })
  // Time passes as fast as it is asked to.
  const clock = {
    ...systemClock,
    after: (ms: number, task: () => void) => (ms >= 60_000 ? { cancel: () => {} } : systemClock.after(0, task))
  }
  await fc.assert(
    fc.asyncProperty(steps, async (states) => {
      const iptables = new MemoryIptables()
      const source = new ServiceSource()
      const loop = new KubeProxy({ source, clock, iptables, conntrack: { forgetUdp: async () => {} }, config: CONFIG })
      await loop.start()
      let present = new Map<string, ReturnType<typeof objectsOf>[number]>()
      for (const [state, fails] of states) {
        const wanted = new Map(objectsOf(state).map((pair) => [pair.service.metadata.name as string, pair]))
        for (const [name, pair] of present) if (!wanted.has(name)) source.remove(pair.slice, pair.service)
        for (const pair of wanted.values()) source.put(pair.service, pair.slice)
        present = wanted
        if (fails) iptables.failNext = 'a failure'
        await loop.settled()
        iptables.failNext = undefined
        const rules = rulesOf(state)
        assert.equal(await tables(iptables, rules), await tables(await written(rules), rules))
      }
      await loop.removeEverything()
      assert.equal(await tables(iptables, rulesOf(states[0]![0])), await tables(new MemoryIptables(), rulesOf(states[0]![0])))
    }),
    { numRuns: 60 }
  )
})

proxy.run()
