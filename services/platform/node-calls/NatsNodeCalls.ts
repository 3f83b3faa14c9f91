/** The API server's end: logs, exec and attach asked of an agent over NATS, which the agent dialled itself. */
import { nuid, type NatsConnection } from '@nats-io/transport-node'
import { Refusal } from '#events/Refusal.ts'
import { encodeToken } from '#events/Subject.ts'
import type { ContainerRef, ExecOptions, ExecSession, LogOptions, NodeCalls } from '#services/platform/NodeLink.ts'
import { Channel, jsonOf, KIND, sessionSubjects } from './Channel.ts'
import type { Accepted, Call, Exit } from './messages.ts'

const OPEN_MS = 10_000
/** Chunks of log text waiting for a slow client. */
const QUEUED = 32

export class NatsNodeCalls implements NodeCalls {
  readonly #connection: NatsConnection

  constructor(connection: NatsConnection) {
    this.#connection = connection
  }
  async *logs(node: string, container: ContainerRef, options: LogOptions, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const session = nuid.next()
    const { up, down } = sessionSubjects(encodeToken(node), session)
    const queue: Uint8Array[] = []
    let ended: Exit | undefined
    let wake: (() => void) | undefined
    let room: (() => void) | undefined
    const channel = new Channel(this.#connection, up, down, {
      onFrame: async (kind, payload) => {
        if (kind === KIND.exit) ended = jsonOf<Exit>(payload)
        else if (kind === KIND.stdout) queue.push(payload.slice())
        wake?.()
        if (queue.length >= QUEUED) await new Promise<void>((resume) => (room = resume))
      },
      onError: (error) => {
        ended = { error: String(error) }
        wake?.()
      }
    })
    const abort = (): void => {
      ended ??= { code: 0 }
      wake?.()
    }
    signal.addEventListener('abort', abort)
    try {
      await this.#open(node, { session, container, what: 'logs', options })
      while (true) {
        const next = queue.shift()
        if (next !== undefined) {
          room?.()
          yield next
        } else if (ended !== undefined) {
          if ('error' in ended && !signal.aborted) throw new Refusal(500, 'InternalError', ended.error)
          return
        } else await new Promise<void>((resume) => (wake = resume))
      }
    } finally {
      signal.removeEventListener('abort', abort)
      room?.()
      void channel.send(KIND.close)
      channel.close()
    }
  }
  exec(node: string, container: ContainerRef, options: ExecOptions): Promise<ExecSession> {
    return this.#session(node, (session) => ({ session, container, what: 'exec', options }))
  }
  attach(node: string, container: ContainerRef, options: Omit<ExecOptions, 'command'>): Promise<ExecSession> {
    return this.#session(node, (session) => ({ session, container, what: 'attach', options }))
  }
  async #session(node: string, callOf: (session: string) => Call): Promise<ExecSession> {
    const session = nuid.next()
    const { up, down } = sessionSubjects(encodeToken(node), session)
    let handlers: Parameters<ExecSession['start']>[0] | undefined
    let started: (() => void) | undefined
    const ready = new Promise<void>((resolve) => (started = resolve))
    const channel = new Channel(this.#connection, up, down, {
      onFrame: async (kind, payload) => {
        await ready
        if (kind === KIND.stdout) await handlers?.onOutput('stdout', payload)
        else if (kind === KIND.stderr) await handlers?.onOutput('stderr', payload)
        else if (kind === KIND.exit) {
          handlers?.onExit(jsonOf<Exit>(payload))
          channel.close()
        }
      },
      onError: (error) => handlers?.onExit({ error: String(error) })
    })
    try {
      await this.#open(node, callOf(session))
    } catch (error) {
      channel.close()
      throw error
    }
    return {
      write: (data) => channel.send(KIND.stdin, data),
      closeStdin: () => channel.send(KIND.closeStdin),
      resize: (width, height) => channel.sendJson(KIND.resize, { width, height }),
      close: () => {
        void channel.send(KIND.close)
        channel.close()
      },
      start: (given) => {
        handlers = given
        started?.()
      }
    }
  }
  async #open(node: string, call: Call): Promise<void> {
    let accepted: Accepted
    try {
      const answer = await this.#connection.request(`node.${encodeToken(node)}.call`, JSON.stringify(call), { timeout: OPEN_MS })
      accepted = answer.json<Accepted>()
    } catch (error) {
      throw new Refusal(
        503,
        'ServiceUnavailable',
        `the agent of node "${node}" does not answer: ${error instanceof Error ? error.message : String(error)}`
      )
    }
    if (!accepted.ok) throw Refusal.of(accepted.status)
  }
}
