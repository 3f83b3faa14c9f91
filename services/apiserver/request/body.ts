/** From a request's bytes to a JSON value: JSON, YAML or protobuf, with faults in upstream's words. */
import { badRequest, unsupportedMediaType } from '#events/Refusal.ts'
import { deeperThan } from '#events/schema/depth.ts'
import { duplicateFields } from '#events/schema/duplicates.ts'
import { decodeProtobuf, PROTOBUF_CONTENT_TYPE } from '#services/apiserver/protobuf/decode.ts'
import { ProtobufError } from '#services/apiserver/protobuf/wire.ts'
import { typeMetaFault } from './decode.ts'
import { parseYaml, YamlError } from './yaml.ts'

const ACCEPTED = ['application/json', 'application/yaml', PROTOBUF_CONTENT_TYPE] as const
/** Of a body that can't be read, a message shows this much. */
const SHOWN = 30

export interface Body {
  readonly value: unknown
  /** `duplicate field "spec.replicas"`, as far as the format can tell. */
  readonly duplicates: readonly string[]
}

/** The media type of a Content-Type header, without parameters; '' when there is none. */
export const mediaOf = (contentType: string | undefined): string => (contentType ?? '').split(';')[0]?.trim().toLowerCase() ?? ''

/** The first bytes: as text when they look like JSON, else in hexadecimal. */
const summaryOf = (bytes: Buffer): string => {
  if (bytes.length === 0) return '<empty>'
  return bytes.subarray(0, SHOWN).toString(bytes[0] === 0x7b ? 'utf8' : 'hex') + (bytes.length > SHOWN ? ' ...' : '')
}

const unrecognized = (bytes: Buffer, kind: string, why: string): Error =>
  badRequest(`the object provided is unrecognized (must be of type ${kind}): ${why} (${summaryOf(bytes)})`)

const HALF = /\\u[dD][89a-fA-F]/
const HALVES = /(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\[^]/g

/** Escaped halves of characters become U+FFFD, as in Go: a name with one would be another name in the log. */
const whole = (text: string): string =>
  HALF.test(text)
    ? text.replace(HALVES, (escape: string, _: string | undefined, half: string | undefined) => (half === undefined ? escape : '\\ufffd'))
    : text

/** The value of a JSON text; `refuse` is told in Go's manner what is wrong with it otherwise. */
export const parseJson = (text: string, refuse: (why: string) => Error): unknown => {
  if (deeperThan(text)) throw refuse('exceeded max depth')
  try {
    return JSON.parse(whole(text)) as unknown
  } catch (error) {
    if (text.trim() === '') throw refuse('unexpected end of JSON input')
    throw refuse(error instanceof SyntaxError ? error.message : 'the document is too complex')
  }
}

const JSON_FIRST = /^\s*[[{]/

/** YAML that is JSON, as kubectl sends it, is read as that: many times faster, and the same. */
export const parseYamlOrJson = (
  text: string,
  refuse: (why: string) => Error
): { readonly value: unknown; readonly duplicates: readonly string[] } => {
  if (JSON_FIRST.test(text) && !deeperThan(text))
    try {
      return { value: JSON.parse(whole(text)) as unknown, duplicates: [] }
    } catch {
      // A flow mapping, then.
    }
  try {
    return parseYaml(text)
  } catch (error) {
    if (error instanceof YamlError) throw refuse(error.message)
    throw error
  }
}

/** `kind` is for messages: what the body is decoded as. */
export const parseBody = (
  bytes: Buffer,
  contentType: string | undefined,
  kind: string,
  strict: boolean,
  expected?: { readonly apiVersion: string; readonly kind: string }
): Body => {
  const media = mediaOf(contentType)
  const refuse = (why: string): Error => unrecognized(bytes, kind, why)
  if (media === '' || media === 'application/json' || media.endsWith('+json')) {
    const text = bytes.toString('utf8')
    const value = parseJson(text, (why) => refuse(`couldn't get version/kind; json parse error: ${why}`))
    return { value: withTypeMeta(value, refuse), duplicates: strict ? duplicateFields(text) : [] }
  }
  if (media === 'application/yaml' || media === 'text/yaml' || media === 'application/apply-patch+yaml') {
    const { value, duplicates } = parseYamlOrJson(bytes.toString('utf8'), refuse)
    return { value: withTypeMeta(value, refuse), duplicates: strict ? duplicates.map((line) => `yaml: unmarshal errors:\n  ${line}`) : [] }
  }
  if (media === PROTOBUF_CONTENT_TYPE) {
    try {
      return { value: decodeProtobuf(bytes, expected).object, duplicates: [] }
    } catch (error) {
      if (error instanceof ProtobufError) throw refuse(error.message)
      if (error instanceof RangeError) throw refuse('the message is too complex')
      throw error
    }
  }
  throw unsupportedMediaType(ACCEPTED)
}

const withTypeMeta = (value: unknown, refuse: (why: string) => Error): unknown => {
  const fault = typeMetaFault(value)
  if (fault !== undefined) throw refuse(fault)
  return value
}
