/** The nodes' machines: what outlives an agent that crashes, and what is left when the power was gone. */
import { Agent, type AgentOptions } from '#services/kubelet/Agent.ts'
import { SimulatedPodNetwork } from '#services/kubelet/PodNetwork.ts'
import { SimulatedProber } from '#services/kubelet/probes/SimulatedProber.ts'
import { memoryOrigin, type OriginStore } from '#services/kubelet/strays/Allegiance.ts'
import { noFiles } from '#services/kubelet/volumes/PodFiles.ts'
import type { Clock } from '#services/platform/Clock.ts'
import type { NodeLink } from '#services/platform/NodeLink.ts'
import { SimulatedRuntime } from '#services/platform/SimulatedRuntime.ts'
import type { Process } from './Process.ts'

interface Machine {
  readonly runtime: SimulatedRuntime
  readonly network: SimulatedPodNetwork
  readonly origin: OriginStore
}

export const CORES = 4

export class Machines {
  readonly #clockOf: (node: string) => Clock
  readonly #machines = new Map<string, Machine>()

  constructor(clockOf: (node: string) => Clock) {
    this.#clockOf = clockOf
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
  /** An agent on the node's machine, which is made when it has none. */
  agent(node: string, process: Process, link: NodeLink, onError: AgentOptions['onError']): Agent {
    const clock = this.#clockOf(node)
    const number = node.slice(1)
    const machine = this.#machines.get(node) ?? {
      runtime: new SimulatedRuntime({
        clock,
        startMs: () => 50 + clock.random() * 400,
        hasImage: (name) => !name.startsWith('bad'),
        pullError: () => 'manifest unknown'
      }),
      network: new SimulatedPodNetwork(`10.244.${number}`),
      origin: memoryOrigin()
    }
    this.#machines.set(node, machine)
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
  /** Everything that ran on it has ended. */
  async powerOff(node: string): Promise<void> {
    const runtime = this.#machines.get(node)?.runtime
    for (const { id } of (await runtime?.list()) ?? []) runtime?.kill(id)
  }
}
