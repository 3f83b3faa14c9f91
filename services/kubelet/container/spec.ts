/** A container of a pod as the runtime is to make it. Plain: everything looked up comes in. */
import type { Container, Pod } from '#events/schema/generated/core.v1.ts'
import { type ContainerSpec, type Identity, type Image, type Mount, type Observed, type SandboxSpec } from '#services/platform/Runtime.ts'
import { ConfigError, expand } from './env.ts'
import { hostnameOf } from './resolv.ts'
import { kernelResources } from './resources.ts'

export interface Machine {
  readonly cores: number
  readonly memory: number
  /** Whether negative OOM scores are allowed here. */
  readonly negativeScores: boolean
}

const capabilities = (names: readonly string[] | undefined): string[] => (names ?? []).map((name) => name.replace(/^CAP_/, ''))

export const sandboxSpec = (pod: Pod, identity: Identity, image: string): SandboxSpec => ({
  identity,
  image,
  hostname: hostnameOf(pod),
  hostNetwork: pod.spec?.hostNetwork === true,
  hostPID: pod.spec?.hostPID === true,
  hostIPC: pod.spec?.hostIPC === true,
  sysctls: Object.fromEntries((pod.spec?.securityContext?.sysctls ?? []).map(({ name, value }) => [name, value]))
})

/** Throws a ConfigError for what must not run. */
export const containerSpec = (
  pod: Pod,
  container: Container,
  identity: Identity,
  sandbox: Observed,
  image: Image,
  env: ReadonlyMap<string, string>,
  mounts: readonly Mount[],
  machine: Machine
): ContainerSpec => {
  const { securityContext: own } = container
  const shared = pod.spec?.securityContext
  const runAsUser = own?.runAsUser ?? shared?.runAsUser
  const runAsGroup = own?.runAsGroup ?? shared?.runAsGroup
  if (own?.runAsNonRoot ?? shared?.runAsNonRoot) {
    const where = `(pod: "${pod.metadata?.name}_${pod.metadata?.namespace}(${pod.metadata?.uid})", container: ${container.name})`
    if (runAsUser === 0) throw new ConfigError(`container's runAsUser breaks non-root policy ${where}`)
    const user = image.user.split(':')[0] ?? ''
    if (runAsUser === undefined && (user === '' || user === '0' || user === 'root'))
      throw new ConfigError(`container has runAsNonRoot and image will run as root ${where}`)
    if (runAsUser === undefined && !/^\d+$/.test(user))
      throw new ConfigError(`container has runAsNonRoot and image has non-numeric user (${user}), cannot verify user is non-root ${where}`)
  }
  // A group alone keeps the image's user, whose name the runtime looks up.
  const user =
    runAsUser === undefined
      ? runAsGroup === undefined
        ? undefined
        : `${image.user.split(':')[0] || '0'}:${runAsGroup}`
      : runAsGroup === undefined
        ? String(runAsUser)
        : `${runAsUser}:${runAsGroup}`
  const seccomp = own?.seccompProfile ?? shared?.seccompProfile
  if (seccomp?.type === 'Localhost') throw new ConfigError('seccomp profiles of type Localhost are not supported on this node')
  // Unconfined needs no refusal: the runtime's own profile, which stays, is stricter.
  if ((own?.appArmorProfile ?? shared?.appArmorProfile)?.type === 'Localhost')
    throw new ConfigError('AppArmor profiles of type Localhost are not supported on this node')
  const fsGroup = shared?.fsGroup
  return {
    identity,
    image: image.id,
    imageName: container.image ?? '',
    sandboxId: sandbox.id,
    hostPID: pod.spec?.hostPID === true,
    hostIPC: pod.spec?.hostIPC === true,
    shareProcessNamespace: pod.spec?.shareProcessNamespace === true,
    ...(container.command === undefined || container.command.length === 0
      ? {}
      : { command: container.command.map((part) => expand(part, env)) }),
    ...(container.args === undefined || container.args.length === 0 ? {} : { args: container.args.map((part) => expand(part, env)) }),
    env: [...env].map(([name, value]) => `${name}=${value}`),
    ...(container.workingDir === undefined || container.workingDir === '' ? {} : { workingDir: container.workingDir }),
    mounts,
    tty: container.tty === true,
    stdin: container.stdin === true,
    stdinOnce: container.stdinOnce === true,
    ...(user === undefined ? {} : { user }),
    groups: [...(shared?.supplementalGroups ?? []), ...(fsGroup === undefined ? [] : [fsGroup])].map(String),
    capAdd: capabilities(own?.capabilities?.add),
    capDrop: capabilities(own?.capabilities?.drop),
    privileged: own?.privileged === true,
    readOnlyRootFilesystem: own?.readOnlyRootFilesystem === true,
    noNewPrivileges: own?.allowPrivilegeEscalation === false,
    ...(seccomp?.type === 'Unconfined' ? { seccomp: 'unconfined' } : {}),
    ...kernelResources(pod, container, machine.memory, machine.negativeScores)
  }
}
