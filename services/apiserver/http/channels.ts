/** What reaches into a running container: logs, exec and attach. */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { UserInfo } from '#events/Intent.ts'
import { PODS } from '#events/collections.ts'
import { badRequest, noSuchPath, notFound } from '#events/Refusal.ts'
import type { Entry } from '#projections/Objects.ts'
import { containerOf, execOptionsOf, logOptionsOf, notStarted } from '#services/apiserver/subresources/containers.ts'
import { joinSpdy, speaksSpdy } from '#services/apiserver/subresources/spdy.ts'
import { joinSession, sendOverSocket, speaksChannels, speaksLogs, upgrade } from '#services/apiserver/subresources/websocket.ts'
import { pastIsReadOnly } from '#services/apiserver/time-travel/Reader.ts'
import type { RequestAudit } from '#services/apiserver/audit/RequestAudit.ts'
import type { ApiDeps } from './deps.ts'
import { drained } from './drained.ts'
import type { Exchange } from './exchange.ts'
import type { ResourcePath, Target } from './paths.ts'
import { permit } from './permit.ts'

export const CHANNELS = new Set(['exec', 'attach'])

export const isLog = ({ resource }: Target): boolean => resource?.subresource === 'log'

/**
 * A log, at its reader's pace. Nobody is cut off for not reading on: a person may stand still in a pager for an hour, and what
 * waits meanwhile waits in the container's log. So logs are counted by themselves (`limits.ts`).
 */
export const sendLog = async (deps: ApiDeps, { response, target: { query } }: Exchange, entry: Entry): Promise<void> => {
  const options = logOptionsOf(query)
  const { node, container } = containerOf(entry, query.get('container'))
  const waiting = notStarted(entry, container.container)
  if (waiting !== undefined && options.previous !== true) throw waiting
  const abort = new AbortController()
  response.on('close', () => abort.abort())
  const chunks = deps.nodeCalls.logs(node, container, options, abort.signal)[Symbol.asyncIterator]()
  // A refusal comes before the first byte; a quiet log that is followed gets its headers meanwhile.
  const first = chunks.next()
  if (options.follow !== true) await first
  else await Promise.race([first, new Promise((resolve) => deps.clock.after(500, () => resolve(undefined)))])
  response.writeHead(200, { 'content-type': 'text/plain', 'cache-control': 'no-cache, private' })
  response.flushHeaders()
  for (let next = await first; next.done !== true; next = await chunks.next()) {
    if (abort.signal.aborted) break
    if (!response.write(next.value)) await drained(response)
  }
  response.end()
}

/** A log as messages, for who can read no plain answer piece by piece. */
const joinLog = async (
  deps: ApiDeps,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  { path, query }: { readonly path: ResourcePath; readonly query: URLSearchParams },
  audit: RequestAudit
): Promise<void> => {
  const entry = deps.views.get({ ...PODS, namespace: path.namespace, name: path.name })
  if (entry === undefined) throw notFound(PODS, path.name)
  const options = logOptionsOf(query)
  const { node, container } = containerOf(entry, query.get('container'))
  const waiting = notStarted(entry, container.container)
  if (waiting !== undefined && options.previous !== true) throw waiting
  const abort = new AbortController()
  socket.once('close', () => abort.abort())
  const chunks = deps.nodeCalls.logs(node, container, options, abort.signal)[Symbol.asyncIterator]()
  // A refusal comes before the first byte, as over plain HTTP; a log that is followed may be quiet for long.
  const first = options.follow === true ? undefined : await chunks.next()
  audit.started(101)
  socket.once('close', () => audit.over(101))
  await sendOverSocket(await upgrade('logs', request, socket, head), chunks, first)
}

/** exec or attach on an upgraded connection. Throws a Refusal before anything is written. */
export const joinContainer = async (
  deps: ApiDeps,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  { resource: path, query, moment }: Target,
  user: UserInfo,
  audit: RequestAudit
): Promise<void> => {
  const kind = path === undefined ? undefined : deps.views.api.kindOf(path)
  const isLogs = path?.subresource === 'log' && speaksLogs(request)
  if (path === undefined || kind === undefined || !(CHANNELS.has(path.subresource) || isLogs) || kind.resource !== 'pods')
    throw noSuchPath()
  if (moment !== undefined) throw pastIsReadOnly(moment)
  permit(deps.views, user, {
    verb: isLogs ? 'get' : 'create',
    group: '',
    resource: 'pods',
    subresource: path.subresource,
    namespace: path.namespace,
    name: path.name
  })
  if (isLogs) return joinLog(deps, request, socket, head, { path, query }, audit)
  const spdy = speaksSpdy(request)
  if (!spdy && !speaksChannels(request))
    throw badRequest(
      `${path.subresource} is served over WebSocket (v5.channel.k8s.io and older ones) and SPDY/3.1 (v4.channel.k8s.io); this client asked for ${request.headers.upgrade ?? 'nothing'}`
    )
  const entry = deps.views.get({ group: '', resource: 'pods', namespace: path.namespace, name: path.name })
  if (entry === undefined) throw notFound(kind, path.name)
  const options = execOptionsOf(query)
  if (path.subresource === 'exec' && options.command.length === 0)
    throw badRequest('you must specify at least one command for the container')
  const { node, container } = containerOf(entry, query.get('container'))
  const session =
    path.subresource === 'exec'
      ? await deps.nodeCalls.exec(node, container, options)
      : await deps.nodeCalls.attach(node, container, options)
  audit.started(101)
  socket.once('close', () => audit.over(101))
  if (spdy) joinSpdy(socket, head, session, options)
  else joinSession(await upgrade('channels', request, socket, head), session)
}
