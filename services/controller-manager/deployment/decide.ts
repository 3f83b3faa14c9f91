/** The Deployment controller's decision: which ReplicaSet is the new one, how large each may be, and how it stands. */
import type { DeploymentSpec } from '#events/schema/generated/apps.v1.ts'
import { DEPLOYMENTS, PODS, REPLICASETS } from '#events/collections.ts'
import { Deployment } from '#events/apps/Deployment.ts'
import { ReplicaSet } from '#events/apps/ReplicaSet.ts'
import { controllerOf, type KubeObject } from '#events/KubeObject.ts'
import { same } from '#events/meta/faults.ts'
import { matchesSelector } from '#events/meta/LabelSelector.ts'
import type { ObjectsView } from '#projections/Objects.ts'
import { NOTHING, type Ask, type DecideContext, type Decision } from '#services/platform/decision.ts'
import { create, merge, remove, update } from '#services/controller-manager/asks.ts'
import { isTerminating } from '#services/controller-manager/pods.ts'
import { record } from '#services/controller-manager/recorder.ts'
import { availableOf, limitsOf, newReplicas, oldReplicas, podsOf, proportional, replicasOf } from './rollout.ts'
import { DESIRED, HASH_LABEL, MOST, NAME, NOT_COPIED, REVISION, REVISION_HISTORY, type Situation } from './situation.ts'
import { deadlineOf, isComplete, statusAsks } from './status.ts'
import { sameTemplate, templateHash } from './template.ts'

const byAge = (a: KubeObject, b: KubeObject): number =>
  Date.parse(a.metadata.creationTimestamp ?? '') - Date.parse(b.metadata.creationTimestamp ?? '') ||
  ((a.metadata.name as string) < (b.metadata.name as string) ? -1 : 1)
/** As large as upstream's, which are of 64 bits; a number of JavaScript would lose the last digits of a large one. */
const revisionOf = (object: KubeObject): bigint => {
  const said = object.metadata.annotations?.[REVISION] ?? ''
  return /^\d{1,19}$/.test(said) ? BigInt(said) : 0n
}

const byRevision = (a: KubeObject, b: KubeObject): number => Number(revisionOf(a) > revisionOf(b)) - Number(revisionOf(a) < revisionOf(b))

export const decide = (view: ObjectsView, key: string, { now }: DecideContext): Decision => {
  const at = key.indexOf('/')
  const entry = view.get({ ...DEPLOYMENTS, namespace: key.slice(0, at), name: key.slice(at + 1) })
  if (entry === undefined) return NOTHING
  const deployment = entry.object
  const spec = deployment.spec
  const owned = [...view.collection(REPLICASETS).indexed('owner', deployment.metadata.uid as string)]
    .map(({ object }) => object)
    .filter((set) => controllerOf(set)?.uid === deployment.metadata.uid && !isTerminating(set))
  const sets = owned.filter((set) => matchesSelector(spec.selector, set.metadata.labels)).sort(byAge)
  // By its template; or by its name, when what is filled into templates has changed since it was made.
  const current =
    sets.find((set) => sameTemplate(set.spec.template, spec.template)) ?? sets.find((set) => set.metadata.name === setName(deployment))
  const old = sets.filter((set) => set !== current)
  const it: Situation = { view, deployment, spec, sets, current, old, now }
  if (isTerminating(deployment)) return { asks: statusAsks(it) }
  const claims = claimAsks(it, owned)
  // Whose sets are whose comes first: sizes are decided once that is settled.
  if (claims.length > 0) return { asks: claims }
  if (spec.paused === true || scaledSince(it)) return finish(it, apply(it, scaled(it)))
  if (spec.strategy?.type === 'Recreate' && (old.some((set) => replicasOf(set) > 0) || oldPodsLeft(it)))
    return finish(it, apply(it, new Map(old.map((set) => [set, 0]))))
  if (current === undefined) return createCurrent(it)
  return finish(it, [...apply(it, rolled(it, current)), ...cleanUp(it)])
}

const collisionsOf = (deployment: Deployment): number => deployment.status?.collisionCount ?? 0

/** The name of the set for the present template. */
const setName = (deployment: Deployment): string =>
  `${(deployment.metadata.name as string).slice(0, 242)}-${templateHash(deployment.spec.template, collisionsOf(deployment))}`

/** The asks, the status, and a time to look again while a rollout can miss its deadline. */
const finish = (it: Situation, asks: readonly Ask[]): Decision => {
  const deadline = deadlineOf(it)
  // A change of the deployment itself is folded first: a status on top of the version before it would be refused.
  const touched = asks.some(({ ref }) => ref.resource === DEPLOYMENTS.resource)
  return {
    asks: [...asks, ...(touched ? [] : statusAsks(it))],
    ...(deadline === undefined || deadline <= it.now ? {} : { requeueAfterMs: deadline - it.now + 100 })
  }
}

