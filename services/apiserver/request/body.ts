/** From a request's bytes to a JSON value: JSON, YAML or protobuf, with faults in upstream's words. */
import { parseDocument } from 'yaml'
import { badRequest, unsupportedMediaType } from '#events/Refusal.ts'
import { duplicateFields } from '#events/schema/duplicates.ts'
import { decodeProtobuf, PROTOBUF_CONTENT_TYPE } from '../protobuf/decode.ts'
import { ProtobufError } from '../protobuf/wire.ts'

const ACCEPTED = ['application/json', 'application/yaml', PROTOBUF_CONTENT_TYPE] as const

export interface Body {
  readonly value: unknown
  /** `duplicate field "spec.replicas"`, as far as the format can tell. */
  readonly duplicates: readonly string[]
}

/** `kind` is for messages: what the body is decoded as. */
export const parseBody = (bytes: Buffer, contentType: string | undefined, kind: string, strict: boolean, expected?: { readonly apiVersion: string; readonly kind: string }): Body => {
  const media = (contentType ?? '').split(';')[0]?.trim().toLowerCase() ?? ''
  if (media === '' || media === 'application/json' || media.endsWith('+json')) {
    const text = bytes.toString('utf8')
    return { value: parseJson(text, kind), duplicates: strict ? duplicateFields(text) : [] }
  }
  if (media === 'application/yaml' || media === 'text/yaml' || media === 'application/apply-patch+yaml') {
    const document = parseDocument(bytes.toString('utf8'), { uniqueKeys: false, maxAliasCount: 100 } as Parameters<typeof parseDocument>[1])
    const fault = document.errors[0]
    if (fault !== undefined) throw badRequest(`the object provided is unrecognized (must be of type ${kind}): error converting YAML to JSON: yaml: ${fault.message.split('\n')[0]}`)
    return { value: document.toJS() as unknown, duplicates: [] }
  }
  if (media === PROTOBUF_CONTENT_TYPE) {
    try {
      return { value: decodeProtobuf(bytes, expected).object, duplicates: [] }
    } catch (error) {
      if (error instanceof ProtobufError) throw badRequest(`the object provided is unrecognized (must be of type ${kind}): ${error.message}`)
      throw error
    }
  }
  throw unsupportedMediaType(ACCEPTED)
}

export const parseJson = (text: string, kind: string): unknown => {
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    throw badRequest(`the object provided is unrecognized (must be of type ${kind}): couldn't get version/kind; json parse error: ${error instanceof Error ? error.message : String(error)}`)
  }
}
