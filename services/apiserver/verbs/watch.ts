/**
 * watch: one subscription per view fans every change out to the watchers of its collection. Each line is made once
 * per form and shared by everybody who reads that form.
 */
import { Buffer } from 'node:buffer'
import type { ServerResponse } from 'node:http'
import type { Kind } from '#events/Kind.ts'
import { resourceId } from '#events/Key.ts'
import type { LogEntry } from '#events/Log.ts'
import { compactedText } from '#events/compaction.ts'
import { expired, Refusal, type Status } from '#events/Refusal.ts'
import { keyOfSubject } from '#events/Subject.ts'
import type { Change, Entry } from '#projections/Objects.ts'
import type { Clock, Timer } from '../../platform/Clock.ts'
import type { View } from '../../platform/View.ts'
import { objectText, rowText, tableText, type Representation } from '../http/representation.ts'
import { apiVersionOf } from '../request/decode.ts'
import { entryOf } from '../time-travel/Reader.ts'
import type { Selection } from './read.ts'

type EventType = 'ADDED' | 'MODIFIED' | 'DELETED'

/** What a slow client may have waiting; beyond it its watch ends, and it comes back where it was. */
const BUFFERED_MAX = 8 * 1024 * 1024
const BOOKMARK_MS = 60_000
/** As upstream: between half an hour and an hour when the client names no timeout. */
const SHORTEST_MS = 30 * 60_000

export interface WatchRequest {
  readonly kind: Kind
  readonly namespace: string | undefined
  readonly selection: Selection
  readonly representation: Representation
  /** Undefined or 0: what there is, then what comes. */
  readonly from: number | undefined
  /** WatchList (KEP-3157): the present objects as a burst, ended by an annotated bookmark. */
  readonly initialEvents: boolean
  readonly bookmarks: boolean
  readonly timeoutSeconds: number | undefined
}

interface Watcher extends WatchRequest {
  readonly response: ServerResponse
  /** Changes up to here are sent. */
  sent: number
  /** Held back while older changes are read from the log. */
  held: Change[] | undefined
  sentColumns: boolean
  end(): void
}

/** The watchers of one view. */
export class Fanout {
  readonly #view: View
  readonly #clock: Clock
  readonly #watchers = new Map<string, Set<Watcher>>()

