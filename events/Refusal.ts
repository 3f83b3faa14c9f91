/**
 * A refusal: the one error a decider throws, carrying the Kubernetes Status the client will see.
 * Wording and reasons follow apimachinery's `api/errors`, because tools match on them.
 */
import { qualifiedResource, type ResourceRef } from './Key.ts'

export interface StatusCause {
  readonly reason?: string
  readonly message?: string
  readonly field?: string
}

export interface StatusDetails {
  readonly name?: string
  readonly group?: string
  /** The plural resource, for most reasons; the kind for Invalid. */
  readonly kind?: string
  readonly uid?: string
  readonly causes?: readonly StatusCause[]
  readonly retryAfterSeconds?: number
}

export interface Status {
  readonly kind: 'Status'
  readonly apiVersion: 'v1'
  readonly metadata: Record<string, unknown>
  readonly status: 'Success' | 'Failure'
  readonly message?: string
  readonly reason?: string
  readonly details?: StatusDetails
  readonly code?: number
}

export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly status: Status
  /** Annotations for the audit trail; not for who asked. */
  audit: Readonly<Record<string, string>> = {}
  constructor(code: number, reason: string, message: string, details?: StatusDetails) {
    super(message)
    this.status = {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message,
      reason,
      ...(details === undefined ? {} : { details }),
      code
    }
  }
  noting(audit: Readonly<Record<string, string>>): this {
    this.audit = { ...this.audit, ...audit }
    return this
  }
  static of(status: Status): Refusal {
    return new Refusal(status.code ?? 500, status.reason ?? 'InternalError', status.message ?? '', status.details)
  }
}

const about = (ref: ResourceRef, name: string): StatusDetails => ({
  name,
  ...(ref.group === '' ? {} : { group: ref.group }),
  kind: ref.resource
})

export const badRequest = (message: string): Refusal => new Refusal(400, 'BadRequest', message)
/** The server could not decide, or could not find out what became of it: the same request may be asked again. */
export const isPassing = ({ code }: Status): boolean => code === 429 || code === 503 || code === 504

export const logAway = (): Refusal =>
  new Refusal(
    503,
    'ServiceUnavailable',
    'the log can not be reached, and this request stored nothing; the log is started again by itself: try again',
    { retryAfterSeconds: 1 }
  )
export const unauthorized = (): Refusal => new Refusal(401, 'Unauthorized', 'Unauthorized')
export const forbidden = (ref: ResourceRef, name: string, why: string, causes?: readonly StatusCause[]): Refusal =>
  new Refusal(
    403,
    'Forbidden',
    name === '' ? `${qualifiedResource(ref)} is forbidden: ${why}` : `${qualifiedResource(ref)} "${name}" is forbidden: ${why}`,
    {
      ...about(ref, name),
      ...(causes === undefined ? {} : { causes })
    }
  )
export const notFound = (ref: ResourceRef, name: string): Refusal =>
  new Refusal(404, 'NotFound', `${qualifiedResource(ref)} "${name}" not found`, about(ref, name))
