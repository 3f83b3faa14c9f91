/** The agent's brake: given containers nobody bound, when the log answers (or nobody does), then only what is gone goes. */
import type { Pod, PodSpec } from '#events/schema/generated/core.v1.ts'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Binding, Fate, Origin } from '#events/node/messages.ts'
import { Agent } from '#services/kubelet/Agent.ts'
import { MemoryLink } from '#services/kubelet/MemoryLink.ts'
import { SimulatedPodNetwork } from '#services/kubelet/PodNetwork.ts'
import { Allegiance, diskOrigin, memoryOrigin } from '#services/kubelet/strays/Allegiance.ts'
import { conditionOf, decideStrays, standingOf } from '#services/kubelet/strays/decide.ts'
import { noFiles } from '#services/kubelet/volumes/PodFiles.ts'
import { SimulatedProber } from '#services/kubelet/probes/SimulatedProber.ts'
import { SimulatedRuntime } from '#services/platform/SimulatedRuntime.ts'
import { VirtualClock } from '#test/simulation/VirtualClock.ts'

const OURS: Origin = { cluster: 'ours', epoch: 0 }
const AFTER_LOSS: Origin = { cluster: 'ours', epoch: 1 }
const NEW_AFTER_LOSS: Origin = { cluster: 'new', epoch: 1 }
const THEIRS: Origin = { cluster: 'theirs', epoch: 0 }

const decide = suite('strays: the decision')
decide('whose word counts', () => {
  for (const [known, said, standing] of [
    [undefined, undefined, 'own'],
    [undefined, OURS, 'own'],
    [OURS, undefined, 'own'],
    [OURS, OURS, 'own'],
    [OURS, AFTER_LOSS, 'own'],
    [AFTER_LOSS, OURS, 'own'],
    [OURS, NEW_AFTER_LOSS, 'renewed'],
    [OURS, THEIRS, 'foreign'],
    [AFTER_LOSS, THEIRS, 'foreign'],
    [AFTER_LOSS, NEW_AFTER_LOSS, 'foreign']
  ] as const)
    assert.is(standingOf(known, said), standing, `${JSON.stringify(known)} hears ${JSON.stringify(said)}`)
})
decide('each fate has its end, and what was not answered has none', () => {
  const asked = ['a', 'b', 'c', 'd', 'e']
  assert.equal(decideStrays(asked, { origin: OURS, fates: ['gone', 'alive', 'unknown', 'lost'] }, OURS), {
    end: ['a'],
    stop: ['d'],
    unknown: ['c'],
    foreign: false
  })
  assert.equal(decideStrays(asked, { origin: OURS, fates: [] }, undefined), { end: [], stop: [], unknown: [], foreign: false })
})
decide('another cluster ends nothing, whatever it says', () => {
  for (const fate of ['gone', 'alive', 'unknown', 'lost'] as const)
    assert.equal(decideStrays(['a'], { origin: THEIRS, fates: [fate] }, OURS), { end: [], stop: [], unknown: [], foreign: true })
})
decide('the condition names some of them, and says when all is well', () => {
  assert.equal(conditionOf([], ''), {
    type: 'UnknownPods',
    status: 'False',
    reason: 'AllPodsKnown',
    message: 'the cluster knows every pod that runs here'
  })
  assert.is(conditionOf(['default/a'], '').message, "a pod runs here that the cluster's log knows nothing of, and is let run: default/a")
  const many = conditionOf(['x/g', 'x/f', 'x/e', 'x/d', 'x/c', 'x/b', 'x/a'], '')
  assert.equal(
    [many.status, many.reason, many.message],
    [
      'True',
      'PodsUnknownToCluster',
      "7 pods run here that the cluster's log knows nothing of, and are let run: x/a, x/b, x/c, x/d, x/e and 2 more"
    ]
  )
  assert.equal(conditionOf(['x/a'], 'who is that?').reason, 'OtherCluster')
})
decide.run()

