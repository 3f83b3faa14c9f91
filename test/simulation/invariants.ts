/** What must hold, whatever was lost, delayed, doubled or crashed. Each fault says what broke. */
import { at as partOf } from '#test/support/kinds.ts'
import { decodeFacts, type Event } from '#events/Event.ts'
import { isGuard } from '#events/guard.ts'
import { keyId, resourceId } from '#events/Key.ts'
import type { KubeObject, OwnerReference } from '#events/KubeObject.ts'
import type { LogEntry } from '#events/Log.ts'
import { same } from '#events/meta/faults.ts'
import { builtIns, kindNamed, KINDS, streamOf } from '#test/support/builtIns.ts'
import { Objects } from '#projections/Objects.ts'
import { claimFaults } from '#test/support/claims.ts'
import { limitsOf } from '#services/controller-manager/deployment/rollout.ts'
import type { DeploymentSpec } from '#events/schema/generated/apps.v1.ts'
import { Terms, unled } from './leading.ts'
import { GivenUp } from './givenUp.ts'
import { PodFaults } from './pods.ts'
import { ASKED } from './script.ts'
import type { Told, Watch } from './Watch.ts'
import { BAD_IMAGE, type World } from './World.ts'

const PODS = { group: '', resource: 'pods' }
const DEPLOYMENTS = { group: 'apps', resource: 'deployments' }
const REPLICASETS = { group: 'apps', resource: 'replicasets' }
const SERVICES = { group: '', resource: 'services' }
const CONFIGMAPS = { group: '', resource: 'configmaps' }
const SLICES = { group: 'discovery.k8s.io', resource: 'endpointslices' }

type Facts = Omit<Event, 'object'>

/** The log itself: every acknowledged write there, once; every event chained to the one before it. */
export const checkLog = async (world: World): Promise<string[]> => {
  const faults: string[] = []
  const heads = new Map<string, number>()
  const bySequence = new Map<number, Facts>()
  const ids = new Set<string>()
  const log = world.logs.EVENTS
  const asked = new Map<string, number>()
  const replay = new Objects(builtIns)
  const pods = new PodFaults(replay)
  const terms = new Terms(world)
  const given = new GivenUp(world)
  const last = await log.lastSequence()
  for (let sequence = 1; sequence <= last; sequence++) {
    const entry = await log.get(sequence)
    if (entry === undefined) {
      faults.push(`event ${sequence} is missing from the log`)
      continue
    }
    const facts = decodeFacts('EVENTS', entry)
    // It holds others to what they stand on, and is no change of an object.
    if (isGuard(facts.key)) continue
    const id = keyId(facts.key)
    if ((heads.get(id) ?? 0) !== facts.expected)
      faults.push(`event ${sequence} of ${id} was decided on ${facts.expected}, but ${heads.get(id) ?? 0} was the last`)
    if (ids.has(facts.id)) faults.push(`intent ${facts.id} made two events, the second at ${sequence}`)
    ids.add(facts.id)
    heads.set(id, sequence)
    bySequence.set(sequence, facts)
    faults.push(...collectorFaults(replay, facts, sequence), ...homelessFaults(replay, facts, sequence))
    faults.push(...given.faults(replay, facts, entry), ...strippedFaults(replay, facts, entry))
    replay.apply(facts, entry.text)
    faults.push(...addressFaults(replay, facts, sequence), ...generatedFaults(asked, facts, replay, sequence))
    faults.push(...pods.faults(facts, sequence), ...terms.faults(facts, sequence))
    faults.push(...rolloutFaults(replay, facts, sequence))
  }
  faults.push(...claimFaults(replay))
  for (const { intent, sequence } of world.acknowledged) {
    if (streamOf(intent.ref) !== 'EVENTS') continue
    if (bySequence.get(sequence)?.id !== intent.id)
      faults.push(
        `${intent.verb} ${intent.ref.resource}/${intent.name} was acknowledged at ${sequence}, where the log has ${bySequence.get(sequence)?.id ?? 'nothing'}`
      )
  }
  return faults
}

const livingOwners = (state: Objects, { metadata }: KubeObject): OwnerReference[] =>
  (metadata.ownerReferences ?? []).filter((owner) => {
    const [group = '', version] = owner.apiVersion.includes('/') ? owner.apiVersion.split('/') : ['', owner.apiVersion]
    const kind = kindNamed(group, version, owner.kind)
    const found =
      kind === undefined
        ? undefined
        : state.get({
            group: kind.group,
            resource: kind.resource,
            namespace: kind.namespaced ? (metadata.namespace ?? '') : '',
            name: owner.name
          })?.object
    return found?.metadata.uid === owner.uid && found.metadata.deletionTimestamp === undefined
  })

