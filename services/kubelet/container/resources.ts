/** Requests and limits as the kernel's shares, quotas and scores. Numbers as upstream's kubelet computes them. */
import { qosClassOf } from '#events/core/pod/qos.ts'
import type { Container, Pod, ResourceRequirements } from '#events/schema/generated/core.v1.ts'
import { milliValue, wholeValue } from '#events/meta/Quantity.ts'

type Amounts = Readonly<Record<string, string>>
const amounts = (map: unknown): Amounts => (map ?? {}) as Amounts

const requested = (resources: ResourceRequirements | undefined, name: string): string | undefined =>
  amounts(resources?.requests)[name] ?? amounts(resources?.limits)[name]

const MIN_SHARES = 2
const MAX_SHARES = 262_144
const MIN_QUOTA_US = 1_000

/** `machineMemory` in bytes. `negativeScores`: whether this machine lets a process be spared from the OOM killer. */
export const kernelResources = (
  pod: Pod,
  container: Container,
  machineMemory: number,
  negativeScores: boolean
): { readonly cpuShares: number; readonly cpuQuota: number; readonly memory: number; readonly oomScoreAdj: number } => {
  const { resources } = container
  const cpu = milliValue(requested(resources, 'cpu'))
  const limit = milliValue(amounts(resources?.limits)['cpu'])
  const qos = qosClassOf(pod.spec ?? { containers: [] })
  const wanted = wholeValue(requested(resources, 'memory'))
  const score =
    qos === 'Guaranteed'
      ? -997
      : qos === 'BestEffort'
        ? 1000
        : Math.min(999, Math.max(3, 1000 - Math.floor((1000 * wanted) / machineMemory)))
  return {
    cpuShares: cpu === 0 ? MIN_SHARES : Math.min(MAX_SHARES, Math.max(MIN_SHARES, Math.floor((cpu * 1024) / 1000))),
    cpuQuota: limit === 0 ? 0 : Math.max(MIN_QUOTA_US, limit * 100),
    memory: wholeValue(amounts(resources?.limits)['memory']),
    oomScoreAdj: negativeScores ? score : Math.max(0, score)
  }
}

/** The value of a resourceFieldRef; an absent limit is what the machine has. */
export const resourceField = (
  container: Container,
  resource: string,
  divisor: string | undefined,
  machine: { readonly cores: number; readonly memory: number }
): string => {
  const [kind = '', name = ''] = resource.split('.')
  const map = amounts(kind === 'limits' ? container.resources?.limits : container.resources?.requests)
  const by = divisor === undefined || divisor === '' || divisor === '0' ? '1' : divisor
  const fallback = kind === 'limits' ? (name === 'cpu' ? String(machine.cores) : name === 'memory' ? String(machine.memory) : '0') : '0'
  const value = map[name] ?? fallback
  const unit = milliValue(by)
  return String(unit === 0 ? 0 : Math.ceil(milliValue(value) / unit))
}
