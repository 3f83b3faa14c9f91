/** The scheduler's view: what each node offers and what is requested of it, kept up to date change by change. */
import { NAMESPACES, NODES, PODS } from '#events/collections.ts'
import type { Container, Node, Pod, PodSpec, Taint } from '#events/schema/generated/core.v1.ts'
import { controllerOf } from '#events/KubeObject.ts'
import type { Labels } from '#events/meta/LabelSelector.ts'
import { milliValue, wholeValue } from '#events/meta/Quantity.ts'
import { same } from '#events/meta/faults.ts'
import { isChangeOf, type Change } from './Objects.ts'
import { addPod, removePod, type NodeInfo, type PodInfo, type Resources, type Usual } from './NodeInfo.ts'
import { affinityOf } from './PodAffinity.ts'

export type { NodeInfo, PodInfo, Resources, Taint, Usual } from './NodeInfo.ts'

/**
 * What a change may do for pods that fitted nowhere: `room` may help any of them, `company` (a pod came or looks
 * different) only those whose place depends on other pods.
 */
export type Help = 'none' | 'room' | 'company'

const USUAL_CPU = 100
const USUAL_MEMORY = 200 * 1024 * 1024

const amount = (resource: string, quantity: string): number => (resource === 'cpu' ? milliValue(quantity) : wholeValue(quantity))

const resourcesOf = (quantities: Readonly<Record<string, string>> | undefined): Record<string, number> => {
  const resources: Record<string, number> = {}
  for (const name in quantities) resources[name] = amount(name, quantities[name] as string)
  return resources
}

const add = (total: Record<string, number>, more: Resources): void => {
  for (const name in more) total[name] = (total[name] ?? 0) + (more[name] as number)
}
const atLeast = (total: Record<string, number>, floor: Resources): void => {
  for (const name in floor) total[name] = Math.max(total[name] ?? 0, floor[name] as number)
}

/**
 * What a pod asks for: its containers and sidecars together, or what an init container needs beside the sidecars
 * started before it, whichever is more; plus overhead (KEP-753).
 */
const sumOf = (spec: Partial<PodSpec>, of: (container: Container) => Resources): Record<string, number> => {
  const total: Record<string, number> = {}
  for (const container of spec.containers ?? []) add(total, of(container))
  const sidecars: Record<string, number> = {}
  const peak: Record<string, number> = {}
  for (const container of spec.initContainers ?? []) {
    const resources = of(container)
    if (container.restartPolicy === 'Always') {
      add(sidecars, resources)
      atLeast(peak, sidecars)
    } else {
      const beside = { ...sidecars }
      add(beside, resources)
      atLeast(peak, beside)
    }
  }
  add(total, sidecars)
  atLeast(total, peak)
  add(total, resourcesOf(spec.overhead))
  return total
}

export const requestsOf = (pod: Pod): Resources => sumOf(pod.spec, ({ resources }) => resourcesOf(resources?.requests))

const usualOf = (pod: Pod): Usual => {
  const { cpu = 0, memory = 0 } = sumOf(pod.spec, ({ resources }) => {
    const requests = resources?.requests ?? {}
    return {
      cpu: requests['cpu'] === undefined ? USUAL_CPU : milliValue(requests['cpu']),
      memory: requests['memory'] === undefined ? USUAL_MEMORY : wholeValue(requests['memory'])
    }
  })
  return { cpu, memory }
}

const hostPortsOf = (pod: Pod): readonly string[] =>
  (pod.spec?.containers ?? []).flatMap((container) =>
    (container.ports ?? [])
      .filter(({ hostPort }) => hostPort !== undefined && hostPort > 0)
      .map(({ hostPort, hostIP, protocol }) => `${protocol ?? 'TCP'}/${hostIP || '0.0.0.0'}/${hostPort}`)
  )

export const podInfoOf = (id: string, pod: Pod): PodInfo => ({
  id,
  uid: pod.metadata.uid ?? '',
  namespace: pod.metadata.namespace ?? '',
  labels: pod.metadata.labels ?? {},
  terminating: pod.metadata.deletionTimestamp !== undefined,
  requests: requestsOf(pod),
  usual: usualOf(pod),
  ports: hostPortsOf(pod),
  owner: controllerOf(pod)?.uid,
  affinity: affinityOf(pod)
})

