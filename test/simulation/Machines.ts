/** The nodes' machines: what outlives an agent that crashes, and what is left when the power was gone. */
import { Agent, type AgentOptions } from '#services/kubelet/Agent.ts'
import { SimulatedPodNetwork } from '#services/kubelet/PodNetwork.ts'
import { SimulatedProber } from '#services/kubelet/probes/SimulatedProber.ts'
import { memoryOrigin, type OriginStore } from '#services/kubelet/strays/Allegiance.ts'
import { noFiles } from '#services/kubelet/volumes/PodFiles.ts'
import type { Clock } from '#services/platform/Clock.ts'
import type { NodeLink } from '#services/platform/NodeLink.ts'
import { SimulatedRuntime } from '#services/platform/SimulatedRuntime.ts'
import { PacketFilter } from './PacketFilter.ts'
import type { Process } from './Process.ts'

interface Machine {
  readonly runtime: SimulatedRuntime
  readonly network: SimulatedPodNetwork
  readonly origin: OriginStore
  readonly filter: PacketFilter
}

export const CORES = 4

export interface MachinesOptions {
  readonly clockOf: (node: string) => Clock
  /** Whether a text for a packet filter is refused. */
  readonly refuses: () => boolean
  readonly onFault: (fault: string) => void
}

export class Machines {
  readonly #options: MachinesOptions
  readonly #machines = new Map<string, Machine>()

  constructor(options: MachinesOptions) {
    this.#options = options
  }
  has(node: string): boolean {
    return this.#machines.has(node)
  }
  get names(): readonly string[] {
    return [...this.#machines.keys()]
  }
  *[Symbol.iterator](): IterableIterator<readonly [node: string, runtime: SimulatedRuntime]> {
    for (const [node, { runtime }] of this.#machines) yield [node, runtime]
  }
  /** The node's machine, which is made when it has none. */
  #machine(node: string): Machine {
    const known = this.#machines.get(node)
    if (known !== undefined) return known
    const { clockOf, refuses, onFault } = this.#options
    const clock = clockOf(node)
    const machine = {
      runtime: new SimulatedRuntime({
        clock,
        startMs: () => 50 + clock.random() * 400,
        hasImage: (name) => !name.startsWith('bad'),
        pullError: () => 'manifest unknown'
      }),
      network: new SimulatedPodNetwork(`10.244.${node.slice(1)}`),
      origin: memoryOrigin(),
      filter: new PacketFilter({ node, clock, refuses, onFault })
    }
    this.#machines.set(node, machine)
    return machine
  }
  filter(node: string): PacketFilter {
    return this.#machine(node).filter
  }
  /** An agent on the node's machine. */
  agent(node: string, process: Process, link: NodeLink, onError: AgentOptions['onError']): Agent {
    const number = node.slice(1)
    const machine = this.#machine(node)
    return new Agent({
      node,
      hostIP: `192.0.2.${number}`,
      podCIDR: `10.244.${number}.0/24`,
      pauseImage: 'pause:1',
      link,
      runtime: process.within(machine.runtime),
      network: process.within(machine.network),
      origin: machine.origin,
      files: noFiles,
      prober: process.within(new SimulatedProber(machine.runtime)),
      machine: { cores: CORES, memory: 8 * 2 ** 30, negativeScores: true, ephemeralStorage: 2 ** 40, machineID: node, bootID: node },
      clock: process.clock,
      onError
    })
  }
  /** Everything that ran on it has ended, and its kernel with it. */
  async powerOff(node: string): Promise<void> {
    this.#machines.get(node)?.filter.flush()
    const runtime = this.#machines.get(node)?.runtime
    for (const { id } of (await runtime?.list()) ?? []) runtime?.kill(id)
  }
}
