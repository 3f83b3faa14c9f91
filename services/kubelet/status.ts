/** A pod's status as its node sees it: phase, conditions and container statuses, from what was observed. */
import type {
  Container,
  ContainerState,
  ContainerStateTerminated,
  ContainerStatus,
  Pod,
  PodCondition,
  PodStatus
} from '#events/schema/generated/core.v1.ts'
import type { Observed } from '#services/platform/Runtime.ts'
import { exitCodeOf, isChanged, isPastDeadline, isSidecar, latest, podStart, restartOf, runsAgain, type PodView } from './PodView.ts'
import { qosClassOf } from '#events/core/pod/qos.ts'
import { goDuration, NO_TIME, timestamp } from '#events/meta/time.ts'

export const isTerminal = (status: PodStatus | undefined): boolean => status?.phase === 'Succeeded' || status?.phase === 'Failed'
export const isTerminating = ({ pod, wanted }: PodView): boolean => !wanted || pod.metadata?.deletionTimestamp !== undefined

type ByName = ReturnType<typeof latest>

const terminated = (view: PodView, one: Observed): ContainerStateTerminated => {
  const message = one.startError !== undefined && one.startError !== '' ? one.startError : view.messages.get(one.id)
  const exitCode = exitCodeOf(one)
  return {
    exitCode,
    reason:
      one.startError !== undefined && one.startError !== ''
        ? 'StartError'
        : one.oomKilled === true
          ? 'OOMKilled'
          : exitCode === 0
            ? 'Completed'
            : 'Error',
    ...(message === undefined || message === '' ? {} : { message }),
    startedAt: timestamp(one.startedAt ?? 0),
    finishedAt: timestamp(one.finishedAt ?? one.createdAt),
    containerID: `docker://${one.id}`
  }
}

const containerStatus = (view: PodView, container: Container, byName: ByName, init: boolean): ContainerStatus => {
  const { name } = container
  const known = byName.get(name)
  const before = (init ? view.previous?.initContainerStatuses : view.previous?.containerStatuses)?.find((status) => status.name === name)
  const fault = view.faults.get(name)
  // Everything of the pod is removed at once: an older container may be seen when the newest is gone.
  const outlasts = isTerminating(view) && known !== undefined && known.now.identity.attempt < (before?.restartCount ?? 0)
  const now = outlasts ? undefined : known?.now
  if (now === undefined || (now.state === 'created' && known?.before === undefined)) {
    // Removed after it had ended: what was said of it last stays true.
    if (before?.state?.terminated !== undefined || (before?.state?.running !== undefined && view.tornDown))
      return { ...before, ready: init && before.ready, started: false }
    // As upstream: with init containers every container that is not there yet waits for the pod to be initialized, the first of them too.
    const reason = (view.pod.spec?.initContainers ?? []).length > 0 ? 'PodInitializing' : 'ContainerCreating'
    const waiting = fault ?? { reason, message: undefined }
    return {
      name,
      image: container.image ?? '',
      imageID: '',
      ready: false,
      started: false,
      restartCount: 0,
      state: { waiting: { reason: waiting.reason, ...(waiting.message === undefined ? {} : { message: waiting.message }) } },
      lastState: {}
    }
  }
  const probe = view.probes.get(now.id)
  const shown = now.state === 'created' ? (known?.before as Observed) : now
  const running = shown.state === 'running'
  const started = running && (probe === undefined ? container.startupProbe === undefined : probe.started)
  const ready = running
    ? started && (probe === undefined ? container.readinessProbe === undefined : probe.ready)
    : init && !isSidecar(container) && exitCodeOf(shown) === 0
  const older = known?.before !== undefined && known.before.id !== shown.id ? known.before : undefined
  let state: ContainerState = running
    ? { running: { startedAt: timestamp(shown.startedAt ?? shown.createdAt) } }
    : { terminated: terminated(view, shown) }
  let lastState: ContainerState = older === undefined || older.state !== 'exited' ? {} : { terminated: terminated(view, older) }
  if (
    !running &&
    !isTerminating(view) &&
    !(init && exitCodeOf(shown) === 0 && !isSidecar(container)) &&
    runsAgain(view.pod, container, shown)
  ) {
    const restart = restartOf(shown)
    const { namespace, name: podName, uid } = view.pod.metadata ?? {}
    const waiting =
      fault ??
      (restart.delayMs > 0 && restart.at > view.now
        ? {
            reason: 'CrashLoopBackOff',
            message: `back-off ${goDuration(restart.delayMs / 1000)} restarting failed container=${name} pod=${podName}_${namespace}(${uid})`
          }
        : undefined)
    if (waiting !== undefined) {
      lastState = state
      state = { waiting: { reason: waiting.reason, message: waiting.message } }
    }
  }
  return {
    name,
    image: shown.image,
    imageID: shown.imageId === '' ? '' : `docker://${shown.imageId}`,
    containerID: `docker://${shown.id}`,
    ready,
    started: init && !isSidecar(container) ? running : started,
    restartCount: shown.identity.attempt,
    state,
    lastState
  }
}

