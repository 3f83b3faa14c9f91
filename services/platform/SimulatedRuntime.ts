/**
 * A container runtime in memory on a Clock: Docker Engine's twin for tests, benchmarks and the simulation. What a
 * container does is a script; without one it runs until it is stopped.
 */
import type { Subscription } from '#events/Log.ts'
import {
  RuntimeError,
  type ContainerSpec,
  type Identity,
  type Image,
  type Observed,
  type RegistryAuth,
  type Runtime,
  type RuntimeEvent,
  type RuntimeInfo,
  type SandboxSpec
} from './Runtime.ts'
import { sleep, type Clock, type Timer } from './Clock.ts'
import type { ExecOptions, ExecSession, LogOptions } from './NodeLink.ts'

/** What a container does from its start. */
export interface Script {
  /** Ends by itself after this long. */
  readonly exitAfterMs?: number
  readonly exitCode?: number
  readonly oomKilled?: boolean
  /** Answers probes well from this long after its start; default: at once. Infinity: never. */
  readonly readyAfterMs?: number
  /** Answers probes badly from this long after its start. */
  readonly failsAfterMs?: number
  /** Does not end on TERM. */
  readonly ignoresTerm?: boolean
  /** How long it takes to end on TERM. */
  readonly stopMs?: number
  /** The runtime can't start it. */
  readonly startError?: string
  readonly log?: string
  /** What a command in it prints and how it ends; default: nothing and 0. */
  readonly exec?: (command: readonly string[]) => { readonly output?: string; readonly code: number }
}

export interface SimulatedRuntimeOptions {
  readonly clock: Clock
  /** Milliseconds a start takes; drawn per start. */
  readonly startMs?: () => number
  readonly script?: (identity: Identity, image: string) => Script
  /** Names of images that are present; default: all. */
  readonly hasImage?: (name: string) => boolean
  /** Whether an image that is not present can be pulled: undefined, or the error. */
  readonly pullError?: (name: string, auth: RegistryAuth | undefined) => string | undefined
}

interface Simulated {
  readonly id: string
  readonly identity: Identity
  readonly image: string
  readonly script: Script
  readonly createdAt: number
  state: Observed['state']
  pid: number
  startedAt?: number
  finishedAt?: number
  exitCode?: number
  oomKilled?: boolean
  startError?: string
  exit?: Timer
  waiting: (() => void)[]
}

const encoder = new TextEncoder()

export class SimulatedRuntime implements Runtime {
  readonly #options: SimulatedRuntimeOptions
  readonly #containers = new Map<string, Simulated>()
  readonly #followers = new Set<(event: RuntimeEvent) => void>()
  readonly #pulled = new Set<string>()
  #pids = 1000
  #down = false

