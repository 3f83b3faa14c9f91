/** Kubelet specs as Docker Engine's create options. */
import type { ContainerCreateOptions } from 'dockerode'
import type { ContainerSpec, SandboxSpec } from '#services/platform/Runtime.ts'
import { containerName, labelsOf, type Owner } from './labels.ts'

const CPU_PERIOD_US = 100_000
/** One container can't fill the disk with its output. */
const LOG = { Type: 'json-file', Config: { 'max-size': '10m', 'max-file': '3' } }

export const sandboxOptions = (owner: Owner, spec: SandboxSpec): ContainerCreateOptions => ({
  name: containerName(owner, spec.identity),
  Image: spec.image,
  ...(spec.hostNetwork ? {} : { Hostname: spec.hostname }),
  Labels: labelsOf(owner, spec.identity, spec.image),
  HostConfig: {
    NetworkMode: spec.hostNetwork ? 'host' : 'none',
    IpcMode: spec.hostIPC ? 'host' : 'shareable',
    ...(spec.hostPID ? { PidMode: 'host' } : {}),
    RestartPolicy: { Name: 'no' },
    SecurityOpt: ['no-new-privileges'],
    ReadonlyRootfs: true,
    ...(Object.keys(spec.sysctls).length === 0 ? {} : { Sysctls: { ...spec.sysctls } }),
    CpuShares: 2,
    LogConfig: LOG
  }
})

export const containerOptions = (owner: Owner, spec: ContainerSpec): ContainerCreateOptions => ({
  name: containerName(owner, spec.identity),
  Image: spec.image,
  Labels: labelsOf(owner, spec.identity, spec.imageName),
  Env: [...spec.env],
  ...(spec.command === undefined ? {} : { Entrypoint: [...spec.command] }),
  ...(spec.args === undefined ? {} : { Cmd: [...spec.args] }),
  ...(spec.workingDir === undefined ? {} : { WorkingDir: spec.workingDir }),
  ...(spec.user === undefined ? {} : { User: spec.user }),
  Tty: spec.tty,
  OpenStdin: spec.stdin,
  StdinOnce: spec.stdinOnce,
  // The kubelet probes; an image's own HEALTHCHECK is not Kubernetes'.
  Healthcheck: { Test: ['NONE'] },
  HostConfig: {
    NetworkMode: `container:${spec.sandboxId}`,
    IpcMode: spec.hostIPC ? 'host' : `container:${spec.sandboxId}`,
    ...(spec.hostPID ? { PidMode: 'host' } : spec.shareProcessNamespace ? { PidMode: `container:${spec.sandboxId}` } : {}),
    RestartPolicy: { Name: 'no' },
    Mounts: spec.mounts.map(({ source, target, readOnly }) => ({
      Type: 'bind' as const,
      Source: source,
      Target: target,
      ReadOnly: readOnly
    })),
    GroupAdd: [...spec.groups],
    CapAdd: [...spec.capAdd],
    CapDrop: [...spec.capDrop],
    Privileged: spec.privileged,
    ReadonlyRootfs: spec.readOnlyRootFilesystem,
    SecurityOpt: [
      ...(spec.noNewPrivileges ? ['no-new-privileges'] : []),
      ...(spec.seccomp === undefined ? [] : [`seccomp=${spec.seccomp}`])
    ],
    CpuShares: spec.cpuShares,
    ...(spec.cpuQuota === 0 ? {} : { CpuPeriod: CPU_PERIOD_US, CpuQuota: spec.cpuQuota }),
    ...(spec.memory === 0 ? {} : { Memory: spec.memory, MemorySwap: spec.memory }),
    OomScoreAdj: spec.oomScoreAdj,
    LogConfig: LOG
  }
})
