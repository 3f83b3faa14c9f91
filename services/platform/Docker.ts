/** Docker Engine as the kubelet's runtime. */
import Docker from 'dockerode'
import type { Duplex, Readable } from 'node:stream'
import type { Subscription } from '#events/Log.ts'
import {
  RuntimeError,
  type ContainerSpec,
  type Image,
  type Observed,
  type RegistryAuth,
  type Runtime,
  type RuntimeEvent,
  type RuntimeInfo,
  type SandboxSpec
} from './Runtime.ts'
import { identityOf, INSTANCE, NODE, POD_UID, type Owner } from './docker/labels.ts'
import { containerOptions, sandboxOptions } from './docker/options.ts'
import { pieces, sessionOf } from './docker/streams.ts'
import type { ExecOptions, ExecSession, LogOptions } from './NodeLink.ts'

const RECONNECT_MS = 1_000
/** Inspections at once when many containers are listed. */
const PARALLEL = 8

export interface DockerRuntimeOptions extends Owner {
  /** Default: what DOCKER_HOST or dockerode's own default says. */
  readonly socketPath?: string
}

const statusOf = (error: unknown): number | undefined => (error as { statusCode?: number }).statusCode

const refused = (error: unknown): never => {
  const status = statusOf(error)
  const told = (error as { json?: { message?: string } }).json?.message
  if (status === undefined) throw error
  throw new RuntimeError(status, told ?? (error as Error).message)
}

const timeOf = (text: string | undefined): number | undefined => {
  const time = text === undefined || text.startsWith('0001-') ? Number.NaN : Date.parse(text)
  return Number.isNaN(time) ? undefined : time
}

export class DockerRuntime implements Runtime {
  readonly #docker: Docker
  readonly #owner: Owner
  /** What does not change any more of an ended or running container, by id and state. */
  readonly #seen = new Map<string, Observed>()