/** Init containers that have not done their part. An app container that exists proves that all have. */
export const incompleteInit = (view: PodView, byName: ByName): string[] => {
  const { initContainers = [], containers = [] } = view.pod.spec ?? {}
  const sandbox = byName.get('')?.now
  if (containers.some(({ name }) => byName.get(name)?.now.identity.sandbox === sandbox?.identity.sandbox && sandbox !== undefined))
    return []
  if (sandbox === undefined) return isTerminal(view.previous) ? [] : initContainers.map(({ name }) => name)
  return initContainers
    .filter((container) => {
      const now = byName.get(container.name)?.now
      if (now === undefined || now.identity.sandbox !== sandbox.identity.sandbox) return true
      if (isSidecar(container))
        return now.state !== 'running' || !(view.probes.get(now.id)?.started ?? container.startupProbe === undefined)
      return now.state !== 'exited' || exitCodeOf(now) !== 0
    })
    .map(({ name }) => name)
}

const phaseOf = (
  view: PodView,
  byName: ByName,
  init: readonly ContainerStatus[],
  apps: readonly ContainerStatus[],
  pendingInit: boolean
): string => {
  if (isTerminal(view.previous)) return view.previous?.phase as string
  const policy = view.pod.spec?.restartPolicy ?? 'Always'
  const initContainers = view.pod.spec?.initContainers ?? []
  const failedInit = init.some(
    (status, at) =>
      !isSidecar(initContainers[at] as Container) && status.state?.terminated !== undefined && status.state.terminated.exitCode !== 0
  )
  if (isTerminating(view)) {
    const all = [...init.filter((_, at) => !isSidecar(initContainers[at] as Container)), ...apps]
    if (apps.some(({ state }) => state?.running !== undefined)) return 'Running'
    if (!view.tornDown) return view.previous?.phase ?? (apps.some(({ state }) => state?.terminated !== undefined) ? 'Running' : 'Pending')
    return apps.every(({ state }) => state?.terminated !== undefined) && all.every(({ state }) => state?.terminated?.exitCode === 0)
      ? 'Succeeded'
      : 'Failed'
  }
  if (isPastDeadline(view)) return apps.some(({ state }) => state?.running !== undefined) ? 'Running' : 'Failed'
  if (failedInit && policy === 'Never') return 'Failed'
  if (pendingInit) return 'Pending'
  let [waiting, running, stopped, succeeded] = [0, 0, 0, 0]
  for (const { name, state, lastState } of apps) {
    if (state?.running !== undefined) running++
    else if (state?.terminated !== undefined) {
      stopped++
      const container = view.pod.spec?.containers.find((one) => one.name === name) as Container
      const now = byName.get(name)?.now
      // One that was stopped to be replaced has not done its work, whatever its exit code.
      if (state.terminated.exitCode === 0 && (now === undefined || !isChanged(view.pod, container, now))) succeeded++
    } else if (lastState?.terminated !== undefined) stopped++
    else waiting++
  }
  if (waiting > 0) return 'Pending'
  if (running > 0 || policy === 'Always') return 'Running'
  if (stopped > 0 && stopped === succeeded) return 'Succeeded'
  return policy === 'Never' ? 'Failed' : 'Running'
}

interface Draft {
  readonly type: string
  readonly status: boolean
  readonly reason?: string
  readonly message?: string
  /** When it became so, for a pod this agent has not reported yet. */
  readonly since: number
}

