/**
 * The watchers of one view: what was before they came, at their own pace; then every change, to everybody in the same turn.
 *
 * While it catches up nothing is held for a watcher: the window has what happens meanwhile, and the log what the window has
 * let go. It is live from the moment nothing is left to catch up with, and when it falls too far behind it catches up again.
 * Ending a slow watch, as upstream must, would only make its client ask for the same over a new connection.
 */
import { Buffer } from 'node:buffer'
import type { ServerResponse } from 'node:http'
import { collectionOf, type Kind } from '#events/Kind.ts'
import { resourceId, type ResourceRef } from '#events/Key.ts'
import { Refusal } from '#events/Refusal.ts'
import type { Change } from '#projections/Objects.ts'
import type { Window } from '#projections/Window.ts'
import type { Clock, Timer } from '#services/platform/Clock.ts'
import type { PastIndex } from '#services/platform/past/PastIndex.ts'
import type { View } from '#services/platform/View.ts'
import { lineOf, type Outlet, type Outlets } from '#services/apiserver/http/Outlet.ts'
import { listingSlices, Packer, SLICE } from '#services/apiserver/http/slices.ts'
import { presentListing } from '#services/apiserver/time-travel/Listing.ts'
import type { Versions } from '#services/apiserver/time-travel/Versions.ts'
import type { Backlog, Straggler } from './Backlog.ts'
import { Channel, type Member, type SharedLine, type Watcher } from './Channel.ts'
import { Expiries } from './Expiries.ts'
import { checkReach, replay, type Told } from './replay.ts'
import { bookmarkText, errorText, lineText, timeoutMs, typeFor, type WatchRequest } from './watch.ts'

/** What a watch that begins recently is answered from, in memory; EVENTS changes most. */
const WINDOW_CHANGES = 16_384
const WINDOW_BYTES = { EVENTS: 24 * 1024 * 1024, NOTICES: 6 * 1024 * 1024, PULSE: 6 * 1024 * 1024 } as const
/** Watchers written to before others get a turn. */
const PER_TURN = 512
const BOOKMARK_MS = 60_000
/** How often bookmarks are looked for. */
const TICK_MS = 5_000
/** As upstream: between half an hour and an hour when the client names no timeout. */
const SHORTEST_MS = 30 * 60_000

export interface FanoutOptions {
  readonly view: View
  readonly history: PastIndex
  readonly versions: Versions
  readonly clock: Clock
  readonly outlets: Outlets
  readonly backlog: Backlog
  readonly onError: (error: unknown) => void
  /** Runs a task soon, in a turn of its own. */
  readonly soon?: (task: () => void) => void
}

const kindIds = new WeakMap<Kind, number>()
let lastKindId = 0
/** Versions of a kind, and what it was before its definition changed, tell the same change in other words. */
const kindId = (kind: Kind): number => {
  let id = kindIds.get(kind)
  if (id === undefined) kindIds.set(kind, (id = ++lastKindId))
  return id
}

/** A change on its way to the watchers. */
interface Arrived {
  readonly change: Change
  /** How many had expired with it. */
  readonly expired: number
}

export class Fanout {
  readonly #options: FanoutOptions
  readonly #view: View
  readonly #clock: Clock
  readonly #window: Window
  readonly #soon: (task: () => void) => void
  /** By collection, then by what exactly is told. */
  readonly #channels = new Map<string, Map<string, Channel>>()
  /** The collection each is about. */
  readonly #open = new Map<Outlet, string>()
  #pending: Arrived[] = []
  readonly #expired = new Expiries()
  /** Channels whose watchers are being written to, and how far. */
  #rounds = new Map<Channel, Iterator<Member>>()
  #scheduled = false
  #ticking: Timer | undefined

