/**
 * What a message on the NATS door must look like before the decider sees it: every field in type, size and characters,
 * and nothing besides. Components are programs of their own with credentials that may be stolen, and much of an intent
 * ends in an event's headers, where a line break is a fault the log can't be asked about. Plain functions; each refuses with 400.
 */
import { isObject } from '#events/meta/json.ts'
import type { Cause, Intent, IntentVerb, PatchType } from '#events/Intent.ts'
import type { Term } from '#events/coordination/term.ts'
import type { ResourceRef } from '#events/Key.ts'
import { undecoded } from '#events/KubeObject.ts'
import { badRequest, type Refusal } from '#events/Refusal.ts'
import { checkOptions, deleteOptionsOf, type Options } from '#services/apiserver/request/options.ts'

const VERBS: readonly IntentVerb[] = ['create', 'update', 'patch', 'delete']
const PATCHES: readonly PatchType[] = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/apply-patch+yaml'
]
const OPTIONS = { create: 'CreateOptions', update: 'UpdateOptions', patch: 'PatchOptions' } as const
const FIELDS = new Set([
  'id',
  'again',
  'verb',
  'ref',
  'version',
  'namespace',
  'name',
  'subresource',
  'object',
  'patch',
  'deleteOptions',
  'options',
  'cause',
  'reasons',
  'term',
  'source',
  'command'
])

/** Characters; ids, names and commands of components are far shorter. */
const LONGEST_ID = 128
const LONGEST_NAME = 253
const LONGEST_SOURCE = 256
const LONGEST_COMMAND = 1024
/** What the scheduler knows of 5,000 nodes fits; an event keeps less (see `encodeEvent`). */
const LONGEST_REASONS = 256 * 1024

type Json = Readonly<Record<string, unknown>>

const no = (what: string): Refusal => badRequest(`the intent is not valid: ${what}`)
const listed = (words: readonly string[]): string => words.map((word) => JSON.stringify(word)).join(', ')

const only = (value: unknown, where: string, fields: ReadonlySet<string>): Json => {
  if (!isObject(value)) throw no(`${where} must be a JSON object`)
  for (const field of Object.keys(value))
    if (!fields.has(field)) throw no(`unknown field ${JSON.stringify(`${where}.${field}`.slice(0, LONGEST_NAME))}`)
  return value
}

/** `shape`: what the whole text must match; told as `described`. */
const text = (value: unknown, where: string, longest: number, shape: RegExp, described: string): string => {
  if (typeof value !== 'string') throw no(`${where} must be a string`)
  if (value.length > longest) throw no(`${where} may not be more than ${longest} characters`)
  if (!shape.test(value)) throw no(`${where} must be ${described}`)
  return value
}

/** Printable ASCII: goes into headers as it is. */
const ID = /^[\x21-\x7e]+$/
/** Anything but control characters and halves of characters; goes into subjects and headers percent-encoded. */
const NAME = /^(?!\.\.?$)[^\p{Cc}\p{Cs}\u2028\u2029/%]*$/u
const LINE = /^[^\p{Cc}\p{Cs}\u2028\u2029]+$/u
const PLACE = /^[A-Z]{1,32}:[1-9]\d{0,15}$/

const id = (value: unknown, where: string): string => text(value, where, LONGEST_ID, ID, 'visible ASCII characters, at least one')
const name = (value: unknown, where: string): string =>
  text(value, where, LONGEST_NAME, NAME, "a name: no control characters, no '/' or '%'")

/** The cause somebody names, or undefined when it can not be one. */
export const causeOf = (value: unknown): Cause | undefined => {
  if (!isObject(value)) return undefined
  const { eventId, ref, correlationId } = value
  const isId = (part: unknown): part is string => typeof part === 'string' && part.length <= LONGEST_ID && ID.test(part)
  return isId(eventId) && isId(correlationId) && typeof ref === 'string' && PLACE.test(ref) ? { eventId, ref, correlationId } : undefined
}

const CAUSE = new Set(['eventId', 'ref', 'correlationId'])

const cause = (value: unknown): Cause => {
  const { eventId, ref, correlationId } = only(value, 'cause', CAUSE)
  return {
    eventId: id(eventId, 'cause.eventId'),
    ref: text(ref, 'cause.ref', 64, PLACE, 'a place in a stream, such as EVENTS:123'),
    correlationId: id(correlationId, 'cause.correlationId')
  }
}

const REF = new Set(['group', 'resource'])

const ref = (value: unknown): ResourceRef => {
  const { group, resource } = only(value, 'ref', REF)
  return {
    group: text(group, 'ref.group', LONGEST_NAME, /^[a-z0-9.-]*$/, 'an API group, "" for core'),
    resource: text(resource, 'ref.resource', LONGEST_NAME, /^[a-z0-9.-]+$/, 'a resource in the plural, such as pods')
  }
}

const PATCH = new Set(['type', 'body'])

const patch = (value: unknown): NonNullable<Intent['patch']> => {
  const { type, body } = only(value, 'patch', PATCH)
  if (!PATCHES.includes(type as PatchType)) throw no(`patch.type must be one of ${listed(PATCHES)}`)
  if (body === undefined) throw no('patch.body is missing')
  return { type: type as PatchType, body }
}