const conditionsOf = (
  view: PodView,
  byName: ByName,
  phase: string,
  incomplete: readonly string[],
  apps: readonly ContainerStatus[]
): PodCondition[] => {
  const { pod, previous, now, observed, firstSeen } = view
  const start = podStart(observed, firstSeen)
  const sandbox = byName.get('')?.now
  const unready = apps.filter(({ ready }) => !ready).map(({ name }) => name)
  const sandboxUp = sandbox?.state === 'running' && (view.ip !== undefined || pod.spec?.hostNetwork === true)
  const sandboxSince = sandbox?.startedAt ?? start
  const appsSince = Math.max(sandboxSince, ...(pod.spec?.containers ?? []).map(({ name }) => byName.get(name)?.now.startedAt ?? 0))
  const ended = phase === 'Succeeded' ? { reason: 'PodCompleted' } : phase === 'Failed' ? { reason: 'PodFailed' } : undefined
  const readiness =
    ended ??
    (unready.length === 0 ? {} : { reason: 'ContainersNotReady', message: `containers with unready status: [${unready.join(' ')}]` })
  const ready = ended === undefined && unready.length === 0
  const gates = pod.spec?.readinessGates ?? []
  const drafts: Draft[] = [
    { type: 'PodReadyToStartContainers', status: sandboxUp, since: sandboxUp ? sandboxSince : start },
    {
      type: 'Initialized',
      status: incomplete.length === 0 || phase === 'Succeeded',
      ...(phase === 'Succeeded'
        ? { reason: 'PodCompleted' }
        : incomplete.length === 0
          ? {}
          : { reason: 'ContainersNotInitialized', message: `containers with incomplete status: [${incomplete.join(' ')}]` }),
      since: start
    },
    ready && gates.length > 0
      ? {
          type: 'Ready',
          status: false,
          reason: 'ReadinessGatesNotReady',
          message: gates
            .map(({ conditionType }) => `corresponding condition of pod readiness gate "${conditionType}" does not exist.`)
            .join(', '),
          since: start
        }
      : { type: 'Ready', status: ready, ...readiness, since: ready ? appsSince : start },
    { type: 'ContainersReady', status: ready, ...readiness, since: ready ? appsSince : start }
  ]
  const generation = pod.metadata?.generation
  return drafts.map(({ type, status, reason, message, since }) => {
    const old = previous?.conditions?.find((condition) => condition.type === type)
    const text = status ? 'True' : 'False'
    return {
      type,
      status: text,
      ...(generation === undefined ? {} : { observedGeneration: generation }),
      lastProbeTime: NO_TIME,
      lastTransitionTime: old === undefined ? timestamp(since) : old.status === text ? (old.lastTransitionTime as string) : timestamp(now),
      ...(reason === undefined ? {} : { reason }),
      ...(message === undefined ? {} : { message })
    }
  })
}

export const statusOf = (view: PodView): PodStatus => {
  const { pod, previous } = view
  const byName = latest(view.observed)
  const { initContainers = [], containers = [] } = pod.spec ?? {}
  const incomplete = incompleteInit(view, byName)
  const init = initContainers.map((container) => containerStatus(view, container, byName, true))
  const apps = containers.map((container) => containerStatus(view, container, byName, false))
  const phase = phaseOf(view, byName, init, apps, incomplete.length > 0)
  const ip = pod.spec?.hostNetwork === true ? view.hostIP : (view.ip ?? previous?.podIP)
  const generation = pod.metadata?.generation
  const deadline = phase === 'Failed' && isPastDeadline(view) && !isTerminating(view)
  return {
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    phase,
    ...(deadline
      ? { reason: 'DeadlineExceeded', message: 'Pod was active on the node longer than the specified deadline' }
      : previous?.reason === undefined
        ? {}
        : { reason: previous.reason, message: previous.message as string }),
    conditions: conditionsOf(view, byName, phase, incomplete, apps),
    hostIP: view.hostIP,
    hostIPs: [{ ip: view.hostIP }],
    ...(ip === undefined ? {} : { podIP: ip, podIPs: [{ ip }] }),
    startTime: previous?.startTime ?? timestamp(podStart(view.observed, view.firstSeen)),
    ...(init.length === 0 ? {} : { initContainerStatuses: init }),
    containerStatuses: apps,
    qosClass: qosClassOf(pod.spec ?? { containers: [] })
  } as PodStatus
}

/** Containers of the pod by name, init ones first. */
export const containersOf = (pod: Pod): readonly Container[] => [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])]
