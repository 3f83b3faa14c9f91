/** Decodes `application/vnd.kubernetes.protobuf` request bodies into the JSON form of the object. */
import { deeperThan } from '#events/schema/depth.ts'
import { messageNamed, messageOfKind, type Message, type ProtoField } from './messages.ts'
import { ProtobufError, Reader } from './wire.ts'

export const PROTOBUF_CONTENT_TYPE = 'application/vnd.kubernetes.protobuf'

export interface DecodedProtobuf {
  readonly apiVersion: string
  readonly kind: string
  /** The object with `apiVersion` and `kind` first; what the client left unset is absent. */
  readonly object: Record<string, unknown>
}

/** `k8s\0` */
const MAGIC = [0x6b, 0x38, 0x73, 0x00]

/**
 * Opens the envelope (`k8s\0`, then runtime.Unknown) and decodes the message in it.
 * @param expected the type to take when the envelope names none, as a server infers it from the URL
 * @throws ProtobufError when the bytes are malformed or the type is unknown
 */
export const decodeProtobuf = (bytes: Uint8Array, expected?: { readonly apiVersion: string; readonly kind: string }): DecodedProtobuf => {
  if (!MAGIC.every((byte, index) => bytes[index] === byte)) {
    throw new ProtobufError('provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]')
  }
  if (bytes.length === MAGIC.length) throw new ProtobufError('empty body')
  let apiVersion = ''
  let kind = ''
  let raw: Uint8Array = new Uint8Array(0)
  let encoding = ''
  let contentType = ''
  const envelope = new Reader(bytes.subarray(MAGIC.length))
  while (!envelope.done) {
    const [field, wireType] = envelope.tag()
    if (wireType !== 2) envelope.skip(wireType)
    else if (field === 1) {
      const typeMeta = new Reader(envelope.bytes())
      while (!typeMeta.done) {
        const [part, partType] = typeMeta.tag()
        if (part === 1 && partType === 2) apiVersion = typeMeta.string()
        else if (part === 2 && partType === 2) kind = typeMeta.string()
        else typeMeta.skip(partType)
      }
    } else if (field === 2) raw = envelope.bytes()
    else if (field === 3) encoding = envelope.string()
    else if (field === 4) contentType = envelope.string()
    else envelope.skip(wireType)
  }
  if (encoding !== '') throw new ProtobufError(`unsupported content encoding ${JSON.stringify(encoding)}`)
  apiVersion ||= expected?.apiVersion ?? ''
  kind ||= expected?.kind ?? ''
  if (kind === '') throw new ProtobufError("Object 'Kind' is missing")
  if (apiVersion === '') throw new ProtobufError("Object 'apiVersion' is missing")
  if (contentType === 'application/json') return { apiVersion, kind, object: { apiVersion, kind, ...parseObject(raw) } }
  const name = messageOfKind(apiVersion, kind)
  const message = name === undefined ? undefined : messageNamed(name)
  if (message === undefined)
    throw new ProtobufError(`no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)}`)
  return { apiVersion, kind, object: { apiVersion, kind, ...readMessage(raw, message) } }
}

const parseJson = (bytes: Uint8Array): unknown => {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
  if (deeperThan(text)) throw new ProtobufError('embedded JSON exceeded max depth')
  try {
    return JSON.parse(text)
  } catch {
    throw new ProtobufError('embedded JSON is malformed')
  }
}

const parseObject = (bytes: Uint8Array): Record<string, unknown> => {
  const value = parseJson(bytes)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new ProtobufError('embedded JSON is not an object')
  return value as Record<string, unknown>
}

type Special = (fields: Reader) => unknown

/** Numbers of a flat message of varints and strings, for the types JSON writes as one value. */
const flat = (reader: Reader): Map<number, number | Uint8Array> => {
  const values = new Map<number, number | Uint8Array>()
  while (!reader.done) {
    const [field, wireType] = reader.tag()
    if (wireType === 0) values.set(field, reader.int64())
    else if (wireType === 2) values.set(field, reader.bytes())
    else reader.skip(wireType)
  }
  return values
}

const text = (value: number | Uint8Array | undefined): string => (value instanceof Uint8Array ? Buffer.from(value).toString('utf8') : '')
const number = (value: number | Uint8Array | undefined): number => (typeof value === 'number' ? value : 0)

/** RFC 3339, UTC; the zero time is JSON null and therefore undefined. `digits` of the fraction: 0 or 6. */
const timestamp = (reader: Reader, digits: 0 | 6): string | undefined => {
  const values = flat(reader)
  const [seconds, nanos] = [number(values.get(1)), number(values.get(2))]
  if (seconds === 0 && nanos === 0) return undefined
  const date = new Date(seconds * 1000)
  if (Number.isNaN(date.getTime()) || date.getUTCFullYear() > 9999 || date.getUTCFullYear() < 0)
    throw new ProtobufError('time out of range')
  const whole = date.toISOString().slice(0, 19)
  return digits === 0 ? `${whole}Z` : `${whole}.${String(Math.floor(nanos / 1000)).padStart(6, '0')}Z`
}

