/** What a pod's containers find on disk: volumes, hosts and resolv.conf, and where they leave a last message. */
import { chmod, chown, mkdir, open, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Container, Volume } from '#events/schema/generated/core.v1.ts'
import { wholeValue } from '#events/meta/Quantity.ts'
import type { Binding } from '#events/node/messages.ts'
import type { Clock } from '#services/platform/Clock.ts'
import { expand, type PodFacts } from '#services/kubelet/container/env.ts'
import { hostsFile, resolvConf, type DnsSettings } from '#services/kubelet/container/resolv.ts'
import type { Mount } from '#services/platform/Runtime.ts'
import { writeAtomically } from './atomic.ts'
import { isSecretVolume, MountError, volumeFiles } from './content.ts'
import { mountTmpfs, namesIn, removeEmpty, unmountBelow } from './mounts.ts'
import { mountSubPath, removeSubPaths, SUBPATHS } from './subPath.ts'

export interface PodFiles {
  /** Sets the pod's volumes up, or brings their files up to date. Rejects with a MountError that names the volume. */
  prepare(binding: Binding, facts: PodFacts): Promise<void>
  /** A container's mounts. `env` resolves subPathExpr. Rejects with a MountError. */
  mounts(
    binding: Binding,
    container: Container,
    attempt: number,
    facts: PodFacts,
    env: ReadonlyMap<string, string>
  ): Promise<readonly Mount[]>
  /** '' when the container left none. */
  terminationMessage(podUid: string, container: string, attempt: number): Promise<string>
  /** Takes away what only running containers need: the mounts of subPaths. Files stay, and `mounts` brings them again. */
  release(podUid: string): Promise<void>
  /** Of every pod but these. */
  releaseOthers(podUids: ReadonlySet<string>): Promise<void>
  remove(podUid: string): Promise<void>
  removeAll(): Promise<void>
}

/** A pod without files: for the simulated runtime. Missing ConfigMaps and Secrets fail as they do on disk. */
export const noFiles: PodFiles = {
  prepare: async (binding, facts) => {
    for (const volume of binding.pod.spec?.volumes ?? []) named(volume, () => volumeFiles(binding, volume, facts))
  },
  mounts: async () => [],
  terminationMessage: async () => '',
  release: async () => {},
  releaseOthers: async () => {},
  remove: async () => {},
  removeAll: async () => {}
}

const named = <Result>(volume: Volume, work: () => Result): Result => {
  try {
    return work()
  } catch (error) {
    throw new MountError(`MountVolume.SetUp failed for volume "${volume.name}" : ${error instanceof Error ? error.message : String(error)}`)
  }
}

const MESSAGE_BYTES = 4096

export class DiskPodFiles implements PodFiles {
  readonly #pods: string
  readonly #memory: string
  readonly #clock: Clock
  readonly #dns: () => DnsSettings
  readonly #warn: (error: Error) => void
  #mounted: Promise<void> | undefined