/** Sets that match and belong to nobody are adopted; sets of ours that match no longer are let go. */
const claimAsks = ({ view, deployment, spec, sets }: Situation, owned: readonly ReplicaSet[]): Ask[] => {
  const { uid, namespace, name } = deployment.metadata
  const reference = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    name: name as string,
    uid: uid as string,
    controller: true,
    blockOwnerDeletion: true
  }
  const claim = (set: ReplicaSet, ownerReferences: unknown): Ask =>
    merge(ReplicaSet, set, { metadata: { uid: set.metadata.uid, resourceVersion: set.metadata.resourceVersion, ownerReferences } })
  const orphans = view
    .collection(REPLICASETS)
    .list(namespace)
    .map(({ object }) => object)
    .filter((set) => controllerOf(set) === undefined && !isTerminating(set) && matchesSelector(spec.selector, set.metadata.labels))
  return [
    ...owned
      .filter((set) => !sets.includes(set))
      .map((set) =>
        claim(
          set,
          (set.metadata.ownerReferences ?? []).filter((owner) => owner.uid !== uid)
        )
      ),
    ...orphans.map((set) => claim(set, [...(set.metadata.ownerReferences ?? []), reference]))
  ]
}

const annotationsFor = ({ deployment, spec }: Situation): Record<string, string> => ({
  ...Object.fromEntries(Object.entries(deployment.metadata.annotations ?? {}).filter(([name]) => !NOT_COPIED.has(name))),
  ...sizeAnnotations(spec)
})

const sizeAnnotations = (spec: DeploymentSpec): Record<string, string> => ({
  [DESIRED]: String(spec.replicas ?? 1),
  [MOST]: String((spec.replicas ?? 1) + limitsOf(spec).surge)
})

/** Sizes some sets should get. */
type Sizes = ReadonlyMap<ReplicaSet, number>
const NO_SIZES: Sizes = new Map()

/** The user changed the replica count since the sets were last sized: that comes before any rolling. */
const scaledSince = ({ sets, spec }: Situation): boolean =>
  sets.some(
    (set) =>
      replicasOf(set) > 0 &&
      set.metadata.annotations?.[DESIRED] !== undefined &&
      Number(set.metadata.annotations[DESIRED]) !== (spec.replicas ?? 1)
  )

const scaled = ({ sets, spec, current, old }: Situation): Sizes => {
  const wanted = spec.replicas ?? 1
  const active = sets.filter((set) => replicasOf(set) > 0)
  if (active.length <= 1) {
    const only = active[0] ?? current ?? old.at(-1)
    return only === undefined ? NO_SIZES : new Map([[only, wanted]])
  }
  // A rolled-out new set stands alone: whatever old ones still have goes.
  if (current !== undefined && replicasOf(current) === wanted && availableOf(current) === wanted) return new Map(old.map((set) => [set, 0]))
  if (spec.strategy?.type === 'Recreate') return new Map(active.map((set) => [set, replicasOf(set)]))
  return proportional(spec, active)
}

/**
 * One write per set that differs, locked to the version seen: its size, the annotations that remember what for, and for
 * the current set what it carries of the deployment.
 */
const apply = (it: Situation, sizes: Sizes): Ask[] => {
  const { view, deployment, spec, sets, current, now } = it
  const asks: Ask[] = []
  const said: Ask[] = []
  for (const set of sets) {
    const present = replicasOf(set)
    const replicas = sizes.get(set) ?? present
    let annotations: Record<string, string> = {
      ...set.metadata.annotations,
      ...(sizes.has(set) && replicas > 0 ? sizeAnnotations(spec) : {})
    }
    let specs: Record<string, unknown> = { ...set.spec, replicas }
    if (set === current) {
      annotations = { ...annotations, ...annotationsFor(it), ...revisionAnnotations(it, set) }
      if ((spec.minReadySeconds ?? 0) !== (set.spec.minReadySeconds ?? 0)) specs = { ...specs, minReadySeconds: spec.minReadySeconds ?? 0 }
    }
    if (same(annotations, set.metadata.annotations ?? {}) && same(specs, { ...set.spec, replicas: present })) continue
    asks.push(update(ReplicaSet, { ...set, metadata: { ...set.metadata, annotations }, spec: specs }))
    if (present !== replicas)
      said.push(
        record(
          view,
          deployment,
          NAME,
          'Normal',
          'ScalingReplicaSet',
          `Scaled ${replicas > present ? 'up' : 'down'} replica set ${set.metadata.name} from ${present} to ${replicas}`,
          now
        )
      )
  }
  if (current !== undefined) {
    const revision = String(nextRevision(it))
    // Beside the status, as upstream's does it: a change of the deployment itself would raise its generation, which is for what people ask.
    if (deployment.metadata.annotations?.[REVISION] !== revision)
      asks.push(merge(Deployment, deployment, { metadata: { annotations: { [REVISION]: revision } } }, 'status'))
  }
  return [...asks, ...said]
}

