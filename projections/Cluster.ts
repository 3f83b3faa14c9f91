/** The scheduler's view: what each node offers and what is requested of it, kept up to date change by change. */
import type { KubeObject } from '#events/KubeObject.ts'
import { milliValue, wholeValue } from '#events/meta/Quantity.ts'
import type { Change } from './Objects.ts'

/** CPU in millicores; everything else in whole units (bytes, counts). */
export type Resources = Readonly<Record<string, number>>

export interface Taint {
  readonly key: string
  readonly value?: string
  readonly effect: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute'
}

export interface PodInfo {
  readonly id: string
  readonly uid: string
  readonly requests: Resources
  /** `TCP/0.0.0.0/80` of host ports. */
  readonly ports: readonly string[]
  readonly owner: string | undefined
}

export interface NodeInfo {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly taints: readonly Taint[]
  readonly unschedulable: boolean
  readonly allocatable: Resources
  readonly requested: Record<string, number>
  readonly pods: Map<string, PodInfo>
  readonly images: ReadonlySet<string>
}

interface Container {
  readonly image?: string
  readonly restartPolicy?: string
  readonly resources?: { readonly requests?: Readonly<Record<string, string>> }
  readonly ports?: readonly { readonly hostPort?: number; readonly hostIP?: string; readonly protocol?: string }[]
}

const amount = (resource: string, quantity: string): number => (resource === 'cpu' ? milliValue(quantity) : wholeValue(quantity))

const resourcesOf = (quantities: Readonly<Record<string, string>> | undefined): Record<string, number> => {
  const resources: Record<string, number> = {}
  for (const name in quantities) resources[name] = amount(name, quantities[name] as string)
  return resources
}

/** What a pod asks for: its containers together, or its largest init container, whichever is more; plus overhead. */
export const requestsOf = (pod: KubeObject): Resources => {
  const spec = pod['spec'] as { containers?: Container[]; initContainers?: Container[]; overhead?: Record<string, string> }
  const total: Record<string, number> = {}
  for (const container of spec.containers ?? []) {
    const requests = resourcesOf(container.resources?.requests)
    for (const name in requests) total[name] = (total[name] ?? 0) + (requests[name] as number)
  }
  for (const container of spec.initContainers ?? []) {
    const requests = resourcesOf(container.resources?.requests)
    for (const name in requests) total[name] = Math.max(total[name] ?? 0, requests[name] as number)
  }
  const overhead = resourcesOf(spec.overhead)
  for (const name in overhead) total[name] = (total[name] ?? 0) + (overhead[name] as number)
  return total
}

export const hostPortsOf = (pod: KubeObject): readonly string[] =>
  ((pod['spec']?.containers ?? []) as Container[]).flatMap((container) =>
    (container.ports ?? []).filter(({ hostPort }) => hostPort !== undefined && hostPort > 0).map(({ hostPort, hostIP, protocol }) => `${protocol ?? 'TCP'}/${hostIP ?? '0.0.0.0'}/${hostPort}`)
  )

const podInfoOf = (id: string, pod: KubeObject): PodInfo => ({
  id,
  uid: pod.metadata.uid as string,
  requests: requestsOf(pod),
  ports: hostPortsOf(pod),
  owner: pod.metadata.ownerReferences?.find(({ controller }) => controller === true)?.uid
})

/** Pods that are done hold nothing. */
const isDone = (pod: KubeObject): boolean => pod['status']?.phase === 'Succeeded' || pod['status']?.phase === 'Failed'

export class Cluster {
  readonly nodes = new Map<string, NodeInfo>()
  /** Pods bound to a node that is not (or no longer) known, by node. */
  readonly #orphans = new Map<string, Map<string, PodInfo>>()
  /** Where each pod is counted. */
  readonly #placed = new Map<string, string>()
  /** In the order nodes joined: scheduling walks it in a circle. */
  #names: string[] = []

  get names(): readonly string[] {
    return this.#names
  }
  apply({ type, entry }: Change): void {
    const { group, resource } = entry.key
    if (group !== '') return
    if (resource === 'nodes') {
      if (type === 'DELETED') this.#removeNode(entry.key.name)
      else this.#putNode(entry.object)
    } else if (resource === 'pods') {
      const node = entry.object['spec']?.nodeName as string | undefined
      if (type === 'DELETED' || isDone(entry.object) || node === undefined || node === '') {
        // A pod that was only assumed and is still unbound keeps its assumption.
        if (type === 'DELETED' || node !== undefined) this.#remove(entry.id)
      } else this.#place(node, podInfoOf(entry.id, entry.object))
    }
  }
  /** Counts a pod on a node before its binding is seen. */
  assume(id: string, pod: KubeObject, node: string): void {
    this.#place(node, podInfoOf(id, pod))
  }
  /** Takes an assumption back. */
  forget(id: string): void {
    this.#remove(id)
  }
  isPlaced(id: string): boolean {
    return this.#placed.has(id)
  }
  #putNode(node: KubeObject): void {
    const name = node.metadata.name as string
    const before = this.nodes.get(name)
    const spec = (node['spec'] ?? {}) as { taints?: Taint[]; unschedulable?: boolean }
    const info: NodeInfo = {
      name,
      labels: node.metadata.labels ?? {},
      taints: spec.taints ?? [],
      unschedulable: spec.unschedulable === true,
      allocatable: resourcesOf(node['status']?.allocatable ?? node['status']?.capacity),
      requested: before?.requested ?? {},
      pods: before?.pods ?? new Map(),
      images: new Set(((node['status']?.images ?? []) as { names?: string[] }[]).flatMap(({ names }) => names ?? []))
    }
    this.nodes.set(name, info)
    if (before !== undefined) return
    this.#names.push(name)
    for (const pod of this.#orphans.get(name)?.values() ?? []) this.#add(info, pod)
    this.#orphans.delete(name)
  }
  #removeNode(name: string): void {
    const node = this.nodes.get(name)
    if (node === undefined) return
    this.nodes.delete(name)
    this.#names = this.#names.filter((other) => other !== name)
    if (node.pods.size > 0) this.#orphans.set(name, new Map(node.pods))
  }
  #place(nodeName: string, pod: PodInfo): void {
    this.#remove(pod.id)
    this.#placed.set(pod.id, nodeName)
    const node = this.nodes.get(nodeName)
    if (node !== undefined) return this.#add(node, pod)
    let orphans = this.#orphans.get(nodeName)
    if (orphans === undefined) this.#orphans.set(nodeName, (orphans = new Map()))
    orphans.set(pod.id, pod)
  }
  #add(node: NodeInfo, pod: PodInfo): void {
    node.pods.set(pod.id, pod)
    for (const name in pod.requests) node.requested[name] = (node.requested[name] ?? 0) + (pod.requests[name] as number)
  }
  #remove(id: string): void {
    const at = this.#placed.get(id)
    if (at === undefined) return
    this.#placed.delete(id)
    const node = this.nodes.get(at)
    const pod = node?.pods.get(id)
    if (node === undefined || pod === undefined) {
      this.#orphans.get(at)?.delete(id)
      return
    }
    node.pods.delete(id)
    for (const name in pod.requests) node.requested[name] = (node.requested[name] ?? 0) - (pod.requests[name] as number)
  }
}
