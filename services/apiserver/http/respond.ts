/** Answers on the wire: JSON texts, refusals as Status, long ones in slices, compressed when large and welcome. */
import { Buffer } from 'node:buffer'
import type { OutgoingHttpHeaders } from 'node:http'
import { Refusal, type Status } from '#events/Refusal.ts'
import { wantsBody, type Door } from './exchange.ts'
import { refusalOfLog } from '#services/apiserver/logFaults.ts'
import { byteSlices, gzipped, resumed, SLICE, textSlices } from './slices.ts'

/** As upstream: below it compressing costs more than it saves. */
const WORTH_COMPRESSING = 128 * 1024

const PLAIN = { 'cache-control': 'no-cache, private', 'content-type': 'application/json' } as const

export const sendText = (door: Door, code: number, text: string, headers: OutgoingHttpHeaders = {}): void => {
  if (text.length > SLICE && wantsBody(door)) return void sendLong(door, code, text, headers)
  door.response.writeHead(code, { ...PLAIN, ...headers, 'content-length': Buffer.byteLength(text) })
  door.response.end(text)
}

const sendLong = async (door: Door, code: number, text: string, headers: OutgoingHttpHeaders): Promise<void> => {
  const outlet = door.outlets.open(door.response)
  const packed = text.length > WORTH_COMPRESSING && takesGzip(door)
  outlet.begin(code, { ...PLAIN, ...headers, ...(packed ? PACKED : { 'content-length': Buffer.byteLength(text) }) })
  const slices = textSlices(text)
  if (await outlet.pour(packed ? gzipped(resumed([], slices)) : slices).catch(() => false)) outlet.end()
  else outlet.cut()
}

/** Bytes that are there already. */
export const sendBytes = async (door: Door, code: number, bytes: Uint8Array, headers: OutgoingHttpHeaders): Promise<void> => {
  if (bytes.length <= SLICE || !wantsBody(door)) {
    door.response.writeHead(code, headers)
    door.response.end(bytes)
    return
  }
  const outlet = door.outlets.open(door.response)
  outlet.begin(code, { ...headers, 'content-length': bytes.length })
  if (await outlet.pour(byteSlices(bytes))) outlet.end()
}

/**
 * A list, whose size is only known when it is made. A short one is sent whole; a long one is made as the client takes it.
 * Throws before the first byte, so that it can still become a refusal; what fails later breaks the answer off.
 */
export const sendSlices = async (door: Door, slices: AsyncGenerator<Buffer>, onError: (error: unknown) => void): Promise<void> => {
  const first: Buffer[] = []
  for (let size = 0; size <= WORTH_COMPRESSING;) {
    const next = await slices.next()
    if (next.done === true) {
      door.response.writeHead(200, { ...PLAIN, 'content-length': size })
      door.response.end(Buffer.concat(first, size))
      return
    }
    first.push(next.value)
    size += next.value.length
  }
  if (!wantsBody(door)) {
    await slices.return(undefined)
    door.response.writeHead(200, PLAIN)
    door.response.end()
    return
  }
  const outlet = door.outlets.open(door.response)
  const packed = takesGzip(door)
  outlet.begin(200, packed ? { ...PLAIN, ...PACKED } : PLAIN)
  try {
    const whole = resumed(first.splice(0), slices)
    if (await outlet.pour(packed ? gzipped(whole) : whole)) outlet.end()
  } catch (error) {
    outlet.cut()
    onError(error)
  }
}

const PACKED = { 'content-encoding': 'gzip', vary: 'Accept-Encoding' } as const
const takesGzip = ({ request }: Door): boolean => /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''))

export const sendJson = (door: Door, code: number, value: unknown, headers: OutgoingHttpHeaders = {}): void =>
  sendText(door, code, `${JSON.stringify(value)}\n`, headers)

export const sendRefusal = (door: Door, status: Status): void => {
  const retry = status.details?.retryAfterSeconds
  door.audit?.refused(status)
  sendJson(door, status.code ?? 500, status, retry === undefined ? {} : { 'retry-after': String(retry) })
}

/** Whatever was thrown, as a Status: a bug is a 500 that says nothing of the inside, and is reported. */
export const statusOf = (error: unknown, onError: (error: unknown) => void): Status => {
  const refusal = error instanceof Refusal ? error : refusalOfLog(error)
  if (refusal !== undefined) return refusal.status
  onError(error)
  return new Refusal(500, 'InternalError', "Internal error occurred: see the API server's log", {
    causes: [{ message: 'an unexpected error' }]
  }).status
}

/** Characters of all warnings; of one, where all are more: as upstream, since clients bound the headers they read. */
const LONGEST_WARNINGS = 4096
const LONGEST_WARNING = 256

/** RFC 7234 warning headers, one per message. */
export const warningsOf = (warnings: readonly string[] = []): string[] => {
  let left = LONGEST_WARNINGS
  const fit = warnings.reduce((sum, { length }) => sum + length, 0) <= LONGEST_WARNINGS
  const texts = warnings.map(
    (text) => `299 - ${JSON.stringify((fit ? text : text.slice(0, LONGEST_WARNING)).replace(/[^\x20-\x7e]/g, '?'))}`
  )
  return fit ? texts : texts.filter((text) => (left -= text.length) >= 0)
}

/** Beside those that the answer has already. */
export const addWarnings = ({ response }: Pick<Door, 'response'>, warnings: readonly string[] | undefined): void => {
  const texts = warningsOf(warnings)
  if (texts.length > 0) response.setHeader('warning', [...((response.getHeader('warning') as string[] | undefined) ?? []), ...texts])
}
