/** What a decision about a deployment looks at, and the names it knows. */
import type { KubeObject } from '#events/KubeObject.ts'
import type { IntOrString } from '#events/meta/IntOrString.ts'
import type { ObjectsView } from '#projections/Objects.ts'

export const NAME = 'deployment-controller'
export const DEPLOYMENTS = { group: 'apps', resource: 'deployments' }
export const REPLICASETS = { group: 'apps', resource: 'replicasets' }
export const PODS = { group: '', resource: 'pods' }

export const HASH_LABEL = 'pod-template-hash'
export const REVISION = 'deployment.kubernetes.io/revision'
export const REVISION_HISTORY = 'deployment.kubernetes.io/revision-history'
export const DESIRED = 'deployment.kubernetes.io/desired-replicas'
export const MOST = 'deployment.kubernetes.io/max-replicas'
/** Annotations that are about the deployment's own keeping, not its users'. */
export const NOT_COPIED: ReadonlySet<string> = new Set(['kubectl.kubernetes.io/last-applied-configuration', REVISION, REVISION_HISTORY, DESIRED, MOST, 'deprecated.deployment.rollback.to'])

export interface DeploymentSpec {
  readonly replicas?: number
  readonly paused?: boolean
  readonly minReadySeconds?: number
  readonly revisionHistoryLimit?: number
  readonly progressDeadlineSeconds?: number
  readonly selector: { readonly matchLabels?: Readonly<Record<string, string>> }
  readonly template: { readonly metadata?: KubeObject['metadata']; readonly spec: Record<string, unknown> }
  readonly strategy?: { readonly type?: string; readonly rollingUpdate?: { readonly maxSurge?: IntOrString; readonly maxUnavailable?: IntOrString } }
}

export interface Situation {
  readonly view: ObjectsView
  readonly deployment: KubeObject
  readonly spec: DeploymentSpec
  /** The deployment's ReplicaSets that are not going, oldest first. */
  readonly sets: readonly KubeObject[]
  /** The set of the deployment's present template. */
  readonly current: KubeObject | undefined
  readonly old: readonly KubeObject[]
  /** The name of the set this decision creates. */
  readonly created?: string
  /** Milliseconds. */
  readonly now: number
}