const allegiance = suite('strays: whom a node belongs to')
allegiance("is remembered on disk, and moves on only with a person's word", () => {
  const folder = mkdtempSync(join(tmpdir(), 'reckon-origin-'))
  try {
    const told: string[] = []
    const begin = (): Allegiance => new Allegiance(diskOrigin(folder), (message) => told.push(message))
    assert.is(begin().origin, undefined)
    assert.ok(begin().accepts(OURS))
    assert.equal(readdirSync(folder), ['cluster.json'])
    const second = begin()
    assert.equal(second.origin, OURS)
    assert.ok(!second.accepts(THEIRS))
    assert.ok(!second.accepts(THEIRS))
    assert.is(told.length, 1)
    assert.match(told[0] as string, new RegExp(`belongs to cluster ours; cluster theirs speaks to it, .*remove ${folder}/cluster.json`))
    assert.is(second.foreign, told[0])
    assert.ok(second.accepts(OURS))
    assert.is(second.foreign, '')
    assert.ok(begin().accepts(NEW_AFTER_LOSS))
    assert.equal(begin().origin, NEW_AFTER_LOSS)
    assert.ok(!begin().accepts(OURS), 'the cluster before the loss')
    writeFileSync(join(folder, 'cluster.json'), 'not JSON')
    assert.is(begin().origin, undefined)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
allegiance.run()

const bindingOf = (name: string, spec: Partial<PodSpec> = {}, uid = `uid-${name}`): Binding => ({
  pod: { metadata: { name, namespace: 'default', uid }, spec: { containers: [{ name: 'main', image: 'web:1' }], ...spec } } as Pod,
  configMaps: {},
  secrets: {},
  serviceEnv: {},
  cause: { eventId: 'e', ref: 'EVENTS:1', correlationId: 'e' }
})

const lab = (stopMs = 0) => {
  const clock = new VirtualClock(11)
  const runtime = new SimulatedRuntime({ clock, startMs: () => 50, script: () => ({ stopMs }) })
  const link = new MemoryLink()
  const network = new SimulatedPodNetwork()
  const errors: string[] = []
  const origin = memoryOrigin()
  const stops: number[] = []
  const stop = runtime.stop.bind(runtime)
  runtime.stop = (id, grace) => {
    stops.push(grace)
    return stop(id, grace)
  }
  const make = (): Agent =>
    new Agent({
      node: 'n1',
      hostIP: '192.0.2.1',
      podCIDR: '10.244.0.0/24',
      pauseImage: 'pause:1',
      link,
      runtime,
      network,
      files: noFiles,
      prober: new SimulatedProber(runtime),
      machine: { cores: 2, memory: 2 ** 33, negativeScores: true, ephemeralStorage: 2 ** 36, machineID: '', bootID: '' },
      origin,
      clock,
      onError: (error) => void errors.push((error as Error).message)
    })
  /** Names of the pods that have containers running. */
  const run = async (): Promise<string[]> =>
    [
      ...new Set(
        (await runtime.list())
          .filter(({ state, identity }) => state === 'running' && identity.container !== '')
          .map(({ identity }) => identity.pod)
      )
    ].sort()
  const begin = async (): Promise<Agent> => {
    const agent = make()
    const started = agent.start()
    await clock.run(1_000)
    await started
    return agent
  }
  const condition = () => link.pulses.at(-1)?.conditions.find(({ type }) => type === 'UnknownPods')
  /** An agent ran these pods and died; BINDINGS is empty. */
  const orphaned = async (...names: string[]): Promise<void> => {
    const first = await begin()
    for (const name of names) link.bind(bindingOf(name))
    await clock.run(2_000)
    assert.equal(await run(), [...names].sort())
    first.stop()
    link.wipe()
    errors.length = 0
    link.asked.length = 0
    link.pulses.length = 0
  }
  return { clock, runtime, link, errors, stops, origin, run, begin, condition, orphaned }
}

const strays = suite('strays: the agent')

strays('while nobody answers nothing is removed, for as long as it takes; then only what is gone goes', async () => {
  const it = lab()
  await it.orphaned('a', 'b', 'c')
  it.link.log.set('uid-a', 'gone')
  it.link.away = true
  const agent = await it.begin()
  await it.clock.run(3_600_000)
  assert.equal(await it.run(), ['a', 'b', 'c'])
  assert.ok(it.link.asked.length > 50 && it.link.asked.length < 80, `asked ${it.link.asked.length} times in an hour`)
  assert.is(it.errors.filter((error) => error === 'nobody answers').length, 1, 'told once')
  it.link.away = false
  await it.clock.run(65_000)
  assert.equal(await it.run(), ['b', 'c'])
  agent.stop()
})
strays('what the log never heard of is kept, told once, shown, and asked about again', async () => {
  const it = lab()
  await it.orphaned('a', 'b')
  it.link.log.set('uid-a', 'unknown')
  const agent = await it.begin()
  await it.clock.run(600_000)
  assert.equal(await it.run(), ['a', 'b'])
  const message = "a pod runs here that the cluster's log knows nothing of, and is let run: default/a"
  assert.equal(it.errors, [message])
  assert.equal(it.link.notices.map(({ involvedObject: { kind, name, uid }, type, reason }) => [kind, name, uid, type, reason]).slice(-1), [
    ['Node', 'n1', 'n1', 'Warning', 'PodsUnknownToCluster']
  ])
  assert.is(it.link.notices.filter(({ reason }) => reason === 'PodsUnknownToCluster').length, 1)
  assert.equal(it.condition(), { type: 'UnknownPods', status: 'True', reason: 'PodsUnknownToCluster', message })
  assert.ok(it.link.asked.length >= 9)
  // Now the log knows: it was deleted.
  it.link.log.set('uid-a', 'gone')
  await it.clock.run(65_000)
  assert.equal(await it.run(), ['b'])
  assert.is(it.condition()?.status, 'False')
  agent.stop()
})
strays('a pod that is alive is taken over when its binding comes, undisturbed', async () => {
  const it = lab()
  await it.orphaned('a')
  const before = await it.runtime.list()
  const agent = await it.begin()
  await it.clock.run(30_000)
  assert.is(agent.pods.size, 0)
  it.link.bind(bindingOf('a'))
  await it.clock.run(5_000)
  assert.is(agent.pods.size, 1)
  assert.equal(await it.runtime.list(), before)
  const asked = it.link.asked.length
  await it.clock.run(600_000)
  assert.is(it.link.asked.length, asked, 'there is nothing left to ask for')
  assert.is(it.link.last('a')?.status.phase, 'Running')
  agent.stop()
})
strays('a binding that comes while the answer is on its way counts', async () => {
  const it = lab()
  await it.orphaned('a')
  it.link.log.set('uid-a', 'gone')
  const { fates } = it.link
  it.link.fates = async (pods) => {
    const answer = await fates.call(it.link, pods)
    it.link.bind(bindingOf('a'))
    return answer
  }
  const agent = await it.begin()
  await it.clock.run(10_000)
  assert.equal(await it.run(), ['a'])
  agent.stop()
})
strays('after a loss that a person accepted, what the log does not know is stopped with its time to end', async () => {
  const it = lab(20_000)
  await it.orphaned('a', 'b')
  it.link.origin = { cluster: 'memory', epoch: 1 }
  it.link.log.set('uid-a', 'lost')
  it.stops.length = 0
  const agent = await it.begin()
  await it.clock.run(10_000)
  assert.equal(it.stops, [30])
  assert.equal(await it.run(), ['a', 'b'], 'it is still ending')
  await it.clock.run(20_000)
  assert.equal(await it.run(), ['b'])
  agent.stop()
})
strays('a pod whose binding is taken back because it is lost has the time its spec gives it; one that is gone has not', async () => {
  const it = lab()
  const agent = await it.begin()
  it.link.bind(bindingOf('a', { terminationGracePeriodSeconds: 45 }))
  it.link.bind(bindingOf('b', { terminationGracePeriodSeconds: 45 }))
  await it.clock.run(2_000)
  it.stops.length = 0
  it.link.unbind('default', 'a', true)
  await it.clock.run(2_000)
  it.link.unbind('default', 'b')
  await it.clock.run(2_000)
  assert.equal(it.stops, [45, 2])
  agent.stop()
})
strays('the word that a name is gone ends what runs of it, and a binding of that name ends the pod before it', async () => {
  const it = lab()
  await it.orphaned('a', 'b', 'c')
  it.link.away = true
  it.link.unbind('default', 'a')
  it.link.bind(bindingOf('b', {}, 'uid-new'))
  const agent = await it.begin()
  await it.clock.run(5_000)
  assert.equal([...new Set((await it.runtime.list()).map(({ identity }) => identity.podUid))].sort(), ['uid-c', 'uid-new'])
  agent.stop()
})
strays('a bindings stream that is empty removes nothing of an agent that runs', async () => {
  const it = lab()
  const agent = await it.begin()
  for (const name of ['a', 'b']) it.link.bind(bindingOf(name))
  await it.clock.run(2_000)
  it.link.wipe()
  await it.clock.run(600_000)
  assert.equal(await it.run(), ['a', 'b'])
  agent.stop()
})
strays('another cluster is not listened to: neither its bindings, nor its tombstones, nor what it says of pods', async () => {
  const it = lab()
  await it.orphaned('a', 'b')
  it.link.origin = THEIRS
  it.link.log.set('uid-a', 'gone')
  it.link.log.set('uid-b', 'lost')
  it.link.bind(bindingOf('x'))
  it.link.unbind('default', 'b')
  const agent = await it.begin()
  it.link.bind(bindingOf('y'))
  it.link.unbind('default', 'a')
  await it.clock.run(300_000)
  assert.equal(await it.run(), ['a', 'b'])
  assert.is(it.errors.length, 1)
  assert.match(it.errors[0] as string, /belongs to cluster memory; cluster theirs speaks to it/)
  assert.is(it.condition()?.reason, 'OtherCluster')
  assert.is(it.link.notices.filter(({ reason }) => reason === 'OtherCluster').length, 1)
  // Its own cluster is back.
  it.link.origin = { cluster: 'memory', epoch: 0 }
  it.link.log.set('uid-b', 'alive')
  await it.clock.run(75_000)
  assert.equal(await it.run(), ['b'])
  assert.is(it.condition()?.status, 'False')
  agent.stop()
})
strays('very many are asked for in parts', async () => {
  const it = lab()
  const asked: number[] = []
  const { Strays } = await import('#services/kubelet/strays/Strays.ts')
  const ended: string[] = []
  const uids = Array.from({ length: 1_201 }, (_, n) => `uid-${n}`)
  const many = new Strays({
    link: {
      fates: async (pods) => (
        asked.push(pods.length),
        { origin: OURS, fates: pods.map(({ uid }): Fate => (uid === 'uid-1200' ? 'gone' : 'alive')) }
      )
    },
    clock: it.clock,
    allegiance: new Allegiance(memoryOrigin(), () => {}),
    present: async () => new Set(uids.slice(1)),
    end: ({ podUid }) => ended.push(podUid),
    onChanged: () => {},
    onError: (error) => assert.unreachable(String(error))
  })
  for (const podUid of uids)
    many.add({ podUid, namespace: 'default', pod: podUid, container: '', sandbox: 0, attempt: 0, backOff: 0, specHash: '', podStart: 0 })
  many.start()
  await it.clock.run(1_000)
  assert.equal(asked, [500, 500, 200], 'one of them has no container any more')
  assert.equal(ended, ['uid-1200'])
  many.stop()
})
strays('notices that nobody took are told when somebody listens, each under one name', async () => {
  const it = lab()
  it.link.away = true
  const agent = await it.begin()
  it.link.bind(bindingOf('a'))
  await it.clock.run(120_000)
  assert.equal(it.link.notices, [])
  it.link.away = false
  await it.clock.run(60_000)
  const started = it.link.notices.filter(({ reason }) => reason === 'Started')
  assert.is(started.length, 1)
  assert.is(started[0]?.again, true)
  assert.is(new Set(it.link.notices.map(({ id }) => id)).size, it.link.notices.length)
  assert.ok(Date.parse(started[0]?.time ?? '') < it.clock.now() - 60_000, 'with the time it was seen')
  agent.stop()
})
strays.run()