  constructor(view: View, clock: Clock) {
    this.#view = view
    this.#clock = clock
    view.subscribe((change) => this.#deliver(change))
  }
  /** Ends every watch cleanly: the server is going down. */
  close(): void {
    for (const watchers of this.#watchers.values()) for (const watcher of [...watchers]) watcher.end()
  }
  #deliver(change: Change): void {
    const watchers = this.#watchers.get(resourceId(change.entry.key))
    if (watchers === undefined || watchers.size === 0) return
    const lines = new Map<string, Buffer>()
    for (const watcher of watchers) this.#offer(watcher, change, lines)
  }
  #offer(watcher: Watcher, change: Change, lines: Map<string, Buffer>): void {
    if (watcher.namespace !== undefined && change.entry.key.namespace !== watcher.namespace) return
    if (watcher.held !== undefined) return void watcher.held.push(change)
    if (change.entry.sequence <= watcher.sent) return
    watcher.sent = change.entry.sequence
    const type = typeFor(watcher.selection, change)
    if (type === undefined) return
    this.#write(watcher, this.#line(watcher, type, change.entry, lines))
  }
  #line(watcher: Watcher, type: EventType, entry: Entry, lines: Map<string, Buffer>): Buffer {
    const { form, include } = watcher.representation
    const columns = form === 'table' && !watcher.sentColumns
    if (columns) watcher.sentColumns = true
    const key = `${type}/${form}/${include}/${columns}`
    let line = lines.get(key)
    if (line === undefined) lines.set(key, (line = Buffer.from(lineText(watcher.kind, type, entry, watcher.representation, columns, this.#clock.now()))))
    return line
  }
  #write(watcher: Watcher, line: Buffer | string): void {
    watcher.response.write(line)
    if (watcher.response.writableLength > BUFFERED_MAX) watcher.end()
  }
  async serve(request: WatchRequest, response: ServerResponse): Promise<void> {
    const { kind } = request
    response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-cache, private' })
    response.flushHeaders()
    const id = resourceId(kind)
    let watchers = this.#watchers.get(id)
    if (watchers === undefined) this.#watchers.set(id, (watchers = new Set()))
    const own = watchers
    const timers: Timer[] = []
    let ended = false
    const watcher: Watcher = {
      ...request,
      response,
      sent: request.from ?? 0,
      held: [],
      sentColumns: false,
      end: () => {
        if (ended) return
        ended = true
        own.delete(watcher)
        for (const timer of timers) timer.cancel()
        response.end()
      }
    }
    own.add(watcher)
    response.on('close', () => watcher.end())
    response.on('error', () => watcher.end())
    const timeout = request.timeoutSeconds === undefined || request.timeoutSeconds === 0 ? SHORTEST_MS * (1 + this.#clock.random()) : request.timeoutSeconds * 1000
    timers.push(this.#clock.after(Math.min(timeout, 2 ** 31 - 1), () => watcher.end()))
    try {
      await this.#catchUp(watcher)
    } catch (error) {
      const status: Status = error instanceof Refusal ? error.status : new Refusal(410, 'Expired', `too old resource version: ${request.from}`).status
      this.#write(watcher, `${JSON.stringify({ type: 'ERROR', object: status })}\n`)
      watcher.end()
      return
    }
    if (request.bookmarks) {
      const again = (): void => {
        this.#write(watcher, bookmark(kind, Math.max(watcher.sent, this.#view.objects.sequence), watcher.representation, false))
        timers[1] = this.#clock.after(BOOKMARK_MS, again)
      }
      timers[1] = this.#clock.after(BOOKMARK_MS, again)
    }
  }
  /** Sends what happened before now; afterwards the watcher is live. */
  async #catchUp(watcher: Watcher): Promise<void> {
    const { kind, namespace, selection, from } = watcher
    if (from === undefined || from === 0 || watcher.initialEvents) {
      for (const entry of this.#view.objects.collection(kind).list(namespace)) if (selection.all || selection.matches(entry)) this.#write(watcher, this.#line(watcher, 'ADDED', entry, new Map()))
      watcher.sent = this.#view.objects.sequence
      if (watcher.initialEvents) this.#write(watcher, bookmark(kind, watcher.sent, watcher.representation, true))
    } else {
      const recent = this.#view.window.since(kind, from)
      const missed = recent ?? (await this.#fromLog(watcher, from))
      for (const change of missed) {
        if (namespace !== undefined && change.entry.key.namespace !== namespace) continue
        const type = typeFor(selection, change)
        if (type !== undefined) this.#write(watcher, this.#line(watcher, type, change.entry, new Map()))
        watcher.sent = change.entry.sequence
      }
    }
    const held = watcher.held ?? []
    watcher.held = undefined
    for (const change of held) this.#offer(watcher, change, new Map())
  }
  /** Older than the window: the log has it. Watches never expire while their start is in the log. */
  async #fromLog(watcher: Watcher, from: number): Promise<readonly Change[]> {
    this.#reaches(from)
    const changes = await this.#read(watcher, from)
    // What was compacted meanwhile may be missing among them.
    this.#reaches(from)
    return changes
  }
  #reaches(from: number): void {
    const { floor, floorTime } = this.#view
    if (from < floor) throw expired(`too old resource version: ${from} (${floor}): ${compactedText(floor, floorTime)}`)
  }
  #read(watcher: Watcher, from: number): Promise<readonly Change[]> {
    const { stream, log, objects } = this.#view
    const id = resourceId(watcher.kind)
    return new Promise((resolve, reject) => {
      const stored: LogEntry[] = []
      const target = objects.sequence
      const finish = (): void => {
        subscription.close()
        this.#changes(stored).then(resolve, reject)
      }
      const subscription = log.follow({
        from: from + 1,
        onEntries: (entries) => {
          for (const entry of entries) {
            if (entry.sequence > target) break
            const key = keyOfSubject(stream, entry.subject)
            if (key !== undefined && resourceId(key) === id) stored.push(entry)
          }
          if ((entries.at(-1)?.sequence ?? 0) >= target) finish()
        },
        onCaughtUp: finish,
        onFailed: reject
      })
    })
  }
  async #changes(stored: readonly LogEntry[]): Promise<readonly Change[]> {
    const { stream, log } = this.#view
    const before = new Map<string, Entry>()
    const changes: Change[] = []
    for (const raw of stored) {
      const entry = entryOf(stream, raw)
      let previous = before.get(entry.id)
      if (previous === undefined && entry.facts.expected > 0) {
        const older = await log.get(entry.facts.expected, raw.subject)
        if (older !== undefined && older.headers['reckon-deleted'] !== 'true') previous = entryOf(stream, older)
      }
      changes.push({ type: entry.facts.deleted ? 'DELETED' : previous === undefined ? 'ADDED' : 'MODIFIED', entry, previous })
      if (entry.facts.deleted) before.delete(entry.id)
      else before.set(entry.id, entry)
    }
    return changes
  }
}

/** What a change is to somebody who selects: an object that begins to match is added, one that ceases to is deleted. */
const typeFor = (selection: Selection, { type, entry, previous }: Change): EventType | undefined => {
  if (selection.all) return type
  const is = type !== 'DELETED' && selection.matches(entry)
  const was = previous !== undefined && selection.matches(previous)
  if (type === 'DELETED') return was || selection.matches(entry) ? 'DELETED' : undefined
  if (is) return was ? 'MODIFIED' : 'ADDED'
  return was ? 'DELETED' : undefined
}

const lineText = (kind: Kind, type: EventType, entry: Entry, representation: Representation, columns: boolean, now: number): string => {
  const object =
    representation.form === 'table'
      ? tableText(kind, [rowText(kind, entry, representation.include, now)], { resourceVersion: String(entry.sequence) }, columns)
      : objectText(kind, entry, representation, now)
  return `{"type":"${type}","object":${object.trimEnd()}}\n`
}

const bookmark = (kind: Kind, sequence: number, { form }: Representation, initial: boolean): string => {
  const metadata = { resourceVersion: String(sequence), creationTimestamp: null, ...(initial ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}) }
  const plain = { kind: form === 'object' ? kind.kind : 'PartialObjectMetadata', apiVersion: form === 'object' ? apiVersionOf(kind) : 'meta.k8s.io/v1', metadata }
  const object = form === 'table' ? { kind: 'Table', apiVersion: 'meta.k8s.io/v1', metadata: { resourceVersion: String(sequence) }, columnDefinitions: [], rows: [{ cells: [], object: plain }] } : plain
  return `${JSON.stringify({ type: 'BOOKMARK', object })}\n`
}
