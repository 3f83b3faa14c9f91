/** create, update, patch, delete over HTTP: the request becomes an intent, the decision becomes the answer. */
import type { IncomingMessage } from 'node:http'
import type { DeleteOptions, Intent, IntentResult, IntentVerb, PatchType } from '#events/Intent.ts'
import type { Kind } from '#events/Kind.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { badRequest, invalid, methodNotAllowed, unsupportedMediaType } from '#events/Refusal.ts'
import { cannotDecode, strictDecodingError } from '#events/schema/validate.ts'
import { apiVersionOf } from '../request/decode.ts'
import { parseBody, parseJson } from '../request/body.ts'
import type { ApiDeps } from './deps.ts'
import type { Exchange } from './exchange.ts'
import type { ResourcePath } from './paths.ts'
import { sendJson, sendRefusal, sendText, warningsOf } from './respond.ts'

const VERBS: Readonly<Record<string, IntentVerb>> = { POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' }
const PATCHES: readonly PatchType[] = ['application/json-patch+json', 'application/merge-patch+json', 'application/strategic-merge-patch+json', 'application/apply-patch+yaml']

export const write = async (deps: ApiDeps, exchange: Exchange, kind: Kind, path: ResourcePath): Promise<void> => {
  const { request, user, target } = exchange
  const { query } = target
  const verb = VERBS[request.method ?? '']
  if (verb === undefined) throw methodNotAllowed()
  const subresource = kind.subresources?.find(({ name }) => name === path.subresource)
  const bodyKind = { apiVersion: subresource?.kind === undefined ? apiVersionOf(kind) : `${subresource.group === undefined || subresource.group === '' ? '' : `${subresource.group}/`}${subresource.version ?? 'v1'}`, kind: subresource?.kind ?? kind.kind }
  const bytes = await exchange.readBody()
  const options = optionsOf(query, request)
  const strict = options.fieldValidation !== 'Ignore'
  const base = {
    id: deps.clock.uuid(),
    ref: { group: kind.group, resource: kind.resource },
    version: kind.version,
    namespace: path.namespace,
    source: sourceOf(request),
    options,
    ...(path.subresource === '' ? {} : { subresource: path.subresource }),
    ...commandOf(request)
  }
  let intent: Intent
  let duplicates: readonly string[] = []
  if (verb === 'delete') intent = { ...base, verb, name: path.name, ...deleteOptionsOf(bytes, request, query) }
  else if (verb === 'patch') intent = { ...base, verb, name: path.name, patch: patchOf(bytes, request) }
  else {
    const body = parseBody(bytes, request.headers['content-type'], bodyKind.kind, strict, bodyKind)
    if (typeof body.value !== 'object' || body.value === null || Array.isArray(body.value)) throw badRequest(`the object provided is unrecognized (must be of type ${bodyKind.kind}): the body is not a JSON object`)
    duplicates = body.duplicates
    const object = body.value as KubeObject
    checkKind(object, bodyKind)
    intent = { ...base, verb, name: verb === 'create' && path.name === '' ? (object.metadata?.name ?? '') : path.name, object }
  }
  if (duplicates.length > 0 && options.fieldValidation === 'Strict') throw cannotDecode(kind.version, kind.kind, strictDecodingError(duplicates))
  const result = await deps.decider.submit(intent, user, true)
  answer(exchange, duplicates.length > 0 && options.fieldValidation === 'Warn' && result.ok ? { ...result, warnings: [...duplicates, ...(result.warnings ?? [])] } : result)
}

export const answer = (exchange: Exchange, result: IntentResult): void => {
  if (!result.ok) return sendRefusal(exchange, result.status)
  const warnings = warningsOf(result.warnings)
  if (warnings.length > 0) exchange.response.setHeader('warning', warnings)
  if (result.text !== undefined) sendText(exchange, result.code, `${result.text}\n`)
  else sendJson(exchange, result.code, result.object)
}

const checkKind = (object: KubeObject, wanted: { readonly apiVersion: string; readonly kind: string }): void => {
  if ((object.kind ?? '') !== '' && object.kind !== wanted.kind)
    throw badRequest(`the object provided is unrecognized (must be of type ${wanted.kind}): ${object.kind} in version "${object.apiVersion ?? ''}" cannot be handled as a ${wanted.kind}`)
  if ((object.apiVersion ?? '') !== '' && object.apiVersion !== wanted.apiVersion)
    throw badRequest(`the API version in the data (${object.apiVersion}) does not match the expected API version (${wanted.apiVersion})`)
}

const patchOf = (bytes: Buffer, request: IncomingMessage): NonNullable<Intent['patch']> => {
  const media = (request.headers['content-type'] ?? '').split(';')[0]?.trim() as PatchType
  if (!PATCHES.includes(media)) throw unsupportedMediaType(PATCHES)
  if (media === 'application/apply-patch+yaml') return { type: media, body: parseBody(bytes, media, 'apply patch', false).value }
  return { type: media, body: parseJson(bytes.toString('utf8'), 'patch') }
}

const optionsOf = (query: URLSearchParams, request: IncomingMessage): NonNullable<Intent['options']> => {
  const fieldValidation = query.get('fieldValidation') || 'Warn'
  if (fieldValidation !== 'Strict' && fieldValidation !== 'Warn' && fieldValidation !== 'Ignore')
    throw invalid('meta.k8s.io', 'CreateOptions', '', [{ type: 'NotSupported', field: 'fieldValidation', value: fieldValidation, detail: 'supported values: "", "Ignore", "Strict", "Warn"' }])
  const manager = query.get('fieldManager') ?? ''
  if (manager.length > 128) throw invalid('meta.k8s.io', 'PatchOptions', '', [{ type: 'TooLong', field: 'fieldManager', detail: 'may not be more than 128 bytes' }])
  return {
    fieldValidation,
    ...(manager === '' ? (request.headers['content-type']?.startsWith('application/apply-patch') === true ? {} : { fieldManager: sourceOf(request) }) : { fieldManager: manager }),
    ...(query.get('force') === 'true' ? { force: true } : {}),
    ...(dryRun(query.getAll('dryRun')) ? { dryRun: true } : {})
  }
}

const dryRun = (values: readonly string[]): boolean => {
  const given = values.filter((value) => value !== '')
  for (const value of given) if (value !== 'All') throw invalid('meta.k8s.io', 'CreateOptions', '', [{ type: 'NotSupported', field: 'dryRun', value, detail: 'supported values: "All"' }])
  return given.length > 0
}

interface SentDeleteOptions extends DeleteOptions {
  readonly dryRun?: readonly string[]
  readonly orphanDependents?: boolean
}

/** DeleteOptions come in the body or, from simple clients, as query parameters. */
export const deleteOptionsOf = (bytes: Buffer, request: IncomingMessage, query: URLSearchParams): { deleteOptions?: DeleteOptions; options?: Intent['options'] } => {
  const body = bytes.length === 0 ? {} : ((parseBody(bytes, request.headers['content-type'], 'DeleteOptions', false, { apiVersion: 'v1', kind: 'DeleteOptions' }).value ?? {}) as SentDeleteOptions)
  const grace = query.get('gracePeriodSeconds')
  const policy = query.get('propagationPolicy') as DeleteOptions['propagationPolicy'] | null
  const gracePeriodSeconds = body.gracePeriodSeconds ?? (grace === null || grace === '' ? undefined : Number(grace))
  const propagationPolicy = body.propagationPolicy ?? (policy === null ? undefined : policy) ?? (body.orphanDependents === true ? 'Orphan' : undefined)
  if (gracePeriodSeconds !== undefined && !Number.isInteger(gracePeriodSeconds)) throw badRequest('gracePeriodSeconds: must be an integer')
  if (propagationPolicy !== undefined && !['Background', 'Foreground', 'Orphan'].includes(propagationPolicy))
    throw invalid('meta.k8s.io', 'DeleteOptions', '', [{ type: 'NotSupported', field: 'propagationPolicy', value: propagationPolicy, detail: 'supported values: "Background", "Foreground", "Orphan"' }])
  const deleteOptions: DeleteOptions = {
    ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }),
    ...(propagationPolicy === undefined ? {} : { propagationPolicy }),
    ...(body.preconditions === undefined ? {} : { preconditions: body.preconditions })
  }
  return { deleteOptions, ...(dryRun([...(body.dryRun ?? []), ...query.getAll('dryRun')]) ? { options: { dryRun: true } } : {}) }
}

/** The program's name: the first word of its User-Agent. */
export const sourceOf = (request: IncomingMessage): string => (request.headers['user-agent'] ?? 'unknown').split('/')[0]?.slice(0, 64) || 'unknown'

const commandOf = (request: IncomingMessage): { command?: string } => {
  const command = request.headers['kubectl-command']
  return typeof command === 'string' && command !== '' ? { command: command.slice(0, 256) } : {}
}