/** The garbage collector deletes nothing that has an owner which lives and stays. */
const collectorFaults = (before: Objects, facts: Facts, sequence: number): string[] => {
  if (facts.source !== 'generic-garbage-collector' || facts.verb !== 'delete') return []
  const object = before.get(facts.key)?.object
  const [owner] = object === undefined ? [] : livingOwners(before, object)
  return owner === undefined
    ? []
    : [`event ${sequence}: the garbage collector deleted ${keyId(facts.key)}, whose owner ${owner.kind} ${owner.name} lives`]
}

/** Nothing comes to be in a namespace that is not there or is going, however late an API server hears of it. */
const homelessFaults = (before: Objects, { key, deleted, verb }: Facts, sequence: number): string[] => {
  if (key.namespace === '' || deleted || before.get(key) !== undefined) return []
  const namespace = before.get({ group: '', resource: 'namespaces', namespace: '', name: key.namespace })?.object
  if (namespace !== undefined && namespace.metadata.deletionTimestamp === undefined) return []
  return [`event ${sequence} (${verb} ${keyId(key)}) is in a namespace that ${namespace === undefined ? 'is not there' : 'goes'}`]
}

/** None, and nothing in it, are the same. */
const emptied = (value: object | undefined): object | undefined =>
  value === undefined || Object.keys(value).length === 0 ? undefined : value

/** The revision is written beside a Deployment's status, as upstream's controller does it: it raises no generation so. */
const withoutRevision = (field: string, value: object | undefined): object | undefined =>
  field !== 'annotations' || value === undefined
    ? value
    : Object.fromEntries(Object.entries(value).filter(([name]) => name !== 'deployment.kubernetes.io/revision'))

/** Who says how things are takes nothing of the metadata away: a status write may, and nobody here means to. */
const strippedFaults = (before: Objects, { key, verb, source }: Facts, { sequence, text }: LogEntry): string[] => {
  const old = before.get(key)?.object.metadata
  if (old === undefined || !verb.endsWith('/status')) return []
  const { metadata } = JSON.parse(text) as KubeObject
  return (['labels', 'annotations', 'finalizers', 'ownerReferences'] as const)
    .filter((field) => !same(emptied(withoutRevision(field, old[field])), emptied(withoutRevision(field, metadata[field]))))
    .map((field) => `event ${sequence}: ${source} changed the ${field} of ${keyId(key)} by a status`)
}

/**
 * No two Services have one address or one port of the nodes, however many API servers hand them out; each is claimed, and nothing else is.
 */
const addressFaults = (state: Objects, facts: Facts, sequence: number): string[] => {
  if (facts.key.resource !== 'services' || facts.key.group !== '') return []
  const taken = new Map<string, string>()
  const faults: string[] = []
  for (const { id, object } of state.collection(SERVICES).values()) {
    const { clusterIP = '', ports = [] } = object['spec'] as { clusterIP?: string; ports?: { nodePort?: number; protocol?: string }[] }
    const addresses = [
      ...(clusterIP === '' || clusterIP === 'None' ? [] : [clusterIP]),
      ...ports.flatMap(({ nodePort, protocol }) => (nodePort ? [`${protocol ?? 'TCP'}/${nodePort}`] : []))
    ]
    for (const address of addresses) {
      const other = taken.get(address)
      if (other !== undefined) faults.push(`event ${sequence}: Services ${other} and ${id} share ${address}`)
      taken.set(address, id)
    }
  }
  return faults
}

/** What is created under a generated name is created once, however often it is asked for. */
const generatedFaults = (asked: Map<string, number>, { type, key, deleted }: Facts, state: Objects, sequence: number): string[] => {
  if (key.resource !== 'configmaps' || deleted || !type.includes('created')) return []
  const label = state.get(key)?.object.metadata.labels?.[ASKED]
  if (label === undefined) return []
  const before = asked.get(label)
  asked.set(label, sequence)
  return before === undefined ? [] : [`event ${sequence} creates ${key.name} for ${label}, for which event ${before} had created one`]
}

