/** The agent's end: answers calls on `node.<node>.call` with what its own runtime does. */
import type { Msg, NatsConnection } from '@nats-io/transport-node'
import { Refusal } from '#events/Refusal.ts'
import { encodeToken } from '#events/Subject.ts'
import type { ExecSession, NodeCalls } from '#services/platform/NodeLink.ts'
import { Channel, jsonOf, KIND, sessionSubjects } from './Channel.ts'
import type { Accepted, Call, Exit } from './messages.ts'

/** Sessions at once; one more is refused. */
const LIMIT = 256

export const serveNodeCalls = (
  connection: NatsConnection,
  node: string,
  calls: NodeCalls,
  onError: (error: unknown) => void
): { close(): void } => {
  const token = encodeToken(node)
  const open = new Set<() => void>()
  const subscription = connection.subscribe(`node.${token}.call`)
  const serve = async (message: Msg): Promise<void> => {
    const answer = (accepted: Accepted): void => void message.respond(JSON.stringify(accepted))
    try {
      if (open.size >= LIMIT) throw new Refusal(429, 'TooManyRequests', `node "${node}" serves ${LIMIT} sessions already`)
      const call = message.json<Call>()
      if (call.what === 'logs') await serveLogs(connection, token, node, call, calls, open, answer)
      else await serveSession(connection, token, node, call, calls, open, answer)
    } catch (error) {
      const status =
        error instanceof Refusal
          ? error.status
          : new Refusal(500, 'InternalError', error instanceof Error ? error.message : String(error)).status
      answer({ ok: false, status })
      if (!(error instanceof Refusal)) onError(error)
    }
  }
  const loop = async (): Promise<void> => {
    for await (const message of subscription) void serve(message)
  }
  void loop().catch(onError)
  return {
    close: () => {
      subscription.unsubscribe()
      for (const end of open) end()
    }
  }
}

const failure = (error: unknown): Exit => ({ error: error instanceof Error ? error.message : String(error) })

const serveLogs = async (
  connection: NatsConnection,
  token: string,
  node: string,
  call: Extract<Call, { what: 'logs' }>,
  calls: NodeCalls,
  open: Set<() => void>,
  answer: (accepted: Accepted) => void
): Promise<void> => {
  const { up, down } = sessionSubjects(token, call.session)
  const abort = new AbortController()
  const text = calls.logs(node, call.container, call.options, abort.signal)[Symbol.asyncIterator]()
  // The first piece decides whether there is a log at all: a refusal belongs in the answer, not in the stream. A log
  // that is followed may stay silent for long, so acceptance does not wait for it for ever.
  const first = text.next()
  first.catch(() => {})
  await Promise.race([first, new Promise((resolve) => setTimeout(resolve, 250))])
  const end = (): void => {
    abort.abort()
    channel.close()
    open.delete(end)
  }
  const channel = new Channel(connection, down, up, { onFrame: (kind) => (kind === KIND.close ? end() : undefined), onError: end })
  open.add(end)
  answer({ ok: true })
  try {
    for (let next = await first; next.done !== true; next = await text.next()) await channel.send(KIND.stdout, next.value)
    await channel.sendJson(KIND.exit, { code: 0 } satisfies Exit)
  } catch (error) {
    if (!abort.signal.aborted) await channel.sendJson(KIND.exit, failure(error))
  } finally {
    end()
  }
}

const serveSession = async (
  connection: NatsConnection,
  token: string,
  node: string,
  call: Exclude<Call, { what: 'logs' }>,
  calls: NodeCalls,
  open: Set<() => void>,
  answer: (accepted: Accepted) => void
): Promise<void> => {
  const { up, down } = sessionSubjects(token, call.session)
  const session: ExecSession =
    call.what === 'exec' ? await calls.exec(node, call.container, call.options) : await calls.attach(node, call.container, call.options)
  const end = (): void => {
    session.close()
    channel.close()
    open.delete(end)
  }
  const channel = new Channel(connection, down, up, {
    onFrame: async (kind, payload) => {
      if (kind === KIND.stdin) await session.write(payload.slice())
      else if (kind === KIND.closeStdin) await session.closeStdin()
      else if (kind === KIND.resize) {
        const { width, height } = jsonOf<{ width: number; height: number }>(payload)
        await session.resize(width, height)
      } else if (kind === KIND.close) end()
    },
    onError: end
  })
  open.add(end)
  answer({ ok: true })
  session.start({
    onOutput: (output, data) => channel.send(output === 'stdout' ? KIND.stdout : KIND.stderr, data),
    onExit: (exit) => {
      void channel.sendJson(KIND.exit, exit).finally(end)
    }
  })
}