const OPTION = new Set(['fieldManager', 'fieldValidation', 'force', 'dryRun'])

/** As the JSON of a program says them: `dryRun` true, or `["All"]` as in Kubernetes' own options. */
const options = (value: unknown, verb: IntentVerb, apply: boolean): Options => {
  const { fieldManager = '', fieldValidation = '', force, dryRun = false } = only(value, 'options', OPTION)
  if (typeof fieldManager !== 'string' || typeof fieldValidation !== 'string')
    throw no('options.fieldManager and options.fieldValidation must be strings')
  if (force !== undefined && typeof force !== 'boolean') throw no('options.force must be true or false')
  const dry = Array.isArray(dryRun) ? dryRun : dryRun === true ? ['All'] : []
  if ((typeof dryRun !== 'boolean' && !Array.isArray(dryRun)) || dry.some((one) => typeof one !== 'string'))
    throw no('options.dryRun must be true or false, or ["All"]')
  const checked = checkOptions(
    verb === 'delete' ? 'UpdateOptions' : OPTIONS[verb],
    { fieldManager, fieldValidation, dryRun: dry as string[], force },
    apply
  )
  return fieldValidation === '' ? withoutDefault(checked) : checked
}

/** What was not said stays unsaid. */
const withoutDefault = ({ fieldValidation: _, ...rest }: Options): Options => rest

const reasons = (value: unknown): NonNullable<Intent['reasons']> => {
  if (!isObject(value)) throw no('reasons must be a JSON object')
  if (JSON.stringify(value).length > LONGEST_REASONS) throw no(`reasons may not be more than ${LONGEST_REASONS} bytes of JSON`)
  return value
}

const TERM = new Set(['lease', 'sequence'])

const term = (value: unknown): Term => {
  const { lease, sequence } = only(value, 'term', TERM)
  if (!Number.isSafeInteger(sequence) || (sequence as number) < 1) throw no('term.sequence must be a resourceVersion, as a number')
  return {
    lease: text(lease, 'term.lease', LONGEST_NAME, /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/, 'the name of a Lease'),
    sequence: sequence as number
  }
}

/** The intent a message holds, made anew of what was looked at. */
export const intentOf = (body: unknown): Intent => {
  if (!isObject(body)) throw no('it is not a JSON object')
  for (const field of Object.keys(body)) if (!FIELDS.has(field)) throw no(`unknown field ${JSON.stringify(field.slice(0, LONGEST_NAME))}`)
  const verb = body['verb'] as IntentVerb
  const asked = id(body['id'], 'id')
  if (!VERBS.includes(verb)) throw no(`verb must be one of ${listed(VERBS)}`)
  if (body['again'] !== undefined && body['again'] !== true) throw no('again must be true, or absent')
  const subresource =
    body['subresource'] === undefined ? '' : text(body['subresource'], 'subresource', 63, /^[a-z]*$/, 'lower-case letters')
  const patched = body['patch'] === undefined ? undefined : patch(body['patch'])
  const { object } = body
  if (object !== undefined && !isObject(object)) throw no('object must be a JSON object')
  if ((verb === 'create' || verb === 'update') && object === undefined) throw no(`object is missing: ${verb} needs one`)
  if (verb === 'patch' && patched === undefined) throw no('patch is missing')
  if (verb !== 'patch' && patched !== undefined) throw no('patch goes with the verb patch')
  if ((verb === 'patch' || verb === 'delete') && object !== undefined) throw no(`object does not go with the verb ${verb}`)
  if (verb !== 'delete' && body['deleteOptions'] !== undefined) throw no('deleteOptions go with the verb delete')
  const deletion = body['deleteOptions'] === undefined ? undefined : deleteOptionsOf(body['deleteOptions'], 'Strict')
  const given = body['options'] === undefined ? undefined : options(body['options'], verb, patched?.type === 'application/apply-patch+yaml')
  return {
    id: asked,
    ...(body['again'] === true ? { again: true } : {}),
    verb,
    ref: ref(body['ref']),
    version: text(body['version'], 'version', 63, /^[a-z0-9]+$/, 'an API version, such as v1'),
    namespace: body['namespace'] === undefined ? '' : name(body['namespace'], 'namespace'),
    name: body['name'] === undefined ? '' : name(body['name'], 'name'),
    ...(subresource === '' ? {} : { subresource }),
    ...(object === undefined ? {} : { object: undecoded(object) }),
    ...(patched === undefined ? {} : { patch: patched }),
    ...(deletion === undefined ? {} : { deleteOptions: deletion.deleteOptions }),
    ...(given === undefined && deletion?.dryRun !== true
      ? {}
      : { options: { ...given, ...(deletion?.dryRun === true ? { dryRun: true } : {}) } }),
    ...(body['cause'] === undefined ? {} : { cause: cause(body['cause']) }),
    ...(body['reasons'] === undefined ? {} : { reasons: reasons(body['reasons']) }),
    ...(body['term'] === undefined ? {} : { term: term(body['term']) }),
    source: text(body['source'], 'source', LONGEST_SOURCE, LINE, 'one line of text, at least one character'),
    ...(body['command'] === undefined ? {} : { command: text(body['command'], 'command', LONGEST_COMMAND, LINE, 'one line of text') })
  }
}
