/** Answers on the wire: JSON texts, refusals as Status, compressed when large and welcome. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { gzip } from 'node:zlib'
import { Refusal, type Status } from '#events/Refusal.ts'

/** As upstream: below it compressing costs more than it saves. */
const WORTH_COMPRESSING = 128 * 1024

export const sendText = (request: IncomingMessage, response: ServerResponse, code: number, text: string, headers: Readonly<Record<string, string>> = {}): void => {
  const all = { 'cache-control': 'no-cache, private', 'content-type': 'application/json', ...headers }
  if (text.length > WORTH_COMPRESSING && /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''))) {
    gzip(text, { level: 1 }, (error, packed) => {
      if (error !== null) return void response.destroy(error)
      response.writeHead(code, { ...all, 'content-encoding': 'gzip', vary: 'Accept-Encoding', 'content-length': packed.length })
      response.end(packed)
    })
    return
  }
  response.writeHead(code, { ...all, 'content-length': Buffer.byteLength(text) })
  response.end(text)
}

export const sendJson = (request: IncomingMessage, response: ServerResponse, code: number, value: unknown, headers: Readonly<Record<string, string>> = {}): void =>
  sendText(request, response, code, `${JSON.stringify(value)}\n`, headers)

export const sendRefusal = (request: IncomingMessage, response: ServerResponse, status: Status): void => {
  const retry = status.details?.retryAfterSeconds
  sendJson(request, response, status.code ?? 500, status, retry === undefined ? {} : { 'retry-after': String(retry) })
}

/** Whatever was thrown, as a Status: a bug is a 500 that says nothing of the inside, and is reported. */
export const statusOf = (error: unknown, onError: (error: unknown) => void): Status => {
  if (error instanceof Refusal) return error.status
  onError(error)
  return new Refusal(500, 'InternalError', 'Internal error occurred: see the API server\'s log', { causes: [{ message: 'an unexpected error' }] }).status
}

/** Characters of one warning, and of all: as upstream, since clients bound the headers they read. */
const LONGEST_WARNING = 256
const LONGEST_WARNINGS = 4096

/** RFC 7234 warning headers, one per message. */
export const warningsOf = (warnings: readonly string[] | undefined): string[] => {
  let left = LONGEST_WARNINGS
  const texts = (warnings ?? []).map((text) => `299 - ${JSON.stringify(text.slice(0, LONGEST_WARNING).replace(/[^\x20-\x7e]/g, '?'))}`)
  return texts.filter((text) => (left -= text.length) >= 0)
}