  constructor({ instance, node, socketPath }: DockerRuntimeOptions) {
    this.#owner = { instance, node }
    this.#docker = socketPath === undefined ? new Docker() : new Docker({ socketPath })
  }
  async info(): Promise<RuntimeInfo> {
    const info = (await this.#docker.info()) as {
      ServerVersion: string
      OperatingSystem: string
      KernelVersion: string
      Architecture: string
    }
    const architecture = { x86_64: 'amd64', aarch64: 'arm64' }[info.Architecture] ?? info.Architecture
    return { version: `docker://${info.ServerVersion}`, osImage: info.OperatingSystem, kernelVersion: info.KernelVersion, architecture }
  }
  #labels(podUid?: string): string[] {
    const { instance, node } = this.#owner
    return [`${INSTANCE}=${instance}`, `${NODE}=${node}`, ...(podUid === undefined ? [] : [`${POD_UID}=${podUid}`])]
  }
  async list(podUid?: string): Promise<readonly Observed[]> {
    const rows = await this.#docker.listContainers({ all: true, filters: { label: this.#labels(podUid) } })
    if (podUid === undefined) {
      const present = new Set(rows.map(({ Id }) => Id))
      for (const id of this.#seen.keys()) if (!present.has(id)) this.#seen.delete(id)
    }
    const found: Observed[] = []
    for (let at = 0; at < rows.length; at += PARALLEL) {
      const part = await Promise.all(
        rows.slice(at, at + PARALLEL).map(({ Id, State }) => {
          const seen = this.#seen.get(Id)
          return seen !== undefined && seen.state !== 'created' && seen.state === stateOf(State) ? seen : this.#observe(Id)
        })
      )
      found.push(...part.filter((one) => one !== undefined))
    }
    return found
  }
  async #observe(id: string): Promise<Observed | undefined> {
    let found: Docker.ContainerInspectInfo
    try {
      found = await this.#docker.getContainer(id).inspect()
    } catch (error) {
      if (statusOf(error) === 404) return undefined
      throw error
    }
    const identity = identityOf(found.Config.Labels)
    if (identity === undefined) return undefined
    const { State: state } = found
    const startedAt = timeOf(state.StartedAt)
    const finishedAt = timeOf(state.FinishedAt)
    // A program that can't be started leaves its container `created`, with an error.
    const failed = state.Status === 'created' && state.ExitCode !== 0
    const observed: Observed = {
      id: found.Id,
      identity,
      state: failed ? 'exited' : stateOf(state.Status),
      pid: state.Pid,
      createdAt: timeOf(found.Created) ?? 0,
      ...(startedAt === undefined ? {} : { startedAt }),
      ...(state.Running || finishedAt === undefined ? {} : { finishedAt }),
      ...(state.Running ? {} : { exitCode: state.ExitCode, oomKilled: state.OOMKilled }),
      ...(failed || (!state.Running && state.Error !== '') ? { startError: state.Error } : {}),
      image: found.Config.Labels['io.reckon.image'] ?? found.Config.Image,
      imageId: found.Image
    }
    if (observed.state !== 'created') this.#seen.set(observed.id, observed)
    return observed
  }
  async startSandbox(spec: SandboxSpec): Promise<Observed> {
    const id = await this.#create(sandboxOptions(this.#owner, spec))
    await this.start(id)
    const observed = await this.#observe(id)
    if (observed === undefined) throw new RuntimeError(404, `the sandbox of ${spec.identity.pod} went away while it started`)
    return observed
  }
  create(spec: ContainerSpec): Promise<string> {
    return this.#create(containerOptions(this.#owner, spec))
  }
  async #create(options: Docker.ContainerCreateOptions): Promise<string> {
    for (let tries = 1; ; tries++) {
      try {
        return (await this.#docker.createContainer(options)).id
      } catch (error) {
        if (statusOf(error) !== 409 || tries > 1) return refused(error)
        await this.#removeNamesake(options.name as string)
      }
    }
  }
  /** An earlier try whose answer was lost. The name holds our instance id; the label makes sure. */
  async #removeNamesake(name: string): Promise<void> {
    const namesake = this.#docker.getContainer(name)
    try {
      const { Config, State } = await namesake.inspect()
      if (Config.Labels[INSTANCE] !== this.#owner.instance || State.Running) return
      await namesake.remove({ v: true })
    } catch (error) {
      if (statusOf(error) !== 404) refused(error)
    }
  }
  async start(id: string): Promise<void> {
    try {
      await this.#docker.getContainer(id).start()
    } catch (error) {
      if (statusOf(error) !== 304) refused(error)
    } finally {
      this.#seen.delete(id)
    }
  }
  async stop(id: string, graceSeconds: number): Promise<void> {
    const container = this.#docker.getContainer(id)
    try {
      if (graceSeconds <= 0) await container.kill()
      else await container.stop({ t: Math.ceil(graceSeconds) })
    } catch (error) {
      // 304: stopped already; 404: gone; 409: not running.
      if (![304, 404, 409].includes(statusOf(error) ?? 0)) refused(error)
    }
    if (graceSeconds > 0) return
    await container.wait().catch((error: unknown) => (statusOf(error) === 404 ? undefined : refused(error)))
  }
  async remove(id: string): Promise<void> {
    try {
      await this.#docker.getContainer(id).remove({ force: true, v: true })
    } catch (error) {
      // 409: another removal of it is under way.
      if (![404, 409].includes(statusOf(error) ?? 0)) refused(error)
    }
    this.#seen.delete(id)
  }
  async exec(id: string, { command, stdin, stdout, stderr, tty }: ExecOptions): Promise<ExecSession> {
    try {
      const exec = await this.#docker
        .getContainer(id)
        .exec({ Cmd: [...command], AttachStdin: stdin, AttachStdout: stdout, AttachStderr: stderr && !tty, Tty: tty })
      const stream = (await exec.start({ hijack: true, stdin, Tty: tty })) as Duplex
      if (!stdin) stream.end()
      const resize = async (width: number, height: number): Promise<void> =>
        void (await exec.resize({ w: width, h: height }).catch(() => {}))
      return sessionOf(stream, tty, resize, async () => (await exec.inspect()).ExitCode ?? 0)
    } catch (error) {
      return refused(error)
    }
  }
  async attach(id: string, { stdin, stdout, stderr }: Omit<ExecOptions, 'command'>): Promise<ExecSession> {
    const container = this.#docker.getContainer(id)
    try {
      // Framing follows the container's own tty, not what the caller wishes for.
      const { Tty } = (await container.inspect()).Config
      const stream = (await container.attach({ stream: true, hijack: true, stdin, stdout, stderr: stderr && !Tty })) as unknown as Duplex
      const resize = async (width: number, height: number): Promise<void> =>
        void (await container.resize({ w: width, h: height }).catch(() => {}))
      // As upstream: an attach ends well when its stream does; how the program ended is the pod's status to say.
      return sessionOf(stream, Tty, resize, async () => 0)
    } catch (error) {
      return refused(error)
    }
  }
  async *logs(id: string, options: LogOptions, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const container = this.#docker.getContainer(id)
    const { Config } = await container.inspect().catch(refused)
    const since =
      options.sinceTime !== undefined
        ? Date.parse(options.sinceTime) / 1000
        : options.sinceSeconds !== undefined
          ? Date.now() / 1000 - options.sinceSeconds
          : 0
    const query = {
      stdout: true,
      stderr: true,
      timestamps: options.timestamps === true,
      since,
      ...(options.tailLines === undefined ? {} : { tail: options.tailLines }),
      abortSignal: signal
    }
    const stream = (await (
      options.follow === true ? container.logs({ ...query, follow: true }) : container.logs({ ...query, follow: false })
    ).catch(refused)) as Readable | Buffer
    if (Buffer.isBuffer(stream)) {
      yield* whole(stream, Config.Tty)
      return
    }
    const end = (): void => void stream.destroy()
    signal.addEventListener('abort', end)
    try {
      for await (const { data } of pieces(stream, Config.Tty)) yield data
    } catch (error) {
      if (!signal.aborted) throw error
    } finally {
      signal.removeEventListener('abort', end)
      stream.destroy()
    }
  }
  async image(name: string): Promise<Image | undefined> {
    try {
      const found = await this.#docker.getImage(name).inspect()
      const digest = (found.RepoDigests ?? [])[0]
      return { id: found.Id, ...(digest === undefined ? {} : { digest }), user: found.Config.User ?? '', sizeBytes: found.Size }
    } catch (error) {
      if (statusOf(error) === 404) return undefined
      return refused(error)
    }
  }
  async pull(name: string, auth: RegistryAuth | undefined): Promise<Image> {
    const options = auth === undefined ? {} : { authconfig: { ...auth, serveraddress: '' } as Docker.AuthConfig }
    const stream = (await this.#docker.pull(withTag(name), options).catch(refused)) as Readable
    // A failed pull is told inside a 200: read to the end.
    let failure: string | undefined
    await new Promise<void>((resolve, reject) =>
      this.#docker.modem.followProgress(
        stream,
        (error) => (error === null || error === undefined ? resolve() : reject(new RuntimeError(500, error.message))),
        (line: { error?: string }) => void (failure = line.error ?? failure)
      )
    )
    if (failure !== undefined) throw new RuntimeError(500, failure)
    const image = await this.image(name)
    if (image === undefined) throw new RuntimeError(404, `image ${name} is not there after it was pulled`)
    return image
  }
  async images(): Promise<readonly { readonly names: readonly string[]; readonly sizeBytes: number }[]> {
    const rows = await this.#docker.listImages()
    return rows
      .map(({ RepoTags, RepoDigests, Size }) => ({
        names: [...(RepoDigests ?? []), ...(RepoTags ?? [])].filter((name) => !name.includes('<none>')),
        sizeBytes: Size
      }))
      .filter(({ names }) => names.length > 0)
  }
  events({ onEvent, onRelist }: { readonly onEvent: (event: RuntimeEvent) => void; readonly onRelist: () => void }): Subscription {
    const abort = new AbortController()
    const watch = async (): Promise<void> => {
      while (!abort.signal.aborted) {
        try {
          const stream = (await this.#docker.getEvents({
            filters: { type: ['container'], label: this.#labels(), event: ['start', 'die', 'destroy'] },
            abortSignal: abort.signal
          })) as unknown as Readable
          abort.signal.addEventListener('abort', () => stream.destroy(), { once: true })
          onRelist()
          for await (const line of lines(stream)) {
            const { Actor } = JSON.parse(line) as { Actor: { ID: string; Attributes: Record<string, string> } }
            this.#seen.delete(Actor.ID)
            const podUid = Actor.Attributes[POD_UID]
            if (podUid !== undefined) onEvent({ podUid })
          }
        } catch {
          // The daemon went away: tried again below, and everything is listed anew.
        }
        if (!abort.signal.aborted) await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS))
      }
    }
    void watch()
    return { close: () => abort.abort() }
  }
}

const stateOf = (state: string): Observed['state'] =>
  state === 'created' ? 'created' : state === 'running' || state === 'paused' || state === 'restarting' ? 'running' : 'exited'

/** Without a tag or digest Docker Engine would pull every tag there is. */
const withTag = (name: string): string =>
  name.includes('@') || name.slice(name.lastIndexOf('/') + 1).includes(':') ? name : `${name}:latest`

function* whole(buffer: Buffer, tty: boolean): Generator<Uint8Array> {
  if (tty) return yield buffer
  for (let at = 0; at + 8 <= buffer.length;) {
    const length = buffer.readUInt32BE(at + 4)
    yield buffer.subarray(at + 8, at + 8 + length)
    at += 8 + length
  }
}

async function* lines(stream: Readable): AsyncGenerator<string> {
  let held = ''
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    held += chunk.toString()
    const parts = held.split('\n')
    held = parts.pop() ?? ''
    for (const part of parts) if (part.trim() !== '') yield part
  }
}