  constructor(options: SimulatedRuntimeOptions) {
    this.#options = options
  }
  /** Stops answering, or answers again. Containers go on. */
  setDown(down: boolean): void {
    this.#down = down
  }
  /** As if somebody killed the process from outside. */
  kill(id: string, exitCode = 137): void {
    const one = this.#containers.get(id)
    if (one?.state === 'running') this.#end(one, exitCode)
  }
  #check(): void {
    if (this.#down) throw new Error('the runtime does not answer')
  }
  async info(): Promise<RuntimeInfo> {
    this.#check()
    return { version: 'simulated://1.0', osImage: 'simulated', kernelVersion: '0', architecture: 'amd64' }
  }
  async list(podUid?: string): Promise<readonly Observed[]> {
    this.#check()
    const found: Observed[] = []
    for (const one of this.#containers.values()) if (podUid === undefined || one.identity.podUid === podUid) found.push(observe(one))
    return found
  }
  async startSandbox({ identity, image }: SandboxSpec): Promise<Observed> {
    const id = this.#make(identity, image, {})
    await this.start(id)
    return observe(this.#containers.get(id) as Simulated)
  }
  async create({ identity, imageName }: ContainerSpec): Promise<string> {
    return this.#make(identity, imageName, this.#options.script?.(identity, imageName) ?? {})
  }
  #make(identity: Identity, image: string, script: Script): string {
    this.#check()
    const { clock } = this.#options
    for (const one of this.#containers.values()) {
      if (one.identity.podUid !== identity.podUid || one.identity.container !== identity.container) continue
      if (identity.container === '' ? one.identity.sandbox !== identity.sandbox : one.identity.attempt !== identity.attempt) continue
      if (one.state === 'running') throw new RuntimeError(409, `a container named ${identity.container} is in use already`)
      this.#containers.delete(one.id)
    }
    const id = clock.uuid().replaceAll('-', '').padEnd(64, '0')
    this.#containers.set(id, { id, identity, image, script, createdAt: clock.now(), state: 'created', pid: 0, waiting: [] })
    return id
  }
  async start(id: string): Promise<void> {
    this.#check()
    const { clock, startMs } = this.#options
    const ms = startMs?.() ?? 0
    if (ms > 0) await sleep(clock, ms)
    const one = this.#containers.get(id)
    if (one === undefined) throw new RuntimeError(404, `No such container: ${id}`)
    if (one.state === 'running') return
    if (one.script.startError !== undefined) {
      one.state = 'exited'
      one.startError = one.script.startError
      one.exitCode = 127
      throw new RuntimeError(400, one.script.startError)
    }
    one.state = 'running'
    one.startedAt = clock.now()
    one.pid = ++this.#pids
    const { exitAfterMs, exitCode = 0 } = one.script
    if (exitAfterMs !== undefined) one.exit = clock.after(exitAfterMs, () => this.#end(one, exitCode))
    this.#say(one)
  }
  #end(one: Simulated, exitCode: number): void {
    if (one.state !== 'running') return
    one.exit?.cancel()
    one.state = 'exited'
    one.pid = 0
    one.exitCode = exitCode
    one.oomKilled = one.script.oomKilled === true
    one.finishedAt = this.#options.clock.now()
    for (const resolve of one.waiting) resolve()
    one.waiting = []
    this.#say(one)
  }
  #say({ identity }: Simulated): void {
    for (const follower of this.#followers) follower({ podUid: identity.podUid })
  }
  async stop(id: string, graceSeconds: number): Promise<void> {
    this.#check()
    const one = this.#containers.get(id)
    if (one?.state !== 'running') return
    const { clock } = this.#options
    const { ignoresTerm = false, stopMs = 0 } = one.script
    const ended = new Promise<void>((resolve) => void one.waiting.push(resolve))
    const obeys = graceSeconds > 0 && !ignoresTerm && stopMs <= graceSeconds * 1000
    if (graceSeconds <= 0) this.#end(one, 137)
    else clock.after(obeys ? stopMs : graceSeconds * 1000, () => this.#end(one, obeys ? 0 : 137))
    await ended
  }
  async remove(id: string): Promise<void> {
    this.#check()
    const one = this.#containers.get(id)
    if (one === undefined) return
    this.#end(one, 137)
    this.#containers.delete(id)
    this.#say(one)
  }
  #running(id: string): Simulated {
    const one = this.#containers.get(id)
    if (one === undefined) throw new RuntimeError(404, `No such container: ${id}`)
    if (one.state !== 'running') throw new RuntimeError(409, `Container ${id} is not running`)
    return one
  }
  async exec(id: string, { command }: ExecOptions): Promise<ExecSession> {
    this.#check()
    const { output = '', code } = this.#running(id).script.exec?.(command) ?? { code: 0 }
    return session(async (onOutput) => {
      if (output !== '') await onOutput('stdout', encoder.encode(output))
      return code
    })
  }
  async attach(id: string): Promise<ExecSession> {
    this.#check()
    const one = this.#running(id)
    const ended = new Promise<void>((resolve) => void one.waiting.push(resolve))
    return session(async () => {
      await ended
      return one.exitCode ?? 0
    })
  }
  async *logs(id: string, { tailLines, follow }: LogOptions, signal: AbortSignal): AsyncIterable<Uint8Array> {
    this.#check()
    const one = this.#containers.get(id)
    if (one === undefined) throw new RuntimeError(404, `No such container: ${id}`)
    const lines = (one.script.log ?? '').split(/(?<=\n)/).filter((line) => line !== '')
    for (const line of tailLines === undefined ? lines : tailLines === 0 ? [] : lines.slice(-tailLines)) yield encoder.encode(line)
    if (follow === true && one.state === 'running' && !signal.aborted)
      await new Promise<void>((resolve) => {
        one.waiting.push(resolve)
        signal.addEventListener('abort', () => resolve(), { once: true })
      })
  }
  async image(name: string): Promise<Image | undefined> {
    this.#check()
    const present = this.#pulled.has(name) || (this.#options.hasImage?.(name) ?? true)
    return present ? imageOf(name) : undefined
  }
  async pull(name: string, auth: RegistryAuth | undefined): Promise<Image> {
    this.#check()
    const error = this.#options.pullError?.(name, auth)
    if (error !== undefined) throw new RuntimeError(404, error)
    this.#pulled.add(name)
    return imageOf(name)
  }
  async images(): Promise<readonly { readonly names: readonly string[]; readonly sizeBytes: number }[]> {
    this.#check()
    return [...this.#pulled].map((name) => ({ names: [name], sizeBytes: 1_000_000 }))
  }
  events({ onEvent, onRelist }: { readonly onEvent: (event: RuntimeEvent) => void; readonly onRelist: () => void }): Subscription {
    this.#followers.add(onEvent)
    // Never before the caller has its subscription.
    queueMicrotask(onRelist)
    return { close: () => void this.#followers.delete(onEvent) }
  }
  /** Whether a probe of the container would succeed now. */
  answers(id: string): boolean {
    const one = this.#containers.get(id)
    if (one?.state !== 'running') return false
    const age = this.#options.clock.now() - (one.startedAt ?? 0)
    return age >= (one.script.readyAfterMs ?? 0) && age < (one.script.failsAfterMs ?? Number.POSITIVE_INFINITY)
  }
}

const imageOf = (name: string): Image => ({ id: `sha256:${name}`, user: '', sizeBytes: 1_000_000 })

const observe = ({ script: _, exit: __, waiting: ___, ...one }: Simulated): Observed => ({ ...one, imageId: `sha256:${one.image}` })

const session = (body: (onOutput: (channel: 'stdout' | 'stderr', data: Uint8Array) => Promise<void>) => Promise<number>): ExecSession => ({
  write: async () => {},
  closeStdin: async () => {},
  resize: async () => {},
  close: () => {},
  start: ({ onOutput, onExit }) => {
    body(onOutput).then(
      (code) => onExit({ code }),
      (error: unknown) => onExit({ error: error instanceof Error ? error.message : String(error) })
    )
  }
})