  constructor(options: FanoutOptions) {
    const { view } = options
    this.#options = options
    this.#view = view
    this.#clock = options.clock
    this.#soon = options.soon ?? setImmediate
    this.#window = view.remember({ changes: WINDOW_CHANGES, bytes: WINDOW_BYTES[view.stream] })
    options.backlog.add(() => this.#slowest())
    view.subscribe((change) => {
      if (change.expired === true) this.#expired.add(change)
      if (this.#channels.get(resourceId(change.entry.key)) === undefined) return
      this.#pending.push({ change, expired: this.#expired.count })
      this.#schedule()
    })
  }
  /** Ends every watch cleanly: the server is going down. */
  close(): void {
    this.#ticking?.cancel()
    for (const outlet of [...this.#open.keys()]) outlet.end()
  }
  /** Ends the watches of a collection, after what they are to be told: its kind is another one now, or none. */
  end(ref: ResourceRef): void {
    const collection = resourceId(ref)
    this.#append()
    this.#write()
    for (const [outlet, about] of [...this.#open]) if (about === collection) outlet.end()
  }
  /** Serves one watch; resolves when it is live, or over. */
  async serve(request: WatchRequest, response: ServerResponse): Promise<void> {
    const outlet = this.#options.outlets.open(response)
    const watcher: Watcher = { request, outlet, columns: false, member: undefined, expired: this.#expired.count }
    const timer = this.#clock.after(timeoutMs(request.timeoutSeconds, SHORTEST_MS * (1 + this.#clock.random())), () => outlet.end())
    this.#open.set(outlet, resourceId(collectionOf(request.kind)))
    outlet.onOver = () => {
      timer.cancel()
      this.#open.delete(outlet)
      this.#leave(watcher)
    }
    outlet.begin(200, { 'content-type': 'application/json', 'cache-control': 'no-cache, private' })
    await this.#orEnd(outlet, async () => {
      const { from, initialEvents } = request
      const position = from === undefined || initialEvents ? this.#view.objects.sequence : from
      if ((from === undefined || initialEvents) && !(await outlet.pour(this.#present(watcher)))) return
      await this.#catchUp(watcher, position)
    })
  }
  async #orEnd(outlet: Outlet, run: () => Promise<void>): Promise<void> {
    try {
      await run()
    } catch (error) {
      if (error instanceof Refusal) outlet.write(Buffer.from(errorText(error)))
      // Ended without a word, the client comes back to where it was.
      else this.#options.onError(error)
      outlet.end()
    }
  }
  /** What there is, and for a WatchList the bookmark that ends it. */
  #present(watcher: Watcher): AsyncGenerator<Buffer> {
    const { kind, namespace, selection, initialEvents, representation } = watcher.request
    const { versions } = this.#options
    const listing = presentListing(this.#view, versions, collectionOf(kind), namespace)
    const tail = initialEvents ? bookmarkText(kind, this.#view.objects.sequence, representation, true) : ''
    const part = { listing, from: 0, to: listing.size, matches: selection.all ? undefined : selection.matches }
    return listingSlices(part, { head: '', between: '', tail, item: (entry) => this.#text(watcher, { type: 'ADDED', entry }) }, this.#clock)
  }
  /** Tells what happened since, and joins the watcher to the others in the turn in which nothing is left of that. */
  async #catchUp(watcher: Watcher, from: number): Promise<void> {
    const { request, outlet } = watcher
    const packer = new Packer()
    for (let position = from; ;) {
      const recent = this.#window.since(collectionOf(request.kind), position, SLICE)
      if (recent === undefined) {
        const to = this.#view.objects.sequence
        if (!(await this.#fromLog(watcher, position, to))) return
        position = to
        continue
      }
      for (const change of recent.changes) {
        if (request.namespace !== undefined && change.entry.key.namespace !== request.namespace) continue
        const type = typeFor(request.selection, change)
        if (type !== undefined) packer.add(this.#text(watcher, { type, entry: change.entry }))
      }
      position = recent.upTo
      if (recent.last && packer.empty) this.#addExpired(watcher, packer)
      if (!packer.empty) {
        if (!(await outlet.pour(packer.all()))) return
      } else if (recent.last) return this.#join(watcher)
    }
  }
  /** What expired since the watcher was last told. After too much of it the client lists again. */
  #addExpired(watcher: Watcher, packer: Packer): void {
    const { kind, namespace, selection } = watcher.request
    const missed = this.#expired.since(watcher.expired)
    watcher.expired = this.#expired.count
    for (const change of missed) {
      const { key } = change.entry
      if (resourceId(key) !== resourceId(collectionOf(kind)) || (namespace !== undefined && key.namespace !== namespace)) continue
      const type = typeFor(selection, change)
      if (type !== undefined) packer.add(this.#text(watcher, { type, entry: change.entry }))
    }
  }
  /** Older than the window: the log has it. Watches never expire while their start is in the log. */
  async #fromLog(watcher: Watcher, from: number, to: number): Promise<boolean> {
    const { request, outlet } = watcher
    const { backlog, versions, history } = this.#options
    const past = { view: this.#view, history, versions }
    await checkReach(past, from)
    const batches = replay(past, request, from + 1, to)
    const packer = new Packer()
    try {
      for (;;) {
        const turn = await backlog.replays.take()
        try {
          const next = await backlog.reads.during(() => batches.next())
          if (next.done === true) return !outlet.closed
          for (const told of next.value) packer.add(this.#text(watcher, told))
          if (!(await outlet.pour(packer.all()))) return false
        } finally {
          turn.release()
        }
      }
    } finally {
      await batches.return(undefined)
    }
  }
  /** A line for one watcher who catches up. */
  #text(watcher: Watcher, { type, entry }: Told): string {
    const { kind, representation } = watcher.request
    const text = lineText(kind, type, entry, representation, !watcher.columns, this.#clock.now())
    watcher.columns = true
    return text
  }
  #join(watcher: Watcher): void {
    // What waits to be told is what the watcher has just caught up with.
    this.#append()
    const { kind, namespace, selection, representation, bookmarks } = watcher.request
    const collection = resourceId(collectionOf(kind))
    let channels = this.#channels.get(collection)
    if (channels === undefined) this.#channels.set(collection, (channels = new Map()))
    const key = `${kindId(kind)} ${namespace ?? '*'} ${representation.form} ${representation.include} ${selection.id}`
    let channel = channels.get(key)
    if (channel === undefined)
      channels.set(key, (channel = new Channel(key, watcher.request, (bytes) => this.#options.backlog.held(bytes))))
    const joined = channel
    watcher.expired = this.#expired.count
    const member = joined.join(watcher, this.#view.objects.sequence, this.#clock.now() + BOOKMARK_MS * (0.5 + this.#clock.random() / 2))
    watcher.member = member
    watcher.outlet.onDrain = () => {
      joined.pump(member)
      joined.trim()
    }
    if (bookmarks) this.#ticking ??= this.#clock.after(TICK_MS, () => this.#tick())
  }
  /** Returns the rest of the line that is half sent. */
  #leave(watcher: Watcher): Buffer | undefined {
    const { member, outlet } = watcher
    if (member === undefined) return undefined
    watcher.member = undefined
    outlet.onDrain = () => {}
    const { channel } = member
    const rest = channel.leave(member)
    if (channel.members.size > 0) return rest
    const collection = resourceId(collectionOf(channel.request.kind))
    const channels = this.#channels.get(collection)
    channels?.delete(channel.key)
    if (channels?.size === 0) this.#channels.delete(collection)
    return rest
  }
  /** Nothing is kept any longer for who is too far behind: it goes on by itself, from the window or the log. */
  #fallBehind(member: Member): void {
    const { watcher, outlet } = member
    const rest = this.#leave(watcher)
    void this.#orEnd(outlet, async () => {
      if (rest !== undefined) outlet.send(rest)
      if (await outlet.ready()) await this.#catchUp(watcher, member.position)
    })
  }
  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#soon(() => {
      this.#scheduled = false
      this.#append()
      this.#write()
    })
  }
  /** Makes the lines of the changes that wait. */
  #append(): void {
    if (this.#pending.length === 0) return
    const pending = this.#pending
    this.#pending = []
    for (const { change, expired } of pending) {
      const { key } = change.entry
      const made = new Map<string, SharedLine>()
      for (const channel of this.#channels.get(resourceId(key))?.values() ?? []) {
        const { request } = channel
        if (request.namespace !== undefined && key.namespace !== request.namespace) continue
        const type = typeFor(request.selection, change)
        if (type === undefined) continue
        const make = (columns: boolean): SharedLine => ({
          ...lineOf(lineText(request.kind, type, change.entry, request.representation, columns, this.#clock.now())),
          sequence: change.entry.sequence,
          expired: change.expired === true ? expired : 0,
          holders: 0
        })
        const form = `${kindId(request.kind)}/${type}/${request.representation.form}/${request.representation.include}`
        let line = made.get(form)
        if (line === undefined) made.set(form, (line = make(false)))
        channel.push(line, () => make(true))
        if (!this.#rounds.has(channel)) this.#rounds.set(channel, channel.members.values())
      }
    }
  }
  /** Gives the watchers what they have not got yet, some hundred of them in one turn. */
  #write(): void {
    let left = PER_TURN
    for (const [channel, members] of this.#rounds) {
      let next: IteratorResult<Member> | undefined
      while (left-- > 0 && (next = members.next()).done !== true) if (!channel.lagging.has(next.value)) channel.pump(next.value)
      if (next?.done !== true) break
      this.#rounds.delete(channel)
      // Those at the beginning of the round have missed what came while it went on.
      if (channel.waits()) this.#rounds.set(channel, channel.members.values())
      channel.trim()
      for (const member of channel.lagging) if (channel.behind(member) > this.#options.backlog.behind) this.#fallBehind(member)
    }
    this.#options.backlog.settle()
    if (this.#rounds.size > 0) this.#schedule()
  }
  #slowest(): Straggler | undefined {
    let slowest: Member | undefined
    let most = 0
    for (const channels of this.#channels.values())
      for (const channel of channels.values())
        for (const member of channel.lagging) {
          const behind = channel.behind(member)
          if (behind > most) [slowest, most] = [member, behind]
        }
    const found = slowest
    return found === undefined ? undefined : { behind: most, leave: () => this.#fallBehind(found) }
  }
  /** Tells quiet watchers how far they are. */
  #tick(): void {
    this.#ticking = undefined
    const now = this.#clock.now()
    this.#append()
    let wanted = false
    for (const channels of this.#channels.values())
      for (const channel of channels.values())
        for (const member of channel.members) {
          const { kind, representation, bookmarks } = member.watcher.request
          if (!bookmarks) continue
          wanted = true
          if (member.bookmarkAt > now || channel.lagging.has(member) || member.next < channel.head) continue
          member.bookmarkAt = now + BOOKMARK_MS
          if (!member.outlet.write(Buffer.from(bookmarkText(kind, this.#view.objects.sequence, representation))))
            channel.lagging.add(member)
        }
    if (wanted) this.#ticking = this.#clock.after(TICK_MS, () => this.#tick())
  }
}
