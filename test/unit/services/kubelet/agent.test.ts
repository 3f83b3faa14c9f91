/** The agent on the simulated runtime and a clock of its own: no machine, no waiting. */
import type { Container, Pod, PodSpec } from '#events/schema/generated/core.v1.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Binding } from '#events/node/messages.ts'
import { Agent } from '#services/kubelet/Agent.ts'
import { MemoryLink } from '#services/kubelet/MemoryLink.ts'
import { SimulatedPodNetwork } from '#services/kubelet/PodNetwork.ts'
import { memoryOrigin } from '#services/kubelet/strays/Allegiance.ts'
import { noFiles, type PodFiles } from '#services/kubelet/volumes/PodFiles.ts'
import type { Clock } from '#services/platform/Clock.ts'
import { SimulatedProber } from '#services/kubelet/probes/SimulatedProber.ts'
import { SimulatedRuntime, type SimulatedRuntimeOptions } from '#services/platform/SimulatedRuntime.ts'

class ManualClock implements Clock {
  #now = Date.parse('2026-01-01T00:00:00Z')
  #ids = 0
  #timers: { at: number; task: () => void }[] = []
  now = (): number => this.#now
  random = (): number => 0.5
  uuid = (): string => `00000000-0000-4000-8000-${String(++this.#ids).padStart(12, '0')}`
  after(ms: number, task: () => void): { cancel(): void } {
    const timer = { at: this.#now + ms, task }
    this.#timers.push(timer)
    return { cancel: () => void (this.#timers = this.#timers.filter((one) => one !== timer)) }
  }
  /** Lets everything happen that happens within `ms`. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve))
      const next = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
      if (next === undefined) break
      this.#timers = this.#timers.filter((one) => one !== next)
      this.#now = Math.max(this.#now, next.at)
      next.task()
    }
    this.#now = end
  }
}

const bindingOf = (name: string, container: Partial<Container> = {}, spec: Partial<PodSpec> = {}, meta: object = {}): Binding => ({
  pod: {
    metadata: { name, namespace: 'default', uid: `uid-${name}`, ...meta },
    spec: { containers: [{ name: 'main', image: 'web:1', ...container }], ...spec }
  } as Pod,
  configMaps: {},
  secrets: {},
  serviceEnv: {},
  cause: { eventId: 'e', ref: 'EVENTS:1', correlationId: 'e' }
})

const lab = (options: Omit<SimulatedRuntimeOptions, 'clock'> = {}) => {
  const clock = new ManualClock()
  const runtime = new SimulatedRuntime({ clock, startMs: () => 50, ...options })
  const link = new MemoryLink()
  const network = new SimulatedPodNetwork()
  const errors: unknown[] = []
  const origin = memoryOrigin()
  /** What was asked of the pods' files. */
  const asked: string[] = []
  const files: PodFiles = {
    ...noFiles,
    mounts: async ({ pod }) => (asked.push(`mounts ${pod.metadata?.uid}`), []),
    release: async (uid) => void asked.push(`release ${uid}`),
    releaseOthers: async (uids) => void asked.push(`release others than ${[...uids].join()}`)
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
      files,
      prober: new SimulatedProber(runtime),
      machine: { cores: 2, memory: 2 ** 33, negativeScores: true, ephemeralStorage: 2 ** 36, machineID: '', bootID: '' },
      origin,
      clock,
      onError: (error) => void errors.push(error)
    })
  return { clock, runtime, link, network, errors, asked, make, container: (name: string) => link.last(name)?.status.containerStatuses?.[0] }
}

const agent = suite('kubelet: the agent, simulated')

agent('starts a pod, and ends it', async () => {
  const { clock, runtime, link, network, make, container } = lab({ script: () => ({ stopMs: 3_000 }) })
  const kubelet = make()
  await kubelet.start()
  link.bind(bindingOf('a'))
  await clock.pass(1_000)
  assert.is(link.last('a')?.status.phase, 'Running')
  assert.is(container('a')?.ready, true)
  link.bind(bindingOf('a', {}, {}, { deletionTimestamp: '2026-01-01T00:00:31Z', deletionGracePeriodSeconds: 30 }))
  await clock.pass(2_900)
  assert.is(link.last('a')?.terminated, undefined)
  await clock.pass(200)
  assert.is(link.last('a')?.terminated, true)
  assert.equal(await runtime.list(), [])
  assert.is((await network.used()).size, 0)
  link.unbind('default', 'a')
  await clock.pass(100)
  assert.is(kubelet.pods.size, 0)
  kubelet.stop()
})

agent("takes mounts away when a pod's containers have ended, and at its start those of pods that run no more", async () => {
  const { clock, runtime, link, asked, make } = lab({
    script: ({ pod, container }) => (pod === 'done' && container !== '' ? { exitAfterMs: 1_000, exitCode: 0 } : {})
  })
  const first = make()
  await first.start()
  link.bind(bindingOf('stays'))
  link.bind(bindingOf('done', {}, { restartPolicy: 'Never' }))
  await clock.pass(10_000)
  assert.equal(
    [asked[0], [...asked.slice(1)].sort()],
    ['release others than ', ['mounts uid-done', 'mounts uid-stays', 'release uid-done']]
  )
  first.stop()
  asked.length = 0
  const second = make()
  await second.start()
  await clock.pass(10_000)
  assert.equal(asked, ['release others than uid-stays'])
  assert.is((await runtime.list()).filter(({ state }) => state === 'running').length, 2)
  second.stop()
})

agent('a crashing container restarts after 0, 10, 20, 40 seconds', async () => {
  const { clock, link, make, container } = lab({ startMs: () => 0, script: () => ({ exitAfterMs: 1_000, exitCode: 1 }) })
  const kubelet = make()
  await kubelet.start()
  link.bind(bindingOf('a'))
  const restarts: number[] = []
  for (let second = 0; second < 80; second++) {
    await clock.pass(1_000)
    if (container('a')?.restartCount === restarts.length + 1) restarts.push(second)
  }
  assert.equal(
    restarts.map((at, index) => at - (restarts[index - 1] ?? 0)),
    [0, 11, 21, 41].map((gap, index) => (index === 0 ? restarts[0] : gap))
  )
  kubelet.stop()
})

agent('an image that cannot be pulled backs off, and is pulled when it is there', async () => {
  let there = false
  const { clock, link, make, container } = lab({ hasImage: () => false, pullError: () => (there ? undefined : 'manifest unknown') })
  const kubelet = make()
  await kubelet.start()
  link.bind(bindingOf('a'))
  await clock.pass(500)
  assert.equal(container('a')?.state, { waiting: { reason: 'ErrImagePull', message: 'manifest unknown' } })
  await clock.pass(2_000)
  assert.equal(container('a')?.state, {
    waiting: { reason: 'ImagePullBackOff', message: 'Back-off pulling image "web:1": ErrImagePull: manifest unknown' }
  })
  there = true
  await clock.pass(10_000)
  assert.is(link.last('a')?.status.phase, 'Running')
  kubelet.stop()
})

agent('probes decide readiness and restarts', async () => {
  const { clock, link, make, container } = lab({ script: () => ({ readyAfterMs: 5_000, failsAfterMs: 60_000 }) })
  const kubelet = make()
  await kubelet.start()
  const probe = { httpGet: { port: 80 as never }, periodSeconds: 2 }
  link.bind(bindingOf('a', { readinessProbe: probe, livenessProbe: { ...probe, initialDelaySeconds: 10 } }))
  await clock.pass(4_000)
  assert.is(container('a')?.ready, false)
  await clock.pass(4_000)
  assert.is(container('a')?.ready, true)
  await clock.pass(60_000)
  assert.is(container('a')?.restartCount, 1)
  kubelet.stop()
})

agent('a new agent takes over what runs, also while the runtime is away', async () => {
  const { clock, runtime, link, make, container } = lab()
  const first = make()
  await first.start()
  link.bind(bindingOf('a'))
  await clock.pass(1_000)
  const before = await runtime.list()
  first.stop()
  runtime.setDown(true)
  const second = make()
  const started = second.start()
  await clock.pass(5_000)
  assert.is(link.pulses.at(-1)?.conditions.find(({ type }) => type === 'Ready')?.status, 'False')
  runtime.setDown(false)
  await clock.pass(5_000)
  await started
  await clock.pass(5_000)
  assert.equal(await runtime.list(), before)
  assert.is(container('a')?.restartCount, 0)
  second.stop()
})

agent('a pod unbound while the agent was away is removed; one of the same name is another', async () => {
  const { clock, runtime, link, make } = lab()
  const first = make()
  await first.start()
  link.bind(bindingOf('a'))
  link.bind(bindingOf('b'))
  await clock.pass(1_000)
  first.stop()
  link.unbind('default', 'a')
  link.bind(bindingOf('b', {}, {}, { uid: 'uid-new' }))
  const second = make()
  await second.start()
  await clock.pass(5_000)
  assert.equal([...new Set((await runtime.list()).map(({ identity }) => identity.podUid))], ['uid-new'])
  second.stop()
  const removed = second.removeEverything()
  await clock.pass(2_000)
  await removed
  assert.equal(await runtime.list(), [])
})

agent('of a pod that goes and was gone before the agent came, its end alone is told', async () => {
  const { clock, link, make } = lab()
  link.bind(bindingOf('a', {}, {}, { deletionTimestamp: '2026-01-01T00:00:31Z', deletionGracePeriodSeconds: 30 }))
  const kubelet = make()
  await kubelet.start()
  await clock.pass(5_000)
  assert.equal(
    link.reports.map(({ report }) => [report.status.phase, report.terminated]),
    [['Failed', true]]
  )
  kubelet.stop()
})
agent('never more than four starts at once', async () => {
  let [now, most] = [0, 0]
  const { clock, runtime, link, make } = lab()
  const start = runtime.start.bind(runtime)
  runtime.start = async (id) => {
    most = Math.max(most, ++now)
    await start(id).finally(() => now--)
  }
  const kubelet = make()
  await kubelet.start()
  for (let index = 0; index < 30; index++) link.bind(bindingOf(`p${index}`))
  await clock.pass(5_000)
  assert.is(most, 4)
  assert.is((await runtime.list()).filter(({ state }) => state === 'running').length, 60)
  kubelet.stop()
})

agent('does not run what it can not give what it was admitted for', async () => {
  const { clock, runtime, link, make, container } = lab()
  const kubelet = make()
  await kubelet.start()
  const windows = { os: { name: 'windows' } }
  const userNamespace = { hostUsers: false }
  const sandboxed = { runtimeClassName: 'gvisor' }
  for (const [name, spec, reason, message] of [
    ['windows', windows, 'PodOSNotSupported', "Failed to admit pod as the OS field doesn't match node OS"],
    [
      'users',
      userNamespace,
      'FailedCreatePodSandBox',
      "Failed to create pod sandbox: can't set `spec.hostUsers: false`, runtime does not support user namespaces"
    ],
    ['class', sandboxed, 'FailedCreatePodSandBox', 'Failed to create pod sandbox: no runtime for "gvisor" is configured']
  ] as const) {
    link.bind(bindingOf(name, {}, spec as Partial<PodSpec>))
    await clock.pass(60_000)
    assert.equal(container(name)?.state, { waiting: { reason: 'ContainerCreating' } })
    assert.is(link.last(name)?.status.phase, 'Pending')
    const told = link.notices.filter((notice) => notice.reason === reason && notice.message === message)
    assert.is(told.length, 1, 'said once, and not every few seconds')
  }
  assert.equal(await runtime.list(), [])
  link.bind(bindingOf('plain', {}, { os: { name: 'linux' }, hostUsers: true }))
  await clock.pass(1_000)
  assert.is(link.last('plain')?.status.phase, 'Running')
  kubelet.stop()
})
agent.run()