/** Pods that are done hold nothing. */
const isDone = (pod: Pod): boolean => pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed'

const nodeOf = (pod: Pod): string => pod.spec?.nodeName ?? ''

/** An image without tag or digest is its `latest`. */
export const imageName = (image: string): string =>
  image.includes('@') || image.lastIndexOf(':') > image.lastIndexOf('/') ? image : `${image}:latest`

const imagesOf = (node: Node): ReadonlyMap<string, number> =>
  new Map(
    (node.status?.images ?? []).flatMap(({ names = [], sizeBytes = 0 }) =>
      names.map((name): [string, number] => [imageName(name), sizeBytes])
    )
  )

const NO_LABELS: Labels = {}

export class Cluster {
  readonly nodes = new Map<string, NodeInfo>()
  /** In the order nodes joined: scheduling walks it in a circle. */
  readonly #list: NodeInfo[] = []
  /** How many nodes have an image. */
  readonly imageNodes = new Map<string, number>()
  /** Pods on nodes, by namespace. */
  readonly #namespaces = new Map<string, Map<string, PodInfo>>()
  readonly #namespaceLabels = new Map<string, Labels>()
  /** Pods on nodes that have wishes about other pods. */
  readonly #affine = new Map<string, PodInfo>()
  readonly #antiAffine = new Map<string, PodInfo>()
  /** Pods bound to a node that is not (or no longer) known, by node. */
  readonly #orphans = new Map<string, Map<string, PodInfo>>()
  /** Where each pod is counted. */
  readonly #placed = new Map<string, { readonly node: string; readonly pod: PodInfo }>()

