/**
 * A container's environment, as upstream's kubelet puts it together. Values are secret until shown otherwise: nothing here goes into a
 * message.
 */
import type { Container, Pod } from '#events/schema/generated/core.v1.ts'
import type { Binding } from '#events/node/messages.ts'
import { resourceField } from './resources.ts'

/** A reference that can't be resolved: CreateContainerConfigError. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

export interface PodFacts {
  readonly podIP: string
  readonly hostIP: string
  readonly nodeName: string
  readonly cores: number
  readonly memory: number
}

const decode = (base64: string): string => new TextDecoder().decode(Uint8Array.from(atob(base64), (char) => char.charCodeAt(0)))

/** `$(NAME)` becomes its value when it is known, `$$(NAME)` stays as `$(NAME)`. */
export const expand = (text: string, known: ReadonlyMap<string, string>): string =>
  text.replace(/\$\$|\$\(([^)]*)\)/g, (match, name: string | undefined) => (name === undefined ? '$' : (known.get(name) ?? match)))

/** `metadata.name`, `metadata.labels['app']`, `status.podIP`, … Undefined for a path there is none of. */
export const podField = (pod: Pod, path: string, facts: PodFacts): string | undefined => {
  const subscript = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path)
  if (subscript !== null) return (pod.metadata?.[subscript[1] as 'labels' | 'annotations'] ?? {})[subscript[2] as string] ?? ''
  switch (path) {
    case 'metadata.name':
      return pod.metadata?.name ?? ''
    case 'metadata.namespace':
      return pod.metadata?.namespace ?? ''
    case 'metadata.uid':
      return pod.metadata?.uid ?? ''
    case 'metadata.labels':
      return mapText(pod.metadata?.labels)
    case 'metadata.annotations':
      return mapText(pod.metadata?.annotations)
    case 'spec.nodeName':
      return facts.nodeName
    case 'spec.serviceAccountName':
      return pod.spec?.serviceAccountName ?? 'default'
    case 'status.podIP':
    case 'status.podIPs':
      return facts.podIP
    case 'status.hostIP':
    case 'status.hostIPs':
      return facts.hostIP
    default:
      return undefined
  }
}

const mapText = (map: Readonly<Record<string, string>> | undefined): string =>
  Object.entries(map ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .join('\n')

export const environment = (binding: Binding, container: Container, facts: PodFacts): ReadonlyMap<string, string> => {
  const { pod } = binding
  const namespace = pod.metadata?.namespace ?? ''
  const result = new Map<string, string>()
  for (const { prefix = '', configMapRef, secretRef } of container.envFrom ?? []) {
    const name = configMapRef?.name ?? secretRef?.name ?? ''
    const found = configMapRef !== undefined ? binding.configMaps[name]?.data : binding.secrets[name]?.data
    const exists = configMapRef !== undefined ? binding.configMaps[name] !== undefined : binding.secrets[name] !== undefined
    if (!exists) {
      if ((configMapRef ?? secretRef)?.optional === true) continue
      throw new ConfigError(`${configMapRef !== undefined ? 'configmap' : 'secret'} "${name}" not found`)
    }
    for (const [key, value] of Object.entries(found ?? {})) result.set(prefix + key, configMapRef !== undefined ? value : decode(value))
  }
  const services = binding.serviceEnv
  // What a value may refer to: services first, then what was defined before it.
  const known = new Map([...Object.entries(services), ...result])
  for (const { name, value, valueFrom } of container.env ?? []) {
    let resolved: string | undefined
    if (valueFrom === undefined) resolved = expand(value ?? '', known)
    else if (valueFrom.fieldRef !== undefined) {
      resolved = podField(pod, valueFrom.fieldRef.fieldPath, facts)
      if (resolved === undefined) throw new ConfigError(`unsupported fieldPath: ${valueFrom.fieldRef.fieldPath}`)
    } else if (valueFrom.resourceFieldRef !== undefined) {
      const { containerName, resource, divisor } = valueFrom.resourceFieldRef
      const of =
        containerName === undefined || containerName === ''
          ? container
          : [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])].find((one) => one.name === containerName)
      if (of === undefined) throw new ConfigError(`container ${containerName} not found`)
      resolved = resourceField(of, resource, divisor, facts)
    } else {
      const isSecret = valueFrom.secretKeyRef !== undefined
      const ref = valueFrom.configMapKeyRef ?? valueFrom.secretKeyRef
      const objectName = ref?.name ?? ''
      const key = ref?.key ?? ''
      const object = isSecret ? binding.secrets[objectName] : binding.configMaps[objectName]
      const found = object?.data?.[key]
      if (found === undefined) {
        if (ref?.optional === true) continue
        throw new ConfigError(
          object === undefined
            ? `${isSecret ? 'secret' : 'configmap'} "${objectName}" not found`
            : `couldn't find key ${key} in ${isSecret ? 'Secret' : 'ConfigMap'} ${namespace}/${objectName}`
        )
      }
      resolved = isSecret ? decode(found) : found
    }
    result.set(name, resolved)
    known.set(name, resolved)
  }
  for (const [name, value] of Object.entries(services)) if (!result.has(name)) result.set(name, value)
  return result
}
