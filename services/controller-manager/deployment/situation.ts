/** What a decision about a deployment looks at, and the names it knows. */
import type { Deployment, DeploymentSpec, ReplicaSet } from '#events/schema/generated/apps.v1.ts'
import type { ObjectsView } from '#projections/Objects.ts'

export const NAME = 'deployment-controller'

export const HASH_LABEL = 'pod-template-hash'
export const REVISION = 'deployment.kubernetes.io/revision'
export const REVISION_HISTORY = 'deployment.kubernetes.io/revision-history'
export const DESIRED = 'deployment.kubernetes.io/desired-replicas'
export const MOST = 'deployment.kubernetes.io/max-replicas'
/** Annotations that are about the deployment's own keeping, not its users'. */
export const NOT_COPIED: ReadonlySet<string> = new Set([
  'kubectl.kubernetes.io/last-applied-configuration',
  REVISION,
  REVISION_HISTORY,
  DESIRED,
  MOST,
  'deprecated.deployment.rollback.to'
])

export interface Situation {
  readonly view: ObjectsView
  readonly deployment: Deployment
  readonly spec: DeploymentSpec
  /** The deployment's ReplicaSets that are not going, oldest first. */
  readonly sets: readonly ReplicaSet[]
  /** The set of the deployment's present template. */
  readonly current: ReplicaSet | undefined
  readonly old: readonly ReplicaSet[]
  /** The name of the set this decision creates. */
  readonly created?: string
  /** Milliseconds. */
  readonly now: number
}
