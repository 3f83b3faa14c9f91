/** The files of ConfigMap, Secret, downwardAPI and projected volumes, as data. */
import type { KeyToPath, Volume } from '#events/schema/generated/core.v1.ts'
import type { Binding } from '#events/node/messages.ts'
import { podField, type PodFacts } from '#services/kubelet/container/env.ts'
import { resourceField } from '#services/kubelet/container/resources.ts'

export interface VolumeFile {
  /** Relative; may have folders in it. */
  readonly path: string
  readonly content: Uint8Array
  readonly mode: number
}

/** A volume that can't be set up now: FailedMount. */
export class MountError extends Error {
  override readonly name = 'MountError'
}

const DEFAULT_MODE = 0o644
const encoder = new TextEncoder()
const bytes = (base64: string): Uint8Array => Uint8Array.from(atob(base64), (char) => char.charCodeAt(0))

const select = (
  data: ReadonlyMap<string, Uint8Array>,
  items: readonly KeyToPath[] | undefined,
  mode: number,
  optional: boolean,
  what: string
): VolumeFile[] => {
  if (items === undefined || items.length === 0) return [...data].map(([path, content]) => ({ path, content, mode }))
  return items.flatMap((item): VolumeFile[] => {
    const content = data.get(item.key)
    if (content === undefined) {
      if (optional) return []
      throw new MountError(`${what} references non-existent ${what === 'configmap' ? 'config' : 'secret'} key: ${item.key}`)
    }
    return [{ path: item.path, content, mode: item.mode ?? mode }]
  })
}

const configMapFiles = (
  binding: Binding,
  name: string,
  items: readonly KeyToPath[] | undefined,
  mode: number,
  optional: boolean
): VolumeFile[] => {
  const found = binding.configMaps[name]
  if (found === undefined) {
    if (optional) return []
    throw new MountError(`configmap "${name}" not found`)
  }
  const data = new Map([
    ...Object.entries(found.data ?? {}).map(([key, value]) => [key, encoder.encode(value)] as const),
    ...Object.entries(found.binaryData ?? {}).map(([key, value]) => [key, bytes(value)] as const)
  ])
  return select(data, items, mode, optional, 'configmap')
}

const secretFiles = (
  binding: Binding,
  name: string,
  items: readonly KeyToPath[] | undefined,
  mode: number,
  optional: boolean
): VolumeFile[] => {
  const found = binding.secrets[name]
  if (found === undefined) {
    if (optional) return []
    throw new MountError(`secret "${name}" not found`)
  }
  return select(new Map(Object.entries(found.data).map(([key, value]) => [key, bytes(value)])), items, mode, optional, 'secret')
}

type DownwardItem = {
  readonly path: string
  readonly mode?: number
  readonly fieldRef?: { readonly fieldPath: string }
  readonly resourceFieldRef?: { readonly containerName?: string; readonly resource: string; readonly divisor?: string }
}

const downwardFiles = (binding: Binding, items: readonly DownwardItem[] | undefined, mode: number, facts: PodFacts): VolumeFile[] =>
  (items ?? []).map((item) => {
    const ref = item.resourceFieldRef
    const container =
      ref === undefined
        ? undefined
        : [...(binding.pod.spec?.initContainers ?? []), ...(binding.pod.spec?.containers ?? [])].find(
            ({ name }) => name === ref.containerName
          )
    const text =
      ref !== undefined && container !== undefined
        ? resourceField(container, ref.resource, ref.divisor, facts)
        : podField(binding.pod, item.fieldRef?.fieldPath ?? '', facts)
    if (text === undefined) throw new MountError(`unsupported fieldPath: ${item.fieldRef?.fieldPath ?? ''}`)
    return { path: item.path, content: encoder.encode(text), mode: item.mode ?? mode }
  })

/** Undefined for a volume that is no set of files. */
export const volumeFiles = (binding: Binding, volume: Volume, facts: PodFacts): readonly VolumeFile[] | undefined => {
  const { configMap, secret, downwardAPI, projected } = volume
  if (configMap !== undefined)
    return configMapFiles(
      binding,
      configMap.name ?? '',
      configMap.items,
      configMap.defaultMode ?? DEFAULT_MODE,
      configMap.optional === true
    )
  if (secret !== undefined)
    return secretFiles(binding, secret.secretName ?? '', secret.items, secret.defaultMode ?? DEFAULT_MODE, secret.optional === true)
  if (downwardAPI !== undefined)
    return downwardFiles(binding, downwardAPI.items as readonly DownwardItem[] | undefined, downwardAPI.defaultMode ?? DEFAULT_MODE, facts)
  if (projected === undefined) return undefined
  const mode = projected.defaultMode ?? DEFAULT_MODE
  return (projected.sources ?? []).flatMap((source): VolumeFile[] => {
    if (source.configMap !== undefined) {
      const { name = '', items, optional } = source.configMap
      // The cluster's CA comes with the binding, so that it is there before its ConfigMap is.
      if (name === 'kube-root-ca.crt' && binding.configMaps[name] === undefined && binding.clusterCA !== undefined)
        return select(new Map([['ca.crt', encoder.encode(binding.clusterCA)]]), items, mode, optional === true, 'configmap')
      return configMapFiles(binding, name, items, mode, optional === true)
    }
    if (source.secret !== undefined)
      return secretFiles(binding, source.secret.name ?? '', source.secret.items, mode, source.secret.optional === true)
    if (source.downwardAPI !== undefined)
      return downwardFiles(binding, source.downwardAPI.items as readonly DownwardItem[] | undefined, mode, facts)
    if (source.serviceAccountToken !== undefined) {
      const token = binding.serviceAccountToken
      if (token === undefined)
        throw new MountError(`failed to fetch token: serviceaccounts "${binding.pod.spec?.serviceAccountName ?? 'default'}" not found`)
      return [{ path: source.serviceAccountToken.path, content: encoder.encode(token.token), mode }]
    }
    return []
  })
}

/** Whether its files must never reach a disk. */
export const isSecretVolume = ({ secret, projected }: Volume): boolean =>
  secret !== undefined ||
  (projected?.sources ?? []).some((source) => source.secret !== undefined || source.serviceAccountToken !== undefined)
