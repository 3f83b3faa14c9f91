/** Servers to fuzz: one in this process, on memory logs and real sockets, or any that a kubeconfig leads to. */
import { isChangeOf } from '#projections/Objects.ts'
import { PODS } from '#events/collections.ts'
import { readFileSync } from 'node:fs'
import type { ClientRequest } from 'node:http'
import { Agent, request as httpsRequest } from 'node:https'
import { parse } from 'yaml'
import type { Kind } from '#events/Kind.ts'
import { KINDS } from '#test/support/builtIns.ts'
import { bindingOf } from '#services/apiserver/nodes/decide.ts'
import { sampleOf } from '#test/support/samples.ts'
import { sendOver, startTestServer, type Answer, type Sent, type TestServer } from '#test/support/server.ts'
import { readDocument, type Document } from './document.ts'
import type { Target } from './fuzzer.ts'
import { NAMES } from './values.ts'

export interface Running {
  readonly target: Target
  readonly document: Document
  stop(): Promise<void>
}

/** Reads until the first line is whole, or for `ms` after the headers; then leaves. */
const beginOver = (
  agent: Agent,
  host: string,
  port: number,
  { method, path, headers = {} }: Sent,
  ms: number,
  basic: Readonly<Record<string, string>> = {}
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const outgoing = httpsRequest(
      { agent, host, port, method, path, headers: { ...basic, ...(headers as Record<string, string>) } },
      (response) => {
        let text = ''
        const done = (): void => {
          clearTimeout(timer)
          outgoing.destroy()
          resolve({ code: response.statusCode ?? 0, headers: response.headers, text })
        }
        const timer = setTimeout(done, ms)
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => {
          text += chunk
          if (text.includes('\n')) done()
        })
        response.on('end', done)
        response.on('error', () => {})
      }
    )
    outgoing.setTimeout(8_000, () => outgoing.destroy(new Error('no headers within 8 s')))
    outgoing.on('error', reject)
    outgoing.end()
  })

const post = (send: Target['send'], path: string, object: unknown): Promise<Answer> =>
  send({ method: 'POST', path, headers: { 'content-type': 'application/json' }, body: JSON.stringify(object) })

/** The namespaces requests name, and one of each kind under each of the names they use, so that most find something. */
const seed = async (send: Target['send']): Promise<void> => {
  await post(send, '/api/v1/namespaces', { metadata: { name: 'fuzz' } })
  for (const namespace of ['default', 'fuzz'])
    await post(send, `/api/v1/namespaces/${namespace}/serviceaccounts`, { metadata: { name: 'default' } })
  for (const kind of KINDS)
    for (const namespace of kind.namespaced ? ['default', 'fuzz'] : [undefined])
      for (const name of NAMES) {
        const {
          metadata: { namespace: _, ...metadata },
          ...rest
        } = sampleOf(kind, name)
        const place = `${kind.group === '' ? `/api/${kind.version}` : `/apis/${kind.group}/${kind.version}`}${namespace === undefined ? '' : `/namespaces/${namespace}`}/${kind.resource}`
        await post(send, place, {
          ...rest,
          ...(kind.kind === 'Event' ? { involvedObject: { namespace, kind: 'Pod', name: 'web' } } : {}),
          metadata
        })
      }
}

const documentOf = (send: Target['send']): Promise<Document> =>
  readDocument(async (path) => JSON.parse((await send({ method: 'GET', path })).text) as unknown)

/** `kubectl get --watch`: every change of the kind is shown as a row, which must be made of whatever was accepted. */
const watchTable = ({ agent, port }: TestServer, { group, version, resource }: Kind): ClientRequest => {
  const path = `${group === '' ? `/api/${version}` : `/apis/${group}/${version}`}/${resource}?watch=true`
  const watch = httpsRequest(
    { agent, host: '127.0.0.1', port, path, headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' } },
    (response) => response.resume()
  )
  watch.on('error', () => {})
  watch.end()
  return watch
}

/** The agents' side of the API server, which looks at every pod: what it can't read must not have been accepted. */
const lookOn = ({ api: { views }, errors }: TestServer): void => {
  views.of(PODS).subscribe((change) => {
    if (!isChangeOf(PODS, change)) return
    try {
      bindingOf(views, change.entry, { clusterCA: '' })
    } catch (error) {
      errors.push(error)
    }
  })
}

/** As the administrator, by certificate. */
export const startInProcess = async (): Promise<Running> => {
  const server = await startTestServer()
  const target: Target = {
    send: (sent, ms) => server.send(sent, ms),
    begin: (sent, ms) => beginOver(server.agent, '127.0.0.1', server.port, sent, ms),
    renew: () => seed(target.send),
    alone: true,
    mistakes: () => server.errors.splice(0)
  }
  await target.renew()
  const watches = KINDS.filter(({ verbs }) => verbs.includes('watch')).map((kind) => watchTable(server, kind))
  lookOn(server)
  return {
    target,
    document: await documentOf(target.send),
    stop: async () => {
      for (const watch of watches) watch.destroy()
      await server.stop()
    }
  }
}

interface Kubeconfig {
  readonly clusters: readonly { readonly cluster: { readonly server: string; readonly 'certificate-authority-data'?: string } }[]
  readonly users: readonly {
    readonly user: { readonly token?: string; readonly 'client-certificate-data'?: string; readonly 'client-key-data'?: string }
  }[]
}

/** A server somewhere else, as the first user of a kubeconfig. */
export const connectTo = async (url: string | undefined, path: string): Promise<Running> => {
  const { clusters, users } = parse(readFileSync(path, 'utf8')) as Kubeconfig
  const text = (data: string | undefined): string | undefined => (data === undefined ? undefined : Buffer.from(data, 'base64').toString())
  const cluster = clusters[0]?.cluster
  const user = users[0]?.user ?? {}
  const { hostname, port } = new URL(url ?? cluster?.server ?? '')
  const ca = text(cluster?.['certificate-authority-data'])
  const [cert, key] = [text(user['client-certificate-data']), text(user['client-key-data'])]
  const agent = new Agent({
    keepAlive: true,
    maxSockets: 16,
    rejectUnauthorized: ca !== undefined,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined || key === undefined ? {} : { cert, key })
  })
  const basic: Record<string, string> = user.token === undefined ? {} : { authorization: `Bearer ${user.token}` }
  const target: Target = {
    send: (sent, ms) => sendOver(agent, hostname, Number(port), { ...sent, headers: { ...basic, ...sent.headers } }, ms),
    begin: (sent, ms) => beginOver(agent, hostname, Number(port), sent, ms, basic),
    renew: () => seed(target.send),
    alone: false,
    mistakes: () => []
  }
  await target.renew()
  return { target, document: await documentOf(target.send), stop: async () => agent.destroy() }
}
