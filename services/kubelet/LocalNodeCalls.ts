/** Logs, exec and attach of this node's own containers, with the refusals kubectl users know. */
import { PODS } from '#events/collections.ts'
import { badRequest, notFound, Refusal } from '#events/Refusal.ts'
import type { ContainerRef, ExecOptions, ExecSession, LogOptions, NodeCalls } from '#services/platform/NodeLink.ts'
import type { Agent } from './Agent.ts'
import type { PodWorker } from './PodWorker.ts'
import { RuntimeError, type Observed, type Runtime } from '#services/platform/Runtime.ts'

export class LocalNodeCalls implements NodeCalls {
  readonly #agent: Agent
  readonly #runtime: Runtime

  constructor(agent: Agent, runtime: Runtime) {
    this.#agent = agent
    this.#runtime = runtime
  }
  async *logs(_node: string, ref: ContainerRef, options: LogOptions, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const { id } = await this.#logged(ref, options.previous === true)
    let left = options.limitBytes ?? Number.POSITIVE_INFINITY
    try {
      for await (const part of this.#runtime.logs(id, options, signal)) {
        if (part.length >= left) {
          yield part.subarray(0, left)
          return
        }
        left -= part.length
        yield part
      }
    } catch (error) {
      throw edge(error)
    }
  }
  async exec(_node: string, ref: ContainerRef, options: ExecOptions): Promise<ExecSession> {
    const { id } = await this.#running(ref)
    return this.#runtime.exec(id, options).catch((error: unknown) => Promise.reject(edge(error)))
  }
  async attach(_node: string, ref: ContainerRef, options: Omit<ExecOptions, 'command'>): Promise<ExecSession> {
    const { id } = await this.#running(ref)
    return this.#runtime.attach(id, options).catch((error: unknown) => Promise.reject(edge(error)))
  }
  #worker({ namespace, pod, uid }: ContainerRef): PodWorker {
    const worker = this.#agent.find(namespace, pod, uid)
    if (worker === undefined) throw notFound(PODS, pod)
    return worker
  }
  /** Straight from the runtime: the worker's own picture may be a moment old. */
  async #newest(ref: ContainerRef): Promise<readonly Observed[]> {
    const worker = this.#worker(ref)
    const observed = await this.#runtime.list(worker.binding.pod.metadata?.uid as string)
    return observed.filter(({ identity }) => identity.container === ref.container).sort((a, b) => b.identity.attempt - a.identity.attempt)
  }
  async #logged(ref: ContainerRef, previous: boolean): Promise<Observed> {
    // One that never started has no log: the one before it has.
    const found = (await this.#newest(ref)).filter(({ state }) => state !== 'created')
    if (previous) {
      const ended = found[0]?.state === 'exited' && this.#waits(ref) ? found[0] : found[1]
      if (ended === undefined) throw badRequest(`previous terminated container "${ref.container}" in pod "${ref.pod}" not found`)
      return ended
    }
    const now = found[0]
    if (now === undefined)
      throw badRequest(`container "${ref.container}" in pod "${ref.pod}" is waiting to start: ${this.#waiting(ref) ?? 'ContainerCreating'}`)
    return now
  }
  #status(ref: ContainerRef): { readonly state?: { readonly waiting?: { readonly reason?: string } } } | undefined {
    const status = this.#worker(ref).status
    return [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])].find(({ name }) => name === ref.container)
  }
  #waiting(ref: ContainerRef): string | undefined {
    return this.#status(ref)?.state?.waiting?.reason
  }
  #waits(ref: ContainerRef): boolean {
    return this.#status(ref)?.state?.waiting !== undefined
  }
  async #running(ref: ContainerRef): Promise<Observed> {
    const [now] = await this.#newest(ref)
    if (now?.state !== 'running')
      throw new Refusal(
        500,
        'InternalError',
        `Internal error occurred: unable to upgrade connection: container not found ("${ref.container}")`
      )
    return now
  }
}

const edge = (error: unknown): unknown =>
  error instanceof RuntimeError ? new Refusal(500, 'InternalError', `Internal error occurred: ${error.message}`) : error
