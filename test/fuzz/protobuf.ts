/** Writes objects as `application/vnd.kubernetes.protobuf`, for the fuzzer: the mirror of the API server's decoder. */
import { messageNamed, messageOfKind, type Message, type ProtoField } from '#services/apiserver/protobuf/messages.ts'

type Json = Readonly<Record<string, unknown>>

const varint = (value: bigint): number[] => {
  const bytes: number[] = []
  for (let rest = BigInt.asUintN(64, value); ; rest >>= 7n) {
    if (rest < 0x80n) return [...bytes, Number(rest)]
    bytes.push(Number(rest & 0x7fn) | 0x80)
  }
}

const delimited = (number: number, bytes: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from([...varint(BigInt(number * 8 + 2)), ...varint(BigInt(bytes.length))]), bytes])
const integer = (number: number, value: bigint): Buffer => Buffer.from([...varint(BigInt(number * 8)), ...varint(value)])
const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

const scalar = (number: number, type: string, value: unknown): Buffer => {
  switch (type) {
    case 'bool':
      return integer(number, value === true ? 1n : 0n)
    case 'int32':
    case 'int64':
      return integer(number, typeof value === 'number' && Number.isFinite(value) ? BigInt(Math.trunc(value)) : 0n)
    case 'bytes':
      return delimited(number, Buffer.from(JSON.stringify(value ?? null), 'base64'))
    case 'double': {
      const bytes = Buffer.alloc(9)
      bytes[0] = number * 8 + 1
      bytes.writeDoubleLE(Number(value), 1)
      return bytes
    }
    default:
      return delimited(number, Buffer.from(typeof value === 'string' ? value : JSON.stringify(value ?? null)))
  }
}

/** Messages that JSON writes as one value. */
const special = (type: string, value: unknown): Buffer | undefined => {
  switch (type) {
    case 'apis.meta.v1.Time':
    case 'apis.meta.v1.MicroTime':
      return integer(1, BigInt(Math.trunc(Date.parse(typeof value === 'string' ? value : '') / 1000) || 0))
    case 'api.resource.Quantity':
      return delimited(1, Buffer.from(typeof value === 'string' ? value : JSON.stringify(value ?? null)))
    case 'apis.meta.v1.FieldsV1':
    case 'runtime.RawExtension':
      return delimited(1, Buffer.from(JSON.stringify(value ?? null)))
    case 'util.intstr.IntOrString':
      return typeof value === 'number'
        ? Buffer.concat([integer(1, 0n), scalar(2, 'int32', value)])
        : Buffer.concat([integer(1, 1n), scalar(3, 'string', value)])
    default:
      return undefined
  }
}

const nested = (field: ProtoField, value: unknown): Buffer => {
  const written = special(field.type, value)
  if (written !== undefined) return written
  const message = messageNamed(field.type)
  if (message === undefined) return Buffer.alloc(0)
  // A message that is only a list of strings: JSON writes the list.
  return encode(Array.isArray(value) ? { items: value } : isObject(value) ? value : {}, message)
}

const one = (number: number, field: ProtoField, value: unknown): Buffer =>
  field.scalar ? scalar(number, field.type, value) : delimited(number, nested(field, value))

const encode = (object: Json, message: Message): Buffer => {
  const parts: Buffer[] = []
  for (const [number, field] of message) {
    const value = field.inline ? object : object[field.name]
    if (value === undefined || value === null) continue
    if (field.label === 'repeated') for (const item of Array.isArray(value) ? value : [value]) parts.push(one(number, field, item))
    else if (field.label === 'map')
      for (const [key, item] of Object.entries(isObject(value) ? value : {}))
        parts.push(delimited(number, Buffer.concat([delimited(1, Buffer.from(key)), one(2, field, item)])))
    else parts.push(one(number, field, value))
  }
  return Buffer.concat(parts)
}

/** Undefined when the fact table has no such kind. */
export const protobufOf = (object: Json, apiVersion: string, kind: string): Buffer | undefined => {
  const name = messageOfKind(apiVersion, kind)
  const message = name === undefined ? undefined : messageNamed(name)
  if (message === undefined) return undefined
  const meta = Buffer.concat([delimited(1, Buffer.from(apiVersion)), delimited(2, Buffer.from(kind))])
  return Buffer.concat([Buffer.from('k8s\0'), delimited(1, meta), delimited(2, encode(object, message))])
}
