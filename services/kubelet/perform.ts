/** Carries out one action on a pod. What goes wrong comes back as the fault the pod then shows. */
import type { Container, Pod } from '#events/schema/generated/core.v1.ts'
import type { Binding } from '#events/node/messages.ts'
import { sleep, type Clock } from '#services/platform/Clock.ts'
import { ConfigError, environment, type PodFacts } from './container/env.ts'
import { containerSpec, sandboxSpec, type Machine } from './container/spec.ts'
import type { Action } from './decide.ts'
import { StartFault, wordsOf, type Images, type Tell } from './Images.ts'
import type { PodNetwork } from './PodNetwork.ts'
import { specHash } from './PodView.ts'
import type { Prober, ProbeAction } from './probes/Prober.ts'
import { refusalOf } from './refuse.ts'
import type { Identity, Observed, Runtime } from '#services/platform/Runtime.ts'
import type { Slots } from './Slots.ts'
import { containersOf } from './status.ts'
import { MountError } from './volumes/content.ts'
import type { PodFiles } from './volumes/PodFiles.ts'

export interface Tools {
  readonly runtime: Runtime
  readonly network: PodNetwork
  readonly files: PodFiles
  readonly images: Images
  readonly prober: Prober
  readonly clock: Clock
  readonly machine: Machine
  readonly pauseImage: string
  readonly node: string
  readonly hostIP: string
  /** Starts at once. */
  readonly slots: Slots
}

/** One pod, as far as performing needs it. */
export interface Target {
  readonly binding: Binding
  readonly podStart: number
  readonly ip: string | undefined
  readonly tell: (container: string) => Tell
  onIp(ip: string | undefined): void
}

/** Failures of the machine rather than of the pod: tried again after this long. */
const RETRY_MS = 5_000
const CONFIG_RETRY_MS = 10_000
/** What is refused stays refused: it is only said again now and then. */
const REFUSED_RETRY_MS = 300_000
/** What upstream leaves a container after its preStop hook used up the grace. */
const MINIMUM_GRACE_S = 2

const identityOf = (
  pod: Pod,
  rest: Pick<Identity, 'container' | 'sandbox' | 'attempt' | 'backOff' | 'specHash' | 'podStart'>
): Identity => ({
  podUid: pod.metadata?.uid as string,
  namespace: pod.metadata?.namespace as string,
  pod: pod.metadata?.name as string,
  ...rest
})

const factsOf = (tools: Tools, { binding, ip }: Target): PodFacts => ({
  podIP: binding.pod.spec?.hostNetwork === true ? tools.hostIP : (ip ?? ''),
  hostIP: tools.hostIP,
  nodeName: tools.node,
  cores: tools.machine.cores,
  memory: tools.machine.memory
})

const plumb = async (tools: Tools, target: Target, sandbox: Observed): Promise<void> => {
  const { namespace = '', name = '', uid = '' } = target.binding.pod.metadata ?? {}
  try {
    const { ip } = await tools.network.setup({ podUid: uid, namespace, name, pausePid: sandbox.pid })
    target.onIp(ip)
  } catch (error) {
    const message = `Failed to create pod sandbox: failed to set up the network of pod "${name}_${namespace}": ${wordsOf(error)}`
    target.tell('')('Warning', 'FailedCreatePodSandBox', message)
    throw new StartFault('FailedCreatePodSandBox', message, tools.clock.now() + RETRY_MS)
  }
}

const prepare = async (tools: Tools, target: Target): Promise<void> => {
  try {
    await tools.files.prepare(target.binding, factsOf(tools, target))
  } catch (error) {
    target.tell('')('Warning', 'FailedMount', wordsOf(error))
    throw new StartFault('ContainerCreating', wordsOf(error), tools.clock.now() + RETRY_MS)
  }
}

const startSandbox = async (tools: Tools, target: Target, sandbox: number): Promise<void> => {
  const { pod } = target.binding
  const refusal = refusalOf(pod)
  if (refusal !== undefined) {
    target.tell('')('Warning', refusal.reason, refusal.message)
    throw new StartFault(refusal.reason, refusal.message, tools.clock.now() + REFUSED_RETRY_MS)
  }
  await prepare(tools, target)
  const identity = identityOf(pod, { container: '', sandbox, attempt: 0, backOff: 0, specHash: '', podStart: target.podStart })
  let observed: Observed
  try {
    observed = await tools.slots.run(() => tools.runtime.startSandbox(sandboxSpec(pod, identity, tools.pauseImage)))
  } catch (error) {
    const message = `Failed to create pod sandbox: ${wordsOf(error)}`
    target.tell('')('Warning', 'FailedCreatePodSandBox', message)
    throw new StartFault('FailedCreatePodSandBox', message, tools.clock.now() + RETRY_MS)
  }
  if (pod.spec?.hostNetwork !== true) await plumb(tools, target, observed)
}

