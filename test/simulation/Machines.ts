/** The nodes' machines: what outlives an agent that crashes. */
import { Agent, type AgentOptions } from '#services/kubelet/Agent.ts'
import { SimulatedPodNetwork } from '#services/kubelet/PodNetwork.ts'
import { SimulatedProber } from '#services/kubelet/probes/SimulatedProber.ts'
import { memoryOrigin, type OriginStore } from '#services/kubelet/strays/Allegiance.ts'
import { noFiles } from '#services/kubelet/volumes/PodFiles.ts'
import type { NodeLink } from '#services/platform/NodeLink.ts'
import { SimulatedRuntime } from '#services/platform/SimulatedRuntime.ts'
import type { VirtualClock } from './VirtualClock.ts'

interface Machine {
  readonly runtime: SimulatedRuntime
  readonly network: SimulatedPodNetwork
  readonly origin: OriginStore
}

export class Machines {
  readonly #clock: VirtualClock
  readonly #machines = new Map<string, Machine>()

  constructor(clock: VirtualClock) {
    this.#clock = clock
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
  agent(node: string, link: NodeLink, onError: AgentOptions['onError']): Agent {
    const clock = this.#clock
    const number = node.slice(1)
    const machine = this.#machines.get(node) ?? {
      runtime: new SimulatedRuntime({ clock, startMs: () => 50 + clock.random() * 400, hasImage: (name) => !name.startsWith('bad'), pullError: () => 'manifest unknown' }),
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
      ...machine,
      files: noFiles,
      prober: new SimulatedProber(machine.runtime),
      machine: { cores: 4, memory: 8 * 2 ** 30, negativeScores: true, ephemeralStorage: 2 ** 40, machineID: node, bootID: node },
      clock,
      onError
    })
  }
}
