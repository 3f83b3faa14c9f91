/**
 * The agent's link to the API server as a port: over NATS in a cluster, in memory in tests and the simulation.
 */
import type { Binding, FateAnswer, NoticeReport, Origin, PodReport, Pulse, Stray } from '#events/node/messages.ts'
import type { Subscription } from '#events/Log.ts'

export interface BindingUpdate {
  readonly namespace: string
  readonly name: string
  /** null: the pod is no longer this node's business; stop what runs of it and forget it. */
  readonly binding: Binding | null
  /** Who says so; absent in what an older API server wrote. */
  readonly origin?: Origin
  /** With null: the pod is not gone but lost, with a part of the log, and deserves its time to end. */
  readonly lost?: true
}

export interface NodeLink {
  /** Delivers the last binding of every pod of this node (then `onCaughtUp`), then changes, in order. */
  bindings(handlers: {
    readonly onUpdate: (update: BindingUpdate) => void
    readonly onCaughtUp: () => void
    readonly onFailed: (error: Error) => void
  }): Subscription
  /** Stored (acknowledged by the stream) when it resolves. */
  reportPod(namespace: string, name: string, report: PodReport): Promise<void>
  reportNotice(namespace: string, name: string, notice: NoticeReport): Promise<void>
  pulse(pulse: Pulse): Promise<void>
  /** What the log says of pods that nobody bound to this node. Rejects when nobody answers. */
  fates(pods: readonly Stray[]): Promise<FateAnswer>
}

/** What the API server asks of a running container; the agent serves it. */
export interface ContainerRef {
  readonly namespace: string
  readonly pod: string
  readonly uid: string
  readonly container: string
}

export interface LogOptions {
  readonly follow?: boolean
  readonly previous?: boolean
  readonly sinceSeconds?: number
  /** RFC 3339 */
  readonly sinceTime?: string
  readonly tailLines?: number
  readonly limitBytes?: number
  readonly timestamps?: boolean
}

export interface ExecOptions {
  readonly command: readonly string[]
  readonly stdin: boolean
  readonly stdout: boolean
  readonly stderr: boolean
  readonly tty: boolean
}

/** A running exec or attach: bytes both ways, and how it ended. Backpressure: `write` and `onOutput` return promises that are awaited. */
export interface ExecSession {
  write(data: Uint8Array): Promise<void>
  closeStdin(): Promise<void>
  resize(width: number, height: number): Promise<void>
  /** Ends it from this side. */
  close(): void
  /** Set once, before anything is written. */
  start(handlers: {
    readonly onOutput: (channel: 'stdout' | 'stderr', data: Uint8Array) => Promise<void>
    readonly onExit: (exit: { readonly code: number } | { readonly error: string }) => void
  }): void
}

export interface NodeCalls {
  /** Text of the container's log; ends when the log does (or never, with follow). Rejects with a Refusal. */
  logs(node: string, container: ContainerRef, options: LogOptions, signal: AbortSignal): AsyncIterable<Uint8Array>
  exec(node: string, container: ContainerRef, options: ExecOptions): Promise<ExecSession>
  attach(node: string, container: ContainerRef, options: Omit<ExecOptions, 'command'>): Promise<ExecSession>
}
