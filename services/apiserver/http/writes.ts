/** create, update, patch, delete over HTTP: the request becomes an intent, the decision becomes the answer. */
import type { IncomingMessage } from 'node:http'
import type { DeleteOptions, Intent, IntentVerb, PatchType } from '#events/Intent.ts'
import type { Kind } from '#events/Kind.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { badRequest, methodNotAllowed, unsupportedMediaType } from '#events/Refusal.ts'
import { cannotDecode, strictDecodingError } from '#events/schema/validate.ts'
import type { Decision } from '#services/apiserver/Decider.ts'
import { apiVersionOf, decodeAs, decodeObject } from '#services/apiserver/request/decode.ts'
import { mediaOf, parseBody, parseJson, parseYamlOrJson } from '#services/apiserver/request/body.ts'
import { deletionOf, optionsOfQuery, printable } from '#services/apiserver/request/options.ts'
import { authorize } from '#projections/Rbac.ts'
import type { ApiDeps } from './deps.ts'
import type { Exchange } from './exchange.ts'
import { checkPathName, type ResourcePath } from './paths.ts'
import { addWarnings, sendJson, sendRefusal, sendText } from './respond.ts'

const VERBS: Readonly<Record<string, IntentVerb>> = { POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' }
const PATCHES: readonly PatchType[] = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/apply-patch+yaml'
]

const OPTIONS = { create: 'CreateOptions', update: 'UpdateOptions', patch: 'PatchOptions' } as const
const APPLY = 'application/apply-patch+yaml'

export const write = async (deps: ApiDeps, exchange: Exchange, kind: Kind, path: ResourcePath): Promise<void> => {
  const { request, user, target } = exchange
  const { query } = target
  const verb = VERBS[request.method ?? '']
  if (verb === undefined) throw methodNotAllowed()
  const subresource = kind.subresources?.find(({ name }) => name === path.subresource)
  const bodyKind =
    subresource?.kind === undefined
      ? { group: kind.group, version: kind.version, kind: kind.kind }
      : { group: subresource.group ?? '', version: subresource.version ?? 'v1', kind: subresource.kind }
  const base = {
    id: deps.clock.uuid(),
    ref: { group: kind.group, resource: kind.resource },
    version: kind.version,
    namespace: path.namespace,
    source: sourceOf(request),
    ...(path.subresource === '' ? {} : { subresource: path.subresource }),
    ...commandOf(request)
  }
  // Who may not write must not make the server read for it either: decided without the body, the refusal is audited as any other.
  const { allowed } = authorize(deps.views, user, {
    verb,
    ...base.ref,
    subresource: path.subresource,
    namespace: path.namespace,
    name: path.name
  })
  if (!allowed)
    return answer(exchange, await deps.decider.submit({ ...base, verb, name: path.name, options: { dryRun: true } }, user, true))
  checkPathName(path.name)
  const bytes = await exchange.readBody()
  if (verb === 'delete')
    return answer(exchange, await deps.decider.submit({ ...base, verb, name: path.name, ...deletionIn(bytes, request, query) }, user, true))
  const apply = verb === 'patch' && mediaOf(request.headers['content-type']) === APPLY
  if (verb === 'patch' && !apply && !PATCHES.includes(mediaOf(request.headers['content-type']) as PatchType))
    throw unsupportedMediaType(PATCHES)
  const options = optionsOfQuery(OPTIONS[verb], query, apply)
  let intent: Intent
  let duplicates: readonly string[] = []
  if (verb === 'patch') {
    const { patch, duplicates: twice } = patchOf(bytes, request)
    if (twice.length > 0 && options.fieldValidation === 'Strict') throw badRequest(`error strict decoding YAML: ${twice[0]}`)
    duplicates = twice
    intent = { ...base, verb, name: path.name, patch, options }
  } else {
    const body = parseBody(bytes, request.headers['content-type'], bodyKind.kind, options.fieldValidation !== 'Ignore', {
      apiVersion: apiVersionOf(bodyKind),
      kind: bodyKind.kind
    })
    duplicates = body.duplicates
    const object = (body.value ?? {}) as KubeObject
    exchange.audit.names(nameOf(object))
    intent = { ...base, verb, name: verb === 'create' && path.name === '' ? nameOf(object) : path.name, object, options }
    if (duplicates.length > 0 && options.fieldValidation === 'Strict') {
      // All that is wrong with it at once, in upstream's order.
      const { warnings: unknown } =
        subresource?.kind === undefined ? decodeObject(kind, object, 'Warn') : decodeAs(bodyKind, object, 'Warn')
      throw cannotDecode(bodyKind.version, bodyKind.kind, strictDecodingError([...unknown, ...duplicates]))
    }
  }
  const result = await deps.decider.submit(intent, user, true)
  answer(
    exchange,
    duplicates.length > 0 && options.fieldValidation === 'Warn' && result.ok
      ? { ...result, warnings: [...duplicates, ...(result.warnings ?? [])] }
      : result
  )
}

/** Before it is decoded an object may have anything for a name; what is no text is refused then. */
const nameOf = ({ metadata }: { readonly metadata?: { readonly name?: unknown } | null }): string =>
  typeof metadata?.name === 'string' ? metadata.name : ''

export const answer = (exchange: Exchange, result: Decision): void => {
  exchange.audit.annotate(result.audit)
  if (!result.ok) return sendRefusal(exchange, result.status)
  addWarnings(exchange, result.warnings)
  if (result.text !== undefined) sendText(exchange, result.code, `${result.text}\n`)
  else sendJson(exchange, result.code, result.object)
}

interface Sent {
  readonly patch: NonNullable<Intent['patch']>
  /** What is in it twice, of what can be told. */
  readonly duplicates: readonly string[]
}

const patchOf = (bytes: Buffer, request: IncomingMessage): Sent => {
  const type = mediaOf(request.headers['content-type']) as PatchType
  const text = bytes.toString('utf8')
  if (type !== APPLY) return { patch: { type, body: parseJson(text, (why) => badRequest(`error decoding patch: ${why}`)) }, duplicates: [] }
  const { value: body, duplicates } = parseYamlOrJson(text, (why) =>
    badRequest(`error decoding YAML: error converting YAML to JSON: ${why}`)
  )
  return {
    patch: { type, body },
    duplicates: duplicates.map((line) => `error converting YAML to JSON: yaml: unmarshal errors:\n  ${line}`)
  }
}

/** What a DELETE is told, in its body or its query. */
export const deletionIn = (
  bytes: Buffer,
  request: IncomingMessage,
  query: URLSearchParams
): { readonly deleteOptions: DeleteOptions; readonly options: NonNullable<Intent['options']> } => {
  const body =
    bytes.length === 0
      ? undefined
      : parseBody(bytes, request.headers['content-type'], 'DeleteOptions', false, { apiVersion: 'v1', kind: 'DeleteOptions' }).value
  const { deleteOptions, dryRun } = deletionOf(body, query)
  return { deleteOptions, options: dryRun ? { dryRun } : {} }
}

/** The program's name: the first word of its User-Agent. */
export const sourceOf = (request: IncomingMessage): string =>
  printable((request.headers['user-agent'] ?? 'unknown').split('/')[0] ?? '').slice(0, 64) || 'unknown'

const commandOf = (request: IncomingMessage): { command?: string } => {
  const command = request.headers['kubectl-command']
  return typeof command === 'string' && command !== '' ? { command: command.slice(0, 256) } : {}
}