/** Messages that JSON writes as something else than an object of their fields. */
const SPECIAL: Readonly<Record<string, Special>> = {
  'apis.meta.v1.Time': (reader) => timestamp(reader, 0),
  'apis.meta.v1.MicroTime': (reader) => timestamp(reader, 6),
  'apis.meta.v1.FieldsV1': (reader) => rawJson(reader),
  'runtime.RawExtension': (reader) => rawJson(reader),
  'api.resource.Quantity': (reader) => text(flat(reader).get(1)) || '0',
  'util.intstr.IntOrString': (reader) => {
    const values = flat(reader)
    return number(values.get(1)) === 0 ? number(values.get(2)) : text(values.get(3))
  }
}

const rawJson = (reader: Reader): unknown => {
  const raw = flat(reader).get(1)
  return raw instanceof Uint8Array && raw.length > 0 ? parseJson(raw) : undefined
}

/** A message that is only a list of strings (ExtraValue, Verbs): a JSON array. */
const isStringList = (message: Message): boolean => {
  const field = message.get(1)
  return message.size === 1 && field?.name === 'items' && field.type === 'string'
}

const readValue = (bytes: Uint8Array, type: string): unknown => {
  const special = SPECIAL[type]
  if (special !== undefined) return special(new Reader(bytes))
  const message = messageNamed(type)
  if (message === undefined) return {}
  const object = readMessage(bytes, message)
  return isStringList(message) ? (object['items'] ?? []) : object
}

const readScalar = (reader: Reader, type: string): unknown => {
  switch (type) {
    case 'string':
      return reader.string()
    case 'bytes':
      return Buffer.from(reader.bytes()).toString('base64')
    case 'bool':
      return reader.bool()
    case 'int32':
      return reader.int32()
    case 'int64':
      return reader.int64()
    default:
      return reader.double()
  }
}

const wireTypeOf = (type: string): number => (type === 'bool' || type === 'int32' || type === 'int64' ? 0 : type === 'double' ? 1 : 2)

const isZero = (value: unknown): boolean => value === '' || value === 0 || value === false

/** JSON names come from the fact table; only map keys are the client's, and those may be called anything. */
const put = (target: Record<string, unknown>, key: string, value: unknown): void => {
  if (key === '__proto__') Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true })
  else target[key] = value
}

const readEntry = (bytes: Uint8Array, field: ProtoField, into: Record<string, unknown>): void => {
  let key = ''
  let value: unknown
  const reader = new Reader(bytes)
  while (!reader.done) {
    const [part, wireType] = reader.tag()
    if (part === 1 && wireType === 2) key = reader.string()
    else if (part === 2 && wireType === wireTypeOf(field.type)) {
      value = field.scalar ? readScalar(reader, field.type) : readValue(reader.bytes(), field.type)
    } else reader.skip(wireType)
  }
  put(
    into,
    key,
    value ?? (field.type === 'string' || field.type === 'bytes' ? '' : field.scalar ? 0 : readValue(new Uint8Array(0), field.type))
  )
}

/** Repeated scalars may come packed (wire type 2) or one by one. */
const readRepeatedScalar = (reader: Reader, wireType: number, type: string, into: unknown[]): void => {
  if (wireType === wireTypeOf(type)) {
    into.push(readScalar(reader, type))
    return
  }
  const packed = new Reader(reader.bytes())
  while (!packed.done) into.push(readScalar(packed, type))
}

/**
 * Go writes every non-pointer field, zero or not: such zeros are dropped where JSON would omit them,
 * and kept for pointers (`replicas: 0`) and required fields.
 */
const readMessage = (bytes: Uint8Array, message: Message): Record<string, unknown> => {
  const object: Record<string, unknown> = {}
  const reader = new Reader(bytes)
  while (!reader.done) {
    const [number, wireType] = reader.tag()
    const field = message.get(number)
    if (field === undefined) {
      reader.skip(wireType)
      continue
    }
    const packed = field.label === 'repeated' && wireType === 2
    if (wireType !== (field.scalar && field.label !== 'map' ? wireTypeOf(field.type) : 2) && !packed) {
      throw new ProtobufError(`wrong wireType = ${wireType} for field ${field.name}`)
    }
    if (field.label === 'map') {
      readEntry(reader.bytes(), field, (object[field.name] ??= {}) as Record<string, unknown>)
    } else if (field.label === 'repeated') {
      const list = (object[field.name] ??= []) as unknown[]
      if (field.scalar) readRepeatedScalar(reader, wireType, field.type, list)
      else list.push(readValue(reader.bytes(), field.type))
    } else if (field.scalar) {
      const value = readScalar(reader, field.type)
      if (field.pointer || !field.omitempty || !isZero(value)) object[field.name] = value
    } else if (field.inline) {
      Object.assign(object, readValue(reader.bytes(), field.type))
    } else {
      const value = readValue(reader.bytes(), field.type)
      // A zero IntOrString means "not set" unless behind a pointer: targetPort 0.
      if (value !== undefined && (field.pointer || !field.omitempty || !isZero(value))) object[field.name] = value
    }
  }
  return object
}