export const noSuchPath = (): Refusal => new Refusal(404, 'NotFound', 'the server could not find the requested resource', {})
export const methodNotAllowed = (): Refusal =>
  new Refusal(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource', {})
export const alreadyExists = (ref: ResourceRef, name: string): Refusal =>
  new Refusal(409, 'AlreadyExists', `${qualifiedResource(ref)} "${name}" already exists`, about(ref, name))
export const conflict = (
  ref: ResourceRef,
  name: string,
  why = 'the object has been modified; please apply your changes to the latest version and try again'
): Refusal => new Refusal(409, 'Conflict', `Operation cannot be fulfilled on ${qualifiedResource(ref)} "${name}": ${why}`, about(ref, name))
export const expired = (message: string): Refusal => new Refusal(410, 'Expired', message)
export const tooLarge = (message: string): Refusal => new Refusal(413, 'RequestEntityTooLarge', message)
export const unsupportedMediaType = (accepted: readonly string[]): Refusal =>
  new Refusal(
    415,
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: ${accepted.join(', ')}`
  )
export const tooManyRequests = (message: string, retryAfterSeconds?: number): Refusal =>
  new Refusal(429, 'TooManyRequests', message, retryAfterSeconds === undefined ? {} : { retryAfterSeconds })
/** RFC 4918: the server can't store what is asked of it. */
export const insufficientStorage = (message: string): Refusal => new Refusal(507, 'InsufficientStorage', message)
export const timedOut = (message: string, causes?: readonly StatusCause[]): Refusal =>
  new Refusal(504, 'Timeout', message, causes === undefined ? {} : { causes })

/** One fault of one field, in the words of apimachinery's `field.Error`. */
export interface FieldError {
  readonly type: 'Required' | 'Invalid' | 'NotSupported' | 'Forbidden' | 'Duplicate' | 'NotFound' | 'TooLong' | 'TooMany' | 'TypeInvalid'
  /** `spec.template.spec.containers[0].name` */
  readonly field: string
  readonly value?: unknown
  readonly detail?: string
}

const CAUSE: Readonly<Record<FieldError['type'], { reason: string; title: string; showsValue: boolean }>> = {
  Required: { reason: 'FieldValueRequired', title: 'Required value', showsValue: false },
  Invalid: { reason: 'FieldValueInvalid', title: 'Invalid value', showsValue: true },
  NotSupported: { reason: 'FieldValueNotSupported', title: 'Unsupported value', showsValue: true },
  Forbidden: { reason: 'FieldValueForbidden', title: 'Forbidden', showsValue: false },
  Duplicate: { reason: 'FieldValueDuplicate', title: 'Duplicate value', showsValue: true },
  NotFound: { reason: 'FieldValueNotFound', title: 'Not found', showsValue: true },
  TooLong: { reason: 'FieldValueTooLong', title: 'Too long', showsValue: false },
  TooMany: { reason: 'FieldValueTooMany', title: 'Too many', showsValue: true },
  TypeInvalid: { reason: 'FieldValueTypeInvalid', title: 'Invalid value', showsValue: true }
}

/** Characters of a value in a message, and items of a list: it is the client's own, and may be megabytes. */
const LONGEST_VALUE = 1024
const MOST_ITEMS = 32

const shownValue = (value: unknown): string => {
  const part = typeof value === 'string' ? value.slice(0, LONGEST_VALUE) : Array.isArray(value) ? value.slice(0, MOST_ITEMS) : value
  const text = JSON.stringify(part) ?? 'null'
  return text.length > LONGEST_VALUE || (part !== value && (part as string | unknown[]).length < (value as string | unknown[]).length)
    ? `${text.slice(0, LONGEST_VALUE)}…`
    : text
}

/** `Invalid value: "Bad_Name": a lowercase RFC 1123 label must …` (without the field path). */
export const fieldErrorBody = (error: FieldError): string => {
  const { title, showsValue } = CAUSE[error.type]
  const value = showsValue && error.value !== undefined ? `: ${shownValue(error.value)}` : ''
  return `${title}${value}${error.detail === undefined || error.detail === '' ? '' : `: ${error.detail}`}`
}

/** A client reads the first few; a list without end would be an answer many times as large as the request. */
const MOST_FAULTS = 100

/** 422 Invalid with a cause per fault, at most 100: `Deployment.apps "web" is invalid: spec.selector: Required value`. */
export const invalid = (group: string, kind: string, name: string, errors: readonly FieldError[]): Refusal => {
  const shown = errors.slice(0, MOST_FAULTS)
  const lines = shown.map((error) => `${error.field}: ${fieldErrorBody(error)}`)
  if (errors.length > shown.length) lines.push(`and ${errors.length - shown.length} more`)
  const list = lines.length === 1 ? (lines[0] ?? '') : `[${lines.join(', ')}]`
  const called = name.slice(0, LONGEST_VALUE)
  return new Refusal(422, 'Invalid', `${group === '' ? kind : `${kind}.${group}`} "${called}" is invalid: ${list}`, {
    name: called,
    ...(group === '' ? {} : { group }),
    kind,
    causes: shown.map((error) => ({ reason: CAUSE[error.type].reason, message: fieldErrorBody(error), field: error.field }))
  })
}
