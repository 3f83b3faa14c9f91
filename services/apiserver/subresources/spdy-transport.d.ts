/** The part of spdy-transport that is used here; the package brings no types. */
declare module 'spdy-transport' {
  import type { Duplex } from 'node:stream'
  import type { EventEmitter } from 'node:events'
  export interface SpdyStream extends Duplex {
    readonly headers: Readonly<Record<string, string>>
    respond(status: number, headers: Readonly<Record<string, string>>): void
  }
  interface Window {
    readonly send: object
    readonly recv: object
  }
  export interface SpdyConnection extends EventEmitter {
    start(version: number): void
    end(): void
    readonly _spdyState: { readonly window: Window; readonly streamWindow: Window; readonly parser: { parseKVs(pairs: unknown, done: (error: Error | null, headers?: Record<string, string>) => void): void } }
  }
  const transport: { readonly connection: { create(socket: Duplex, options: { readonly protocol: 'spdy'; readonly isServer: boolean; readonly maxChunk?: number | false }): SpdyConnection } }
  export default transport
}