/** A watcher is told each change of what it selects, once and in order, up to `last`. */
export const checkWatch = async (world: World, { kind, query, told: all, start, connections }: Watch, last: number): Promise<string[]> => {
  const told = all.filter(({ sequence }) => sequence <= last)
  const matches = (object: KubeObject): boolean =>
    object.metadata.namespace === 'default' &&
    (query === '' || (query.startsWith('label') ? object.metadata.labels?.['app'] === 'app0' : partOf(object, 'spec.nodeName') === 'n1'))
  const expected: Told[] = []
  const state = new Objects(builtIns)
  const log = world.logs.EVENTS
  for (let sequence = 1; sequence <= last; sequence++) {
    const entry = await log.get(sequence)
    if (entry === undefined) continue
    const facts = decodeFacts('EVENTS', entry)
    if (resourceId(facts.key) !== resourceId(kind)) continue
    const before = state.get(facts.key)?.object
    const change = state.apply(facts, entry.text)
    if (change === undefined || sequence <= start) continue
    const [was, is] = [before !== undefined && matches(before), matches(change.entry.object)]
    const { name } = facts.key
    if (facts.deleted) was && expected.push({ type: 'DELETED', name, sequence })
    else if (was || is) expected.push({ type: is ? (was ? 'MODIFIED' : 'ADDED') : 'DELETED', name, sequence })
  }
  const textOf = (one: Told | undefined): string => (one === undefined ? 'nothing' : `${one.type} ${one.name} at ${one.sequence}`)
  const at = Array.from({ length: Math.max(told.length, expected.length) }, (_, n) => n).find(
    (n) => textOf(told[n]) !== textOf(expected[n])
  )
  const where = `a watch of ${kind.resource} ${query}, over ${connections} connections from ${start}`
  return at === undefined
    ? []
    : [`${where}, was told ${textOf(told[at])}, and the log has ${textOf(expected[at])} (${told.length} of ${expected.length})`]
}

/** Sizes a deployment had lately: its controller may be that far behind. */
const lately = new WeakMap<Objects, Map<string, { sequence: number; most: number; least: number }[]>>()
/** Events a controller may be behind: far more than its view is ever late. */
const BEHIND = 400

/** A size the deployment controller sets keeps all sizes together within maxSurge and maxUnavailable. */
const rolloutFaults = (state: Objects, facts: Facts, sequence: number): string[] => {
  let known = lately.get(state)
  if (known === undefined) lately.set(state, (known = new Map()))
  if (facts.key.resource === 'deployments') {
    const deployment = state.get(facts.key)?.object
    if (deployment === undefined) return []
    const spec = deployment['spec'] as DeploymentSpec
    const { surge, unavailable } = limitsOf(spec)
    const list = known.get(deployment.metadata.uid as string) ?? []
    list.push({ sequence, most: (spec.replicas ?? 1) + surge, least: (spec.replicas ?? 1) - unavailable })
    known.set(deployment.metadata.uid as string, list)
    return []
  }
  if (facts.key.resource !== 'replicasets' || facts.source !== 'deployment-controller' || facts.deleted) return []
  const set = state.get(facts.key)?.object
  const owner = set?.metadata.ownerReferences?.[0]?.uid
  const sizes = owner === undefined ? undefined : known.get(owner)
  if (set === undefined || owner === undefined || sizes === undefined) return []
  const recent = sizes.filter((size, at) => at === sizes.length - 1 || (sizes[at + 1]?.sequence ?? 0) > sequence - BEHIND)
  const total = [...state.collection(REPLICASETS).indexed('owner', owner)].reduce(
    (sum, { object }) => sum + ((partOf(object, 'spec.replicas') as number | undefined) ?? 1),
    0
  )
  const most = Math.max(...recent.map((size) => size.most))
  const least = Math.min(...recent.map((size) => size.least))
  if (total > most) return [`event ${sequence} sizes the ReplicaSets of ${facts.key.name} to ${total} together, over the limit of ${most}`]
  const grows = facts.type.includes('created')
  return !grows && total < least && recent.length === 1
    ? [`event ${sequence} sizes the ReplicaSets of ${facts.key.name} to ${total} together, under the limit of ${least}`]
    : []
}

/** Every follower's fold equals a replay of the log from the beginning. */
export const checkViews = async (world: World): Promise<string[]> => {
  const faults: string[] = []
  const views = world.api?.views
  if (views === undefined) return ['there is no API server in the end']
  for (const view of views.byStream.values()) {
    await view.expire()
    if (view.objects.names > world.mixture.names)
      faults.push(`${view.objects.names} names of objects that are gone are remembered, of at most ${world.mixture.names}`)
    const fresh = new Objects(builtIns)
    const last = await view.log.lastSequence()
    for (let sequence = 1; sequence <= last; sequence++) {
      const entry = await view.log.get(sequence)
      if (entry !== undefined) fresh.apply(decodeFacts(view.stream, entry), entry.text)
    }
    for (const kind of KINDS) {
      if (kind.stream !== view.stream) continue
      const folded = view.objects.collection(kind).list()
      const replayed = fresh.collection(kind).list()
      if (folded.length !== replayed.length) faults.push(`${kind.resource}: ${folded.length} folded, ${replayed.length} replayed`)
      for (const [at, entry] of folded.entries())
        if (entry.sequence !== replayed[at]?.sequence || !same(entry.object, replayed[at]?.object))
          faults.push(
            `${kind.resource} ${entry.id}: folded ${entry.sequence}, replayed ${replayed[at]?.sequence}${entry.sequence === replayed[at]?.sequence ? `, as ${JSON.stringify(entry.object)} and ${JSON.stringify(replayed[at]?.object)}` : ''}`
          )
    }
  }
  return faults
}