  /** `folder`: `$RECKON_HOME/kubelet`, absolute. `warn` is told what users are not: where in the machine's files a subPath led. */
  constructor(folder: string, clock: Clock, dns: () => DnsSettings, warn: (error: Error) => void) {
    this.#pods = join(folder, 'pods')
    this.#memory = join(folder, 'memory')
    this.#clock = clock
    this.#dns = dns
    this.#warn = warn
  }
  async prepare(binding: Binding, facts: PodFacts): Promise<void> {
    for (const volume of binding.pod.spec?.volumes ?? []) {
      try {
        await this.#setUp(binding, volume, facts)
      } catch (error) {
        throw new MountError(
          `MountVolume.SetUp failed for volume "${volume.name}" : ${error instanceof Error ? error.message : String(error)}`
        )
      }
    }
  }
  async #setUp(binding: Binding, volume: Volume, facts: PodFacts): Promise<void> {
    const group = binding.pod.spec?.securityContext?.fsGroup
    const files = volumeFiles(binding, volume, facts)
    const path = this.#path(binding, volume)
    if (files !== undefined) {
      // One tmpfs for the node's secrets: they never reach a disk, and a pod costs no mount.
      if (isSecretVolume(volume)) await this.#mountMemory()
      await writeAtomically(path, files, this.#clock.uuid(), group)
    } else if (volume.emptyDir !== undefined) {
      if (volume.emptyDir.medium === 'Memory') {
        const limit = wholeValue(volume.emptyDir.sizeLimit)
        await mountTmpfs(path, `mode=0777${limit === 0 ? '' : `,size=${limit}`}`)
      } else await mkdir(path, { recursive: true })
      if (group !== undefined) await chown(path, 0, group)
      await chmod(path, group === undefined ? 0o777 : 0o2777)
    } else if (volume.hostPath !== undefined) await hostPath(volume.hostPath.path, volume.hostPath.type ?? '')
    else throw new MountError('this kind of volume is not supported on this node')
  }
  /** Once: a second mount over the first would hide what pods have there. */
  #mountMemory(): Promise<void> {
    this.#mounted ??= mountTmpfs(this.#memory, 'noexec,mode=0700').catch((error: unknown) => {
      this.#mounted = undefined
      throw error
    })
    return this.#mounted
  }
  #path(binding: Binding, volume: Volume): string {
    if (volume.hostPath !== undefined) return volume.hostPath.path
    const uid = binding.pod.metadata?.uid as string
    return isSecretVolume(volume) ? join(this.#memory, uid, volume.name) : join(this.#pods, uid, 'volumes', volume.name)
  }
  async mounts(
    binding: Binding,
    container: Container,
    attempt: number,
    facts: PodFacts,
    env: ReadonlyMap<string, string>
  ): Promise<readonly Mount[]> {
    const { pod } = binding
    const folder = join(this.#pods, pod.metadata?.uid as string)
    const mounts: Mount[] = []
    for (const [index, mount] of (container.volumeMounts ?? []).entries()) {
      const volume = (pod.spec?.volumes ?? []).find(({ name }) => name === mount.name)
      if (volume === undefined) throw new MountError(`volume "${mount.name}" of container ${container.name} is not among the pod's volumes`)
      const whole = this.#path(binding, volume)
      const path = (mount.subPathExpr === undefined ? mount.subPath : expand(mount.subPathExpr, env)) ?? ''
      const part = { volume: whole, path, podFolder: folder, volumeName: volume.name, container: container.name, index }
      const source = path === '' ? whole : await mountSubPath(part).catch((error: unknown) => this.#refuse(error))
      // The files of these volumes are the kubelet's; a container that could write them would only lose its changes.
      const ours =
        volume.configMap !== undefined || volume.secret !== undefined || volume.projected !== undefined || volume.downwardAPI !== undefined
      mounts.push({ source, target: mount.mountPath, readOnly: mount.readOnly === true || ours })
    }
    const taken = new Set(mounts.map(({ target }) => target))
    const own = join(folder, 'containers', container.name, String(attempt))
    await mkdir(own, { recursive: true })
    const message = join(own, 'termination-log')
    await writeFile(message, '')
    await chmod(message, 0o666)
    mounts.push({ source: message, target: container.terminationMessagePath ?? '/dev/termination-log', readOnly: false })
    const dns = this.#dns()
    const resolv = join(folder, 'resolv.conf')
    await writeFile(resolv, resolvConf(pod, dns), { mode: 0o644 })
    if (!taken.has('/etc/resolv.conf')) mounts.push({ source: resolv, target: '/etc/resolv.conf', readOnly: false })
    if (!taken.has('/etc/hosts') && pod.spec?.hostNetwork !== true) {
      const hosts = join(folder, 'etc-hosts')
      await writeFile(hosts, hostsFile(pod, facts.podIP, dns.clusterDomain), { mode: 0o644 })
      mounts.push({ source: hosts, target: '/etc/hosts', readOnly: false })
    }
    return mounts
  }
  #refuse(error: unknown): never {
    if (error instanceof MountError && error.cause !== undefined)
      this.#warn(new Error(`${error.message}: ${error.cause instanceof Error ? error.cause.message : String(error.cause)}`))
    throw error
  }
  async terminationMessage(podUid: string, container: string, attempt: number): Promise<string> {
    try {
      const file = await open(join(this.#pods, podUid, 'containers', container, String(attempt), 'termination-log'))
      try {
        const buffer = Buffer.alloc(MESSAGE_BYTES)
        const { bytesRead } = await file.read(buffer, 0, MESSAGE_BYTES, 0)
        return buffer.toString('utf8', 0, bytesRead)
      } finally {
        await file.close()
      }
    } catch {
      return ''
    }
  }
  release(podUid: string): Promise<void> {
    return removeSubPaths(join(this.#pods, podUid))
  }
  async releaseOthers(podUids: ReadonlySet<string>): Promise<void> {
    for (const uid of await namesIn(this.#pods)) if (!podUids.has(uid)) await this.release(uid)
  }
  async remove(podUid: string): Promise<void> {
    const folder = join(this.#pods, podUid)
    await this.release(podUid)
    await unmountBelow(folder)
    for (const name of await namesIn(folder)) if (name !== SUBPATHS) await rm(join(folder, name), { recursive: true, force: true })
    // Not recursive: a subPath mounted meanwhile shows files that are not the kubelet's to delete.
    await removeEmpty(folder)
    await rm(join(this.#memory, podUid), { recursive: true, force: true })
  }
  async removeAll(): Promise<void> {
    // All at once, before one by one.
    await unmountBelow(this.#pods)
    for (const uid of await namesIn(this.#pods)) await this.remove(uid)
    await removeEmpty(this.#pods)
    await unmountBelow(this.#memory)
    await rm(this.#memory, { recursive: true, force: true })
    this.#mounted = undefined
  }
}

const hostPath = async (path: string, type: string): Promise<void> => {
  const found = await stat(path).catch(() => undefined)
  if (type === 'DirectoryOrCreate' && found === undefined) await mkdir(path, { recursive: true, mode: 0o755 })
  else if (type === 'FileOrCreate' && found === undefined) await writeFile(path, '', { mode: 0o644, flag: 'wx' })
  else if ((type === 'Directory' || type === 'DirectoryOrCreate') && found?.isDirectory() === false)
    throw new MountError(`hostPath type check failed: ${path} is not a directory`)
  else if ((type === 'File' || type === 'FileOrCreate') && found?.isFile() === false)
    throw new MountError(`hostPath type check failed: ${path} is not a file`)
  else if (type === 'Socket' && found?.isSocket() !== true) throw new MountError(`hostPath type check failed: ${path} is not a socket file`)
  else if (found === undefined && type === '') await mkdir(path, { recursive: true, mode: 0o755 })
  else if (found === undefined)
    throw new MountError(
      `hostPath type check failed: ${path} is not a ${type === 'Directory' ? 'directory' : type === 'File' ? 'file' : type}`
    )
}