const startContainer = async (tools: Tools, target: Target, action: Extract<Action, { type: 'start-container' }>): Promise<void> => {
  const { binding } = target
  const { clock, runtime } = tools
  const container = containersOf(binding.pod).find(({ name }) => name === action.name) as Container
  const tell = target.tell(container.name)
  const image = await tools.images.ensure(binding, container, tell)
  const fail = (reason: string, error: unknown, retryMs: number): never => {
    tell('Warning', 'Failed', `Error: ${wordsOf(error)}`)
    throw new StartFault(reason, wordsOf(error), clock.now() + retryMs)
  }
  const facts = factsOf(tools, target)
  const identity = identityOf(binding.pod, {
    container: container.name,
    sandbox: action.sandbox.identity.sandbox,
    attempt: action.attempt,
    backOff: action.backOff,
    specHash: specHash(container),
    podStart: target.podStart
  })
  let id: string
  try {
    const env = environment(binding, container, facts)
    const mounts = await tools.files.mounts(binding, container, action.attempt, facts, env)
    const spec = containerSpec(binding.pod, container, identity, action.sandbox, image, env, mounts, tools.machine)
    id = await tools.slots.run(async () => {
      const made = await runtime.create(spec)
      tell('Normal', 'Created', `Created container: ${container.name}`)
      // A program that can't be started is a container that ended: it counts, and backs off, like any other.
      await runtime.start(made).catch((error: unknown) => fail('RunContainerError', error, 0))
      return made
    })
  } catch (error) {
    if (error instanceof StartFault) throw error
    if (error instanceof ConfigError || error instanceof MountError) return fail('CreateContainerConfigError', error, CONFIG_RETRY_MS)
    return fail('CreateContainerError', error, CONFIG_RETRY_MS)
  }
  tell('Normal', 'Started', `Started container ${container.name}`)
  const hook = container.lifecycle?.postStart
  if (hook === undefined) return
  const outcome = await tools.prober.probe(hook as ProbeAction, { containerId: id, container, ip: facts.podIP }, 30_000)
  if (outcome.ok) return
  tell('Warning', 'FailedPostStartHook', 'PostStartHook failed')
  tell('Normal', 'Killing', 'FailedPostStartHook')
  await runtime.stop(id, binding.pod.spec?.terminationGracePeriodSeconds ?? 30)
}

const stopContainer = async (
  tools: Tools,
  target: Target,
  { container: observed, graceSeconds, message }: Extract<Action, { type: 'stop-container' }>
): Promise<void> => {
  const { binding } = target
  const name = observed.identity.container
  const tell = target.tell(name)
  tell('Normal', 'Killing', message)
  const container = containersOf(binding.pod).find((one) => one.name === name)
  const hook = container?.lifecycle?.preStop as (ProbeAction & { sleep?: { seconds: number } }) | undefined
  let left = graceSeconds
  if (hook !== undefined && container !== undefined && graceSeconds > 0) {
    const began = tools.clock.now()
    if (hook.sleep !== undefined) await sleep(tools.clock, Math.min(hook.sleep.seconds, graceSeconds) * 1000)
    else {
      const outcome = await tools.prober.probe(
        hook,
        { containerId: observed.id, container, ip: factsOf(tools, target).podIP },
        graceSeconds * 1000
      )
      if (!outcome.ok) tell('Warning', 'FailedPreStopHook', 'PreStopHook failed')
    }
    left = Math.max(MINIMUM_GRACE_S, graceSeconds - (tools.clock.now() - began) / 1000)
  }
  await tools.runtime.stop(observed.id, left)
}

const teardown = async (tools: Tools, target: Target, containers: readonly Observed[]): Promise<void> => {
  const uid = target.binding.pod.metadata?.uid as string
  await tools.network.teardown(uid)
  target.onIp(undefined)
  // Apps before the sandbox whose namespaces they are in.
  const [sandboxes, apps] = [
    containers.filter(({ identity }) => identity.container === ''),
    containers.filter(({ identity }) => identity.container !== '')
  ]
  await Promise.all(apps.map(({ id }) => tools.runtime.remove(id)))
  await Promise.all(sandboxes.map(({ id }) => tools.runtime.remove(id)))
  await tools.files.remove(uid)
  tools.images.forget(uid)
}

/** Rejects with a StartFault; anything else is the runtime not answering, or a bug. */
export const perform = async (tools: Tools, target: Target, action: Action): Promise<void> => {
  switch (action.type) {
    case 'start-sandbox':
      return startSandbox(tools, target, action.sandbox)
    case 'setup-network':
      return plumb(tools, target, action.sandbox)
    case 'start-container':
      return startContainer(tools, target, action)
    case 'stop-container':
      return stopContainer(tools, target, action)
    case 'stop-sandbox':
      await tools.network.teardown(target.binding.pod.metadata?.uid as string)
      target.onIp(undefined)
      await tools.files.release(target.binding.pod.metadata?.uid as string)
      return tools.runtime.stop(action.sandbox.id, 0)
    case 'remove':
      return void (await Promise.all(action.containers.map(({ id }) => tools.runtime.remove(id))))
    case 'teardown':
      return teardown(tools, target, action.containers)
  }
}