  get list(): readonly NodeInfo[] {
    return this.#list
  }
  get names(): readonly string[] {
    return this.#list.map(({ name }) => name)
  }
  podsIn(namespace: string): Iterable<PodInfo> {
    return this.#namespaces.get(namespace)?.values() ?? []
  }
  /** Every counted pod. */
  *pods(): Iterable<PodInfo> {
    for (const { pod } of this.#placed.values()) yield pod
  }
  /** Pods with inter-pod affinity of any sort; with required anti-affinity. */
  get affine(): ReadonlyMap<string, PodInfo> {
    return this.#affine
  }
  get antiAffine(): ReadonlyMap<string, PodInfo> {
    return this.#antiAffine
  }
  readonly namespaceLabels = (namespace: string): Labels => this.#namespaceLabels.get(namespace) ?? NO_LABELS
  /** The node a pod is counted on, when that node is known. */
  nodeOf(id: string): NodeInfo | undefined {
    const placed = this.#placed.get(id)
    return placed === undefined ? undefined : this.nodes.get(placed.node)
  }
  apply(change: Change): Help {
    if (isChangeOf(PODS, change)) return this.#seePod(change)
    if (isChangeOf(NODES, change))
      return change.type === 'DELETED' ? this.#removeNode(change.entry.key.name) : this.#putNode(change.entry.object)
    return isChangeOf(NAMESPACES, change) ? this.#seeNamespace(change) : 'none'
  }
  #seeNamespace({ type, entry, previous }: Change): Help {
    const labels = entry.object.metadata.labels ?? NO_LABELS
    if (type === 'DELETED') this.#namespaceLabels.delete(entry.key.name)
    else this.#namespaceLabels.set(entry.key.name, labels)
    return type === 'MODIFIED' && !same(previous?.object.metadata.labels ?? NO_LABELS, labels) ? 'company' : 'none'
  }
  #seePod({ type, entry, previous }: Change<Pod>): Help {
    const { id, object: pod } = entry
    const node = nodeOf(pod)
    const before = this.#placed.get(id)
    if (type === 'DELETED' || isDone(pod)) {
      // Another pod of the name may have been assumed since.
      if (before === undefined || before.pod.uid !== pod.metadata.uid) return 'none'
      this.#remove(id)
      return 'room'
    }
    // A pod that was only assumed and is still unbound keeps its assumption.
    if (node === '') return 'none'
    const info = podInfoOf(id, pod)
    this.#place(node, info)
    const came = previous === undefined || nodeOf(previous.object) === ''
    return came || before === undefined || before.pod.terminating !== info.terminating || !same(before.pod.labels, info.labels)
      ? 'company'
      : 'none'
  }
  /** Counts a pod on a node before its binding is seen. */
  assume(pod: PodInfo, node: string): void {
    this.#place(node, pod)
  }
  /** Takes an assumption back, if it still is about that very pod. */
  forget(id: string, uid: string): void {
    if (this.#placed.get(id)?.pod.uid === uid) this.#remove(id)
  }
  #putNode(node: Node): Help {
    const name = node.metadata.name as string
    const spec = node.spec ?? {}
    const facts = {
      labels: node.metadata.labels ?? NO_LABELS,
      taints: spec.taints ?? [],
      unschedulable: spec.unschedulable === true,
      allocatable: resourcesOf(node.status?.allocatable ?? node.status?.capacity),
      images: imagesOf(node)
    }
    const before = this.nodes.get(name)
    if (before !== undefined) {
      const changed =
        before.unschedulable !== facts.unschedulable ||
        !same(before.labels, facts.labels) ||
        !same(before.taints, facts.taints) ||
        !same(before.allocatable, facts.allocatable)
      this.#countImages(before.images, -1)
      this.#countImages(facts.images, 1)
      Object.assign(before, facts)
      return changed ? 'room' : 'none'
    }
    const info: NodeInfo = { name, ...facts, requested: {}, usual: { cpu: 0, memory: 0 }, pods: new Map(), owners: new Map() }
    this.#countImages(info.images, 1)
    this.nodes.set(name, info)
    this.#list.push(info)
    for (const pod of this.#orphans.get(name)?.values() ?? []) addPod(info, pod)
    this.#orphans.delete(name)
    return 'room'
  }
  #countImages(images: ReadonlyMap<string, number>, by: 1 | -1): void {
    for (const name of images.keys()) {
      const count = (this.imageNodes.get(name) ?? 0) + by
      if (count === 0) this.imageNodes.delete(name)
      else this.imageNodes.set(name, count)
    }
  }
  #removeNode(name: string): Help {
    const node = this.nodes.get(name)
    if (node === undefined) return 'none'
    this.nodes.delete(name)
    this.#list.splice(this.#list.indexOf(node), 1)
    this.#countImages(node.images, -1)
    if (node.pods.size > 0) this.#orphans.set(name, new Map(node.pods))
    // Spreading and anti-affinity may allow more without it.
    return 'room'
  }
  #place(node: string, pod: PodInfo): void {
    this.#remove(pod.id)
    this.#placed.set(pod.id, { node, pod })
    let space = this.#namespaces.get(pod.namespace)
    if (space === undefined) this.#namespaces.set(pod.namespace, (space = new Map()))
    space.set(pod.id, pod)
    if (pod.affinity !== undefined) {
      this.#affine.set(pod.id, pod)
      if (pod.affinity.requiredAnti.length > 0) this.#antiAffine.set(pod.id, pod)
    }
    const known = this.nodes.get(node)
    if (known !== undefined) return addPod(known, pod)
    let orphans = this.#orphans.get(node)
    if (orphans === undefined) this.#orphans.set(node, (orphans = new Map()))
    orphans.set(pod.id, pod)
  }
  #remove(id: string): void {
    const placed = this.#placed.get(id)
    if (placed === undefined) return
    this.#placed.delete(id)
    this.#affine.delete(id)
    this.#antiAffine.delete(id)
    const space = this.#namespaces.get(placed.pod.namespace)
    space?.delete(id)
    if (space?.size === 0) this.#namespaces.delete(placed.pod.namespace)
    const node = this.nodes.get(placed.node)
    if (node !== undefined) return removePod(node, placed.pod)
    const orphans = this.#orphans.get(placed.node)
    orphans?.delete(id)
    if (orphans?.size === 0) this.#orphans.delete(placed.node)
  }
}