/** Everything asked for is so, and nothing else is there. Empty when the cluster has converged. */
export const unsettled = (world: World): string[] => {
  const views = world.api?.views
  if (views === undefined) return ['there is no API server']
  const open = [...world.down.map((name) => `${name} is down`), ...unled(world)]
  const pods = [...views.collection(PODS).values()].map(({ object }) => object)
  const live = pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
  if (live.length !== pods.length) open.push(`${pods.length - live.length} pods are still going`)
  const uids = new Set([...views.collection(REPLICASETS).values()].map(({ object }) => object.metadata.uid))
  for (const pod of live) if (!uids.has(pod.metadata.ownerReferences?.[0]?.uid)) open.push(`pod ${pod.metadata.name} belongs to nobody`)
  const names = new Set([...views.collection(DEPLOYMENTS).values()].map(({ object }) => object.metadata.uid))
  for (const { object: set } of views.collection(REPLICASETS).values())
    if (!names.has(set.metadata.ownerReferences?.[0]?.uid as string)) open.push(`ReplicaSet ${set.metadata.name} belongs to nobody`)
  for (const { object: deployment } of views.collection(DEPLOYMENTS).values()) {
    const spec = deployment['spec'] as DeploymentSpec & { template: { spec: { containers: { image: string }[] } } }
    const status = (deployment['status'] ?? {}) as Record<string, number | undefined>
    const replicas = spec.replicas ?? 1
    if (status['observedGeneration'] !== deployment.metadata.generation) open.push(`${deployment.metadata.name} is not observed`)
    if (spec.template.spec.containers[0]?.image === BAD_IMAGE) continue
    if (
      (status['availableReplicas'] ?? 0) !== replicas ||
      (status['updatedReplicas'] ?? 0) !== replicas ||
      (status['replicas'] ?? 0) !== replicas
    )
      open.push(
        `${deployment.metadata.name}: ${status['availableReplicas'] ?? 0} available, ${status['updatedReplicas'] ?? 0} updated, ${status['replicas'] ?? 0} in all, of ${replicas}`
      )
  }
  for (const { object } of views.collection(CONFIGMAPS).values())
    if ((object.metadata.ownerReferences ?? []).some(({ uid }) => !names.has(uid)))
      open.push(`ConfigMap ${object.metadata.name} has an owner that is gone`)
  const ips = live.map((pod) => partOf(pod, 'status.podIP') as string | undefined).filter((ip) => ip !== undefined)
  if (new Set(ips).size !== ips.length) open.push('two pods have one address')
  const ready = new Set(
    live
      .filter((pod) =>
        (partOf(pod, 'status.conditions') as { type: string; status: string }[] | undefined)?.some(
          ({ type, status }) => type === 'Ready' && status === 'True'
        )
      )
      .map((pod) => partOf(pod, 'status.podIP') as string)
  )
  for (const { object: slice } of views.collection(SLICES).values())
    for (const { addresses, conditions } of (slice['endpoints'] ?? []) as { addresses: string[]; conditions: { ready: boolean } }[])
      if (
        slice.metadata.labels?.['endpointslice.kubernetes.io/managed-by'] !== undefined &&
        conditions.ready &&
        !ready.has(addresses[0] as string)
      )
        open.push(`${slice.metadata.name} sends traffic to ${addresses[0]}, which is not ready`)
  return open
}

/** Containers of pods that are gone. */
export const strayContainers = async (world: World): Promise<string[]> => {
  const uids = new Set([...(world.api?.views.collection(PODS).values() ?? [])].map(({ object }) => object.metadata.uid))
  const stray: string[] = []
  for (const [node, runtime] of world.machines)
    for (const { identity } of await runtime.list())
      if (!uids.has(identity.podUid)) stray.push(`${node} still has a container of ${identity.pod}`)
  return stray
}
