/** How a pod reads in a table: its Status cell says the one thing that matters most right now. */
import type { ContainerState, ContainerStatus, Pod, PodSpec, PodStatus } from '#events/schema/generated/core.v1.ts'
import type { Column } from '#events/Kind.ts'
import { conditionIn, type Condition } from '#events/meta/Conditions.ts'
import { humanDuration } from '#events/meta/Duration.ts'
import { age, AGE, NAME, orNone, text, wide } from '#events/meta/Table.ts'

export const COLUMNS: readonly Column[] = [
  NAME,
  text('Ready', 'The aggregate readiness state of this pod for accepting traffic.'),
  text('Status', 'The aggregate status of the containers in this pod.'),
  text(
    'Restarts',
    'The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.'
  ),
  AGE,
  wide('IP', 'The address of the pod.'),
  wide('Node', 'The node the pod runs on.'),
  wide('Nominated Node', 'The node the pod waits for.'),
  wide('Readiness Gates', 'The conditions that count for readiness besides the containers.')
]

interface Summary {
  reason: string
  ready: number
  restarts: number
  /** Milliseconds; 0 when no container ever ended. */
  lastRestart: number
}

const finishedAt = (status: ContainerStatus): number => {
  const at = status.lastState?.terminated?.finishedAt
  return at === undefined || at === null ? 0 : Date.parse(at)
}

const ended = ({ reason, signal, exitCode }: NonNullable<ContainerState['terminated']>): string =>
  reason ? reason : signal ? `Signal:${signal}` : `ExitCode:${exitCode}`

const truth = (conditions: readonly Condition[] | undefined, type: string): boolean => conditionIn(conditions, type)?.status === 'True'

/** What init containers say; `initializing` until all have done their part. */
const summarizeInit = (
  spec: PodSpec,
  status: PodStatus,
  summary: Summary
): { initializing: boolean; restarts: number; lastRestart: number } => {
  const sidecars = new Set((spec.initContainers ?? []).filter((container) => container.restartPolicy === 'Always').map(({ name }) => name))
  const total = spec.initContainers?.length ?? 0
  const sidecar = { restarts: 0, lastRestart: 0 }
  for (const [index, container] of (status.initContainerStatuses ?? []).entries()) {
    summary.restarts += container.restartCount ?? 0
    summary.lastRestart = Math.max(summary.lastRestart, finishedAt(container))
    const isSidecar = sidecars.has(container.name)
    if (isSidecar) {
      sidecar.restarts += container.restartCount ?? 0
      sidecar.lastRestart = Math.max(sidecar.lastRestart, finishedAt(container))
    }
    const { terminated, waiting } = container.state ?? {}
    if (terminated && terminated.exitCode === 0) continue
    if (isSidecar && container.started === true) {
      if (container.ready) summary.ready++
      continue
    }
    if (terminated) summary.reason = `Init:${ended(terminated)}`
    else if (waiting?.reason && waiting.reason !== 'PodInitializing') summary.reason = `Init:${waiting.reason}`
    else summary.reason = `Init:${index}/${total}`
    return { initializing: true, ...sidecar }
  }
  return { initializing: false, ...sidecar }
}

const summarizeContainers = (status: PodStatus, summary: Summary): void => {
  let running = false
  for (const container of [...(status.containerStatuses ?? [])].reverse()) {
    summary.restarts += container.restartCount ?? 0
    summary.lastRestart = Math.max(summary.lastRestart, finishedAt(container))
    const { waiting, terminated, running: runs } = container.state ?? {}
    if (waiting?.reason) summary.reason = waiting.reason
    else if (terminated) summary.reason = ended(terminated)
    else if (container.ready && runs) {
      running = true
      summary.ready++
    }
  }
  // One container may have finished while another still serves.
  if (summary.reason === 'Completed' && running) summary.reason = truth(status.conditions, 'Ready') ? 'Running' : 'NotReady'
}

const summarize = (pod: Pod): Summary => {
  const spec = pod.spec ?? {}
  const status = pod.status ?? {}
  const summary: Summary = { reason: status.reason || status.phase || '', ready: 0, restarts: 0, lastRestart: 0 }
  const conditions = status.conditions
  const scheduled = conditionIn(conditions, 'PodScheduled')
  if (scheduled?.reason === 'SchedulingGated') summary.reason = 'SchedulingGated'
  const init = summarizeInit(spec, status, summary)
  if (!init.initializing || truth(conditions, 'Initialized')) {
    // Restarts of init containers that are done no longer say anything about the pod.
    summary.restarts = init.restarts
    summary.lastRestart = init.lastRestart
    summarizeContainers(status, summary)
  }
  if (pod.metadata.deletionTimestamp) {
    if (status.reason === 'NodeLost') summary.reason = 'Unknown'
    else if (status.phase !== 'Succeeded' && status.phase !== 'Failed') summary.reason = 'Terminating'
  }
  return summary
}

const gates = (spec: PodSpec, status: PodStatus): string => {
  const wanted = spec.readinessGates ?? []
  if (wanted.length === 0) return '<none>'
  return `${wanted.filter(({ conditionType }) => truth(status.conditions, conditionType)).length}/${wanted.length}`
}

export const podRow = (pod: Pod, now: number): (string | number)[] => {
  const spec = pod.spec ?? {}
  const status = pod.status ?? {}
  const summary = summarize(pod)
  const sidecars = (spec.initContainers ?? []).filter((container) => container.restartPolicy === 'Always').length
  const restarts =
    summary.restarts > 0 && summary.lastRestart > 0
      ? `${summary.restarts} (${humanDuration(now - summary.lastRestart)} ago)`
      : String(summary.restarts)
  return [
    pod.metadata.name ?? '',
    `${summary.ready}/${(spec.containers?.length ?? 0) + sidecars}`,
    summary.reason,
    restarts,
    age(pod, now),
    orNone(status.podIP),
    orNone(spec.nodeName),
    orNone(status.nominatedNodeName),
    gates(spec, status)
  ]
}

export const podRowConditions = (pod: Pod): { type: string; status: string; reason: string; message: string }[] | undefined => {
  switch (pod.status?.phase) {
    case 'Succeeded':
      return [{ type: 'Completed', status: 'True', reason: 'Succeeded', message: 'The pod has completed successfully.' }]
    case 'Failed':
      return [{ type: 'Completed', status: 'True', reason: 'Failed', message: 'The pod failed.' }]
    default:
      return undefined
  }
}
