/** What a check of the Pod Security Standards is: a plain function of a pod's metadata and spec, in the version it began with. */
import type { Container, PodSpec } from '#events/schema/generated/core.v1.ts'
import type { ObjectMeta } from '#events/KubeObject.ts'

/** What a check looks at: a pod, or the pod template of a workload. */
export interface Subject {
  readonly metadata: Pick<ObjectMeta, 'annotations'>
  readonly spec: PodSpec
}

export interface Violation {
  /** Short, for lists of many pods: `hostPort`. */
  readonly reason: string
  /** What of this pod it is: `container "web" uses hostPort 80`. */
  readonly detail: string
}

export type CheckPod = (subject: Subject) => Violation | undefined

export interface CheckVersion {
  /** The minor version of Kubernetes whose standards first say so. */
  readonly since: number
  readonly check: CheckPod
  /** Ids of baseline checks this one says more strictly; they are left out where it runs. */
  readonly overrides?: readonly string[]
}

/** One check; its id decides the place of its words in a message, so ids are upstream's. */
export interface Check {
  readonly id: string
  /** Baseline checks hold for restricted pods, too. */
  readonly level: 'baseline' | 'restricted'
  /** Oldest first. */
  readonly versions: readonly CheckVersion[]
}

/** Every container, in the order messages name them. */
export const containersOf = ({ initContainers = [], containers = [], ephemeralContainers = [] }: PodSpec): readonly Container[] => [
  ...initContainers,
  ...containers,
  ...(ephemeralContainers as readonly Container[])
]

/** Names of the containers a rule finds fault with. */
export const offenders = (spec: PodSpec, bad: (container: Container) => boolean): string[] =>
  containersOf(spec)
    .filter(bad)
    .map(({ name }) => name)

/** Root in such a pod is nobody on its node. */
export const hasUserNamespace = (spec: PodSpec): boolean => spec.hostUsers === false

export const isWindows = (spec: PodSpec): boolean => spec.os?.name === 'windows'

export const isGiven = (value: unknown): boolean => value !== undefined && value !== null
