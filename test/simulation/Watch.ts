/** A client that watches a collection as client-go does: over connections that break, going on from the last version it has seen. */
import type { ServerResponse } from 'node:http'
import type { Kind } from '#events/Kind.ts'
import { selectionOf, waitForVersion } from '#services/apiserver/verbs/read.ts'
import { sleep } from '#services/platform/Clock.ts'
import type { Served } from './Served.ts'
import type { VirtualClock } from './VirtualClock.ts'
import { Wire } from './Wire.ts'

const AGAIN_MS = 300

export interface Told {
  readonly type: string
  readonly name: string
  readonly sequence: number
}

export interface WatchOptions {
  readonly kind: Kind
  /** `fieldSelector=spec.nodeName%3Dn1`; '' for all. */
  readonly query: string
  readonly clock: VirtualClock
  readonly server: () => Served | undefined
  /** Milliseconds until this connection breaks by itself. */
  readonly lasts: () => number
  readonly onFault: (fault: string) => void
}

export class Watch {
  readonly kind: Kind
  readonly query: string
  readonly told: Told[] = []
  /** Everything behind this version is to be told. */
  start = 0
  /** The last version it has seen. */
  seen = 0
  /** Connections it has had. */
  connections = 0
  readonly #options: WatchOptions
  #stopped = false

  constructor(options: WatchOptions) {
    this.#options = options
    this.kind = options.kind
    this.query = options.query
  }
  /** Until it is stopped. */
  async run(): Promise<void> {
    const { server, clock } = this.#options
    while (!this.#stopped) {
      const one = server()
      if (one !== undefined && this.connections === 0) this.start = this.seen = one.views.of(this.kind).objects.sequence
      if (one !== undefined) await this.#connect(one)
      await sleep(clock, AGAIN_MS)
    }
  }
  stop(): void {
    this.#stopped = true
  }
  async #connect(served: Served): Promise<void> {
    const { clock, kind, query, lasts } = this.#options
    // Ahead of a server that is behind, the client is told to come again.
    const gone = new Promise<false>((resolve) => served.process.onEnd(() => resolve(false)))
    const ready = waitForVersion(served.views.of(kind), String(this.seen)).then(
      () => true,
      () => false
    )
    if (!(await Promise.race([ready, gone])) || !served.process.alive) return
    this.connections += 1
    let rest = ''
    const wire = new Wire(clock, served.process, (text) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop() as string
      for (const line of lines) this.#take(line)
    })
    const over = new Promise<void>((resolve) => wire.once('close', resolve))
    served.connect(wire)
    clock.after(lasts(), () => wire.cut())
    const selection = selectionOf(kind, new URLSearchParams(query), '')
    const request = {
      kind,
      namespace: 'default',
      selection,
      representation: { form: 'object', include: 'None' },
      from: this.seen,
      initialEvents: false,
      bookmarks: true,
      timeoutSeconds: 600
    } as const
    served.process.enter(() => void served.fanout.serve(request, wire as unknown as ServerResponse))
    await over
  }
  #take(line: string): void {
    const { onFault, kind } = this.#options
    const { type, object } = JSON.parse(line) as {
      type: string
      object: { code?: number; message?: string; metadata: { name: string; resourceVersion: string } }
    }
    if (type === 'ERROR') return onFault(`a watch of ${kind.resource} ended with ${object.code}: ${object.message}`)
    const sequence = Number(object.metadata.resourceVersion)
    if (type === 'BOOKMARK') {
      if (sequence < this.seen) onFault(`a watch of ${kind.resource} was told to go on from ${sequence}, and had seen ${this.seen}`)
    } else {
      if (sequence <= this.seen)
        onFault(`a watch of ${kind.resource} was told ${type} ${object.metadata.name} at ${sequence}, and had seen ${this.seen}`)
      this.told.push({ type, name: object.metadata.name, sequence })
    }
    this.seen = Math.max(this.seen, sequence)
  }
}
