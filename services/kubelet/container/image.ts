/** Image names and the credentials to pull them with. */
import { pullPolicyOf } from '#events/core/pod/default.ts'
import type { Container } from '#events/schema/generated/core.v1.ts'
import type { Binding } from '#events/node/messages.ts'
import type { RegistryAuth } from '#services/platform/Runtime.ts'

const DOMAIN = '(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*(?::[0-9]+)?/)?'
const PATH = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*)*'
const REFERENCE = new RegExp(
  `^${DOMAIN}${PATH}(?::[\\w][\\w.-]{0,127})?(?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?$`
)

export const isImageName = (name: string): boolean => REFERENCE.test(name)

export const pullPolicy = ({ image = '', imagePullPolicy = '' }: Container): string =>
  imagePullPolicy === '' ? pullPolicyOf(image) : imagePullPolicy

/** `registry.example:5000` of `registry.example:5000/web:1`; `docker.io` when none is named. */
export const registryOf = (image: string): string => {
  const first = image.split('/')[0] ?? ''
  return image.includes('/') && (first.includes('.') || first.includes(':') || first === 'localhost') ? first : 'docker.io'
}

const HUB = new Set(['docker.io', 'index.docker.io', 'registry-1.docker.io'])
const hostOf = (key: string): string => key.replace(/^https?:\/\//, '').split('/')[0] ?? ''

interface DockerConfig {
  readonly auths?: Readonly<Record<string, { readonly auth?: string; readonly username?: string; readonly password?: string }>>
}

/** The credentials of the pod's pull secrets that are for this image's registry, in order. */
export const pullCredentials = (binding: Binding, image: string): readonly RegistryAuth[] => {
  const registry = registryOf(image)
  const found: RegistryAuth[] = []
  for (const { name } of binding.pod.spec?.imagePullSecrets ?? []) {
    const secret = binding.secrets[name ?? '']
    const text = secret?.data['.dockerconfigjson'] ?? secret?.data['.dockercfg']
    if (text === undefined) continue
    let auths: DockerConfig['auths']
    try {
      const parsed = JSON.parse(atob(text)) as DockerConfig & DockerConfig['auths']
      auths = secret?.type === 'kubernetes.io/dockercfg' ? (parsed as DockerConfig['auths']) : parsed.auths
    } catch {
      continue
    }
    for (const [key, entry] of Object.entries(auths ?? {})) {
      const host = hostOf(key)
      if (host !== registry && !(HUB.has(host) && HUB.has(registry))) continue
      const pair = entry.auth === undefined || entry.auth === '' ? undefined : atob(entry.auth)
      const colon = pair?.indexOf(':') ?? -1
      const username = pair === undefined ? (entry.username ?? '') : pair.slice(0, colon)
      found.push({ username, password: pair === undefined ? (entry.password ?? '') : pair.slice(colon + 1) })
    }
  }
  return found
}