const nextRevision = ({ sets, current }: Situation): bigint => {
  const highest = sets
    .filter((set) => set !== current)
    .map(revisionOf)
    .reduce((a, b) => (a > b ? a : b), 0n)
  return current !== undefined && revisionOf(current) > highest ? revisionOf(current) : highest + 1n
}

/** A set that is rolled back to becomes the newest revision, and remembers those it was before. */
const revisionAnnotations = (it: Situation, set: ReplicaSet): Record<string, string> => {
  const before = revisionOf(set)
  const revision = nextRevision(it)
  if (before === revision) return {}
  const history = set.metadata.annotations?.[REVISION_HISTORY]
  return {
    [REVISION]: String(revision),
    ...(before === 0n ? {} : { [REVISION_HISTORY]: history === undefined ? String(before) : `${history},${before}` })
  }
}

const createCurrent = (it: Situation): Decision => {
  const { view, deployment, spec, sets, now } = it
  const hash = templateHash(spec.template, collisionsOf(deployment))
  const { namespace, uid } = deployment.metadata
  const name = setName(deployment)
  const present = view.get({ ...REPLICASETS, namespace: namespace as string, name })?.object
  // One of the name that is going away: wait until it is gone. Any other: its name is taken, find another.
  if (present !== undefined)
    return isTerminating(present) ? { asks: statusAsks(it) } : { asks: statusAsks(it, collisionsOf(deployment) + 1) }
  const labels = { ...spec.template.metadata?.labels, [HASH_LABEL]: hash }
  const set: ReplicaSet = {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: {
      name,
      namespace: namespace as string,
      labels,
      annotations: { ...annotationsFor(it), [REVISION]: String(nextRevision(it)) },
      ownerReferences: [
        {
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          name: deployment.metadata.name as string,
          uid: uid as string,
          controller: true,
          blockOwnerDeletion: true
        }
      ]
    },
    spec: {
      ...(spec.minReadySeconds === undefined ? {} : { minReadySeconds: spec.minReadySeconds }),
      replicas: 0,
      selector: { ...spec.selector, matchLabels: { ...spec.selector.matchLabels, [HASH_LABEL]: hash } },
      template: { ...spec.template, metadata: { ...spec.template.metadata, labels } }
    }
  }
  const replicas = newReplicas(spec, set, [...sets, set])
  const asks: Ask[] = [create(ReplicaSet, { ...set, spec: { ...set.spec, replicas } })]
  if (replicas > 0)
    asks.push(record(view, deployment, NAME, 'Normal', 'ScalingReplicaSet', `Scaled up replica set ${name} from 0 to ${replicas}`, now))
  return finish({ ...it, created: name }, asks)
}

/** The next step of a rolling update, or of a Recreate whose old pods are gone. */
const rolled = ({ spec, old, sets }: Situation, current: ReplicaSet): Sizes => {
  const target = newReplicas(spec, current, sets)
  // Up first, then (when that is folded and the pods are there) down: two halves of one rollout never overlap.
  if (target !== replicasOf(current)) return new Map([[current, target]])
  return oldReplicas(spec, current, old)
}

/** Pods of old sets that still run, those that are terminating included: Recreate waits for them. */
const oldPodsLeft = ({ view, old }: Situation): boolean =>
  old.some((set) => {
    if (podsOf(set) > 0) return true
    for (const { object } of view.collection(PODS).indexed('owner', set.metadata.uid as string))
      if (object.status?.phase !== 'Succeeded' && object.status?.phase !== 'Failed') return true
    return false
  })

/** Old sets beyond the history limit, once everything is rolled out. */
const cleanUp = ({ old, spec, current, deployment }: Situation): Ask[] => {
  if (!isComplete(deployment, spec, current)) return []
  const empty = old.filter(
    (set) => replicasOf(set) === 0 && podsOf(set) === 0 && set.status?.observedGeneration === set.metadata.generation
  )
  const surplus = empty.length - (spec.revisionHistoryLimit ?? 10)
  return surplus <= 0
    ? []
    : empty
        .toSorted(byRevision)
        .slice(0, surplus)
        .map((set) => remove(ReplicaSet, set))
}
