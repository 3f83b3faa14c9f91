/**
 * The container runtime as a port. Twins: Docker Engine (Docker.ts) and the simulated one
 * (SimulatedRuntime.ts). Both see only containers of their own cluster and node; nothing else on the
 * machine is touched, looked at or counted. Nothing restarts by itself: restarting is the kubelet's.
 */
import type { Subscription } from '#events/Log.ts'
import type { ExecOptions, ExecSession, LogOptions } from './NodeLink.ts'

/** What a container is, written into its labels: all an agent needs to know again after its own death. */
export interface Identity {
  readonly podUid: string
  readonly namespace: string
  readonly pod: string
  /** '' is the sandbox: the pause container that holds the pod's namespaces. */
  readonly container: string
  /** The sandbox's own number, or that of the sandbox a container joined. */
  readonly sandbox: number
  /** How often it was started before: `restartCount`. */
  readonly attempt: number
  /** Restarts in a row without ten good minutes in between. */
  readonly backOff: number
  readonly specHash: string
  /** When the agent first saw the pod, milliseconds. */
  readonly podStart: number
}

export interface Observed {
  readonly id: string
  readonly identity: Identity
  readonly state: 'created' | 'running' | 'exited'
  /** 0 unless running. */
  readonly pid: number
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  readonly startedAt?: number
  readonly finishedAt?: number
  readonly exitCode?: number
  readonly oomKilled?: boolean
  /** Why the runtime could not start it. */
  readonly startError?: string
  /** As the pod names it. */
  readonly image: string
  /** `sha256:…` */
  readonly imageId: string
}

export interface SandboxSpec {
  readonly identity: Identity
  readonly image: string
  readonly hostname: string
  readonly hostNetwork: boolean
  readonly hostPID: boolean
  readonly hostIPC: boolean
  readonly sysctls: Readonly<Record<string, string>>
}

export interface Mount {
  readonly source: string
  readonly target: string
  readonly readOnly: boolean
}

export interface ContainerSpec {
  readonly identity: Identity
  /** Name or id of an image that is present. */
  readonly image: string
  /** As the pod names it. */
  readonly imageName: string
  readonly sandboxId: string
  readonly hostPID: boolean
  readonly hostIPC: boolean
  readonly shareProcessNamespace: boolean
  readonly command?: readonly string[]
  readonly args?: readonly string[]
  /** `NAME=value`; secret: never logged. */
  readonly env: readonly string[]
  readonly workingDir?: string
  readonly mounts: readonly Mount[]
  readonly tty: boolean
  readonly stdin: boolean
  readonly stdinOnce: boolean
  /** `1000` or `1000:3000`. */
  readonly user?: string
  readonly groups: readonly string[]
  readonly capAdd: readonly string[]
  readonly capDrop: readonly string[]
  readonly privileged: boolean
  readonly readOnlyRootFilesystem: boolean
  readonly noNewPrivileges: boolean
  /** `unconfined`, or a profile's JSON. */
  readonly seccomp?: string
  readonly cpuShares: number
  /** Microseconds of CPU time per 100 ms; 0: unlimited. */
  readonly cpuQuota: number
  /** Bytes; 0: unlimited. */
  readonly memory: number
  readonly oomScoreAdj: number
}

export interface Image {
  /** `sha256:…` */
  readonly id: string
  /** `name@sha256:…` when it came from a registry. */
  readonly digest?: string
  /** The user the image names, '' for root. */
  readonly user: string
  readonly sizeBytes: number
}

export interface RegistryAuth {
  readonly username: string
  readonly password: string
}

export type RuntimeEvent = { readonly podUid: string }

/** The runtime's answer to a request it understood and refused: `status` as in HTTP. */
export class RuntimeError extends Error {
  override readonly name = 'RuntimeError'
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

export interface RuntimeInfo {
  /** `docker://28.5.1` */
  readonly version: string
  readonly osImage: string
  readonly kernelVersion: string
  readonly architecture: string
}

export interface Runtime {
  /** Rejects when the runtime does not answer. */
  info(): Promise<RuntimeInfo>
  /** The containers of this cluster and node, or of one pod. */
  list(podUid?: string): Promise<readonly Observed[]>
  startSandbox(spec: SandboxSpec): Promise<Observed>
  /** Its id. A container of the same identity that never ran is replaced. */
  create(spec: ContainerSpec): Promise<string>
  /** Rejects with a RuntimeError when the program can't be started. */
  start(id: string): Promise<void>
  /** TERM, then KILL when the grace (seconds) is over; 0 is KILL at once. Resolves when it has ended, or is gone. */
  stop(id: string, graceSeconds: number): Promise<void>
  /** Also when it runs. Resolves when it is gone. */
  remove(id: string): Promise<void>
  exec(id: string, options: ExecOptions): Promise<ExecSession>
  attach(id: string, options: Omit<ExecOptions, 'command'>): Promise<ExecSession>
  /** `previous` is the caller's: it names the container. Ends when the container does. */
  logs(id: string, options: LogOptions, signal: AbortSignal): AsyncIterable<Uint8Array>
  image(name: string): Promise<Image | undefined>
  pull(name: string, auth: RegistryAuth | undefined): Promise<Image>
  images(): Promise<readonly { readonly names: readonly string[]; readonly sizeBytes: number }[]>
  /** Says which pod to look at again; `onRelist` when events may have been missed. */
  events(handlers: { readonly onEvent: (event: RuntimeEvent) => void; readonly onRelist: () => void }): Subscription
}

/** Runs a command to its end; the output is cut at `limit` bytes. */
export const run = async (
  runtime: Runtime,
  id: string,
  command: readonly string[],
  limit = 10_240
): Promise<{ readonly code: number; readonly output: string }> => {
  const session = await runtime.exec(id, { command, stdin: false, stdout: true, stderr: true, tty: false })
  const parts: Uint8Array[] = []
  let size = 0
  return new Promise((resolve, reject) => {
    session.start({
      onOutput: async (_, data) => {
        if (size < limit) parts.push(data.slice(0, limit - size))
        size += data.length
      },
      onExit: (exit) =>
        'error' in exit ? reject(new Error(exit.error)) : resolve({ code: exit.code, output: Buffer.concat(parts).toString() })
    })
  })
}
