/** The heartbeat's content. Plain. */
import type { Pulse } from '#events/node/messages.ts'
import type { MachineFacts } from './machine.ts'
import type { RuntimeInfo } from '#services/platform/Runtime.ts'

const KUBELET_VERSION = 'v1.36.0+reckon'
const MAX_PODS = 110

export interface PulseInput {
  readonly node: string
  readonly hostIP: string
  readonly podCIDR: string
  readonly labels: Readonly<Record<string, string>>
  readonly machine: MachineFacts
  /** Undefined: the runtime does not answer. */
  readonly runtime: RuntimeInfo | undefined
  /** The last answer there was: the node's info does not vanish with the runtime. */
  readonly known: RuntimeInfo | undefined
  readonly problem: string
  /** Conditions besides those of the machine. */
  readonly conditions: Pulse['conditions']
  readonly images: NonNullable<Pulse['images']>
  /** RFC 3339 with microseconds. */
  readonly time: string
}

export const pulseOf = ({
  node,
  hostIP,
  podCIDR,
  labels,
  machine,
  runtime,
  known,
  problem,
  conditions,
  images,
  time
}: PulseInput): Pulse => {
  const memory = `${Math.floor(machine.memory / 1024)}Ki`
  const architecture = known?.architecture ?? ''
  const fine = (type: string, reason: string, message: string): Pulse['conditions'][number] => ({ type, status: 'False', reason, message })
  const resources = { cpu: String(machine.cores), memory, pods: String(MAX_PODS) }
  return {
    node,
    time,
    podCIDR,
    labels: {
      'kubernetes.io/hostname': node,
      'kubernetes.io/os': 'linux',
      'kubernetes.io/arch': architecture,
      'beta.kubernetes.io/os': 'linux',
      'beta.kubernetes.io/arch': architecture,
      ...labels
    },
    addresses: [
      { type: 'InternalIP', address: hostIP },
      { type: 'Hostname', address: node }
    ],
    capacity: { ...resources, 'ephemeral-storage': `${Math.floor(machine.ephemeralStorage / 1024)}Ki` },
    // A tenth of the disk is the system's own.
    allocatable: { ...resources, 'ephemeral-storage': String(Math.floor(machine.ephemeralStorage * 0.9)) },
    nodeInfo: {
      machineID: machine.machineID,
      systemUUID: machine.machineID,
      bootID: machine.bootID,
      kernelVersion: known?.kernelVersion ?? '',
      osImage: known?.osImage ?? '',
      containerRuntimeVersion: known?.version ?? '',
      kubeletVersion: KUBELET_VERSION,
      kubeProxyVersion: '',
      operatingSystem: 'linux',
      architecture
    },
    conditions: [
      fine('MemoryPressure', 'KubeletHasSufficientMemory', 'kubelet has sufficient memory available'),
      fine('DiskPressure', 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'),
      fine('PIDPressure', 'KubeletHasSufficientPID', 'kubelet has sufficient PID available'),
      runtime === undefined
        ? { type: 'Ready', status: 'False', reason: 'KubeletNotReady', message: `container runtime is down: ${problem}` }
        : { type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'kubelet is posting ready status' },
      ...conditions
    ],
    images
  }
}
