/** What the kubelet knows of one pod when it decides. */
import { fnv1aHex } from '#events/meta/hash.ts'
import type { Container, Pod, PodStatus } from '#events/schema/generated/core.v1.ts'
import type { Observed } from '#services/platform/Runtime.ts'

/** Why something can't be done now, as the API shows it. */
export interface Fault {
  readonly reason: string
  readonly message: string
  /** Milliseconds: not tried again before. */
  readonly retryAt: number
}

export interface ProbeState {
  /** The startup probe succeeded, or there is none. */
  readonly started: boolean
  readonly ready: boolean
  /** The liveness or startup probe failed for good: the container must go. */
  readonly failed?: 'liveness' | 'startup'
}

/** What is being done to a container, or to the sandbox, at this moment. */
export type Busy = { readonly what: 'start' | 'teardown' } | { readonly what: 'stop'; readonly deadline: number }

export interface PodView {
  readonly pod: Pod
  /** False: the binding is gone. */
  readonly wanted: boolean
  /** Not gone but lost, with a part of the log: it gets its time to end. */
  readonly lost: boolean
  readonly observed: readonly Observed[]
  /** By container id. */
  readonly probes: ReadonlyMap<string, ProbeState>
  /** By container name; '' is the pod's own: volumes, sandbox, network. */
  readonly faults: ReadonlyMap<string, Fault>
  /** By container name; '' is the sandbox. */
  readonly busy: ReadonlyMap<string, Busy>
  /** What containers wrote for their termination message, by id. */
  readonly messages: ReadonlyMap<string, string>
  readonly ip: string | undefined
  readonly hostIP: string
  /** Everything of a pod that had to go is gone. */
  readonly tornDown: boolean
  readonly firstSeen: number
  /** The status as last computed in this agent's life. */
  readonly previous: PodStatus | undefined
  readonly now: number
}

const BACK_OFF_FIRST_MS = 10_000
const BACK_OFF_LAST_MS = 300_000
/** Having run this long, a container's restarts are forgiven. */
const BACK_OFF_RESET_MS = 600_000

/** 32-bit FNV-1a in hex of what, changed, means another container: its name and image, as upstream. */
export const specHash = (container: Container): string => fnv1aHex(`${container.name}\n${container.image ?? ''}`)

export const isSidecar = (container: Container): boolean => (container as { restartPolicy?: string }).restartPolicy === 'Always'

export interface Restart {
  readonly at: number
  readonly delayMs: number
  readonly level: number
}

/** When an ended container may start again, from what its labels and the runtime tell. */
export const restartOf = ({ identity, startedAt, finishedAt, createdAt }: Observed): Restart => {
  const ended = finishedAt ?? createdAt
  const level = startedAt !== undefined && ended - startedAt >= BACK_OFF_RESET_MS ? 0 : identity.backOff
  const delayMs = level === 0 ? 0 : Math.min(BACK_OFF_LAST_MS, BACK_OFF_FIRST_MS * 2 ** Math.min(level - 1, 10))
  return { at: ended + delayMs, delayMs, level: level + 1 }
}

/** The newest container of each name, and the one before it. */
export const latest = (
  observed: readonly Observed[]
): ReadonlyMap<string, { readonly now: Observed; readonly before: Observed | undefined; readonly old: readonly Observed[] }> => {
  const byName = new Map<string, Observed[]>()
  for (const one of observed) {
    const name = one.identity.container
    const list = byName.get(name)
    if (list === undefined) byName.set(name, [one])
    else list.push(one)
  }
  const order = (one: Observed): number => (one.identity.container === '' ? one.identity.sandbox : one.identity.attempt)
  return new Map(
    [...byName].map(([name, list]) => {
      const [now, before, ...old] = list.sort((a, b) => order(b) - order(a) || b.createdAt - a.createdAt)
      return [name, { now: now as Observed, before, old }]
    })
  )
}

/** An ended container's exit code; 128 when it could not be started, as with upstream's other runtimes. */
export const exitCodeOf = (one: Observed): number => (one.startError !== undefined && one.startError !== '' ? 128 : (one.exitCode ?? 0))

/** Whether its image changed since it was made. A pod that never restarts keeps what it began with. */
export const isChanged = (pod: Pod, container: Container, one: Observed): boolean =>
  pod.spec?.restartPolicy !== 'Never' && one.identity.specHash !== specHash(container)

/** Whether an ended container runs again by the pod's policy. A changed one does. */
export const runsAgain = (pod: Pod, container: Container, one: Observed): boolean => {
  if (isChanged(pod, container, one)) return true
  const policy = isSidecar(container) ? 'Always' : (pod.spec?.restartPolicy ?? 'Always')
  return policy === 'Always' || (policy === 'OnFailure' && exitCodeOf(one) !== 0)
}

/** Past its activeDeadlineSeconds no container of a pod may run. */
export const isPastDeadline = ({ pod, now, observed, firstSeen }: PodView): boolean => {
  const seconds = pod.spec?.activeDeadlineSeconds
  return seconds !== undefined && now >= podStart(observed, firstSeen) + seconds * 1000
}

export const podStart = (observed: readonly Observed[], firstSeen: number): number =>
  observed.reduce((first, { identity }) => (identity.podStart > 0 ? Math.min(first, identity.podStart) : first), firstSeen)
