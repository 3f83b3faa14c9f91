/**
 * Answers for an API server whose log is damaged. Reads are refused as well: what is left of the log would be shown as the
 * present, and controllers outside would act on it; that objects are missing is no reason to delete what belongs to them.
 */
import { createServer, type Server } from 'node:https'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { Refusal, unauthorized } from '#events/Refusal.ts'
import { systemClock } from '#services/platform/Clock.ts'
import type { TlsFiles } from './ApiServer.ts'
import { Outlets } from './Outlet.ts'
import { sendRefusal, sendText } from './respond.ts'

/** A client that takes nothing for so long is cut off. */
const WRITE_MS = 60_000
const HEALTH = /^\/(healthz|livez|readyz)(\/|\?|$)/

export class DamagedServer {
  readonly #damages: readonly string[]
  readonly #waysOn: readonly string[]
  readonly #outlets = new Outlets(systemClock, WRITE_MS)
  #server: Server | undefined

  constructor(damages: readonly string[], waysOn: readonly string[]) {
    this.#damages = damages
    this.#waysOn = waysOn
  }
  listen(tls: TlsFiles, port: number, host?: string): Promise<void> {
    const server = createServer(
      {
        cert: tls.certificate,
        key: tls.key,
        ca: tls.clientCA,
        requestCert: true,
        rejectUnauthorized: false,
        minVersion: 'TLSv1.2',
        requestTimeout: 10_000
      },
      (request, response) => this.#answer(request, response)
    )
    this.#server = server
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, host, () => resolve())
    })
  }
  async close(): Promise<void> {
    const server = this.#server
    this.#outlets.close()
    if (server === undefined) return
    await new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  }
  #answer(request: IncomingMessage, response: ServerResponse): void {
    const door = { request, response, outlets: this.#outlets }
    request.resume()
    if (!(request.socket as TLSSocket).authorized) return sendRefusal(door, unauthorized().status)
    // The process lives, and starting it again helps nobody.
    if (/^\/livez(\/|\?|$)/.test(request.url ?? '')) return sendText(door, 200, 'ok', { 'content-type': 'text/plain; charset=utf-8' })
    if (HEALTH.test(request.url ?? ''))
      return sendText(door, 500, [...this.#damages.map((line) => `[-]log failed: ${line}`), ...this.#waysOn, ''].join('\n'), {
        'content-type': 'text/plain; charset=utf-8'
      })
    sendRefusal(
      door,
      new Refusal(503, 'ServiceUnavailable', `the log is damaged: ${this.#damages.join('; ')}. ${this.#waysOn.join('\n')}`, {
        causes: this.#damages.map((message) => ({ reason: 'LogDamaged', message }))
      }).status
    )
  }
}
