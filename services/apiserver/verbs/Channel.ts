/**
 * The watchers who are told exactly the same: each line is made once, kept until all of them have taken it, and every
 * watcher is only a place in that queue. A slow one costs what the queue holds for it, not a copy of it.
 */
import { Buffer } from 'node:buffer'
import type { Line, Outlet } from '#services/apiserver/http/Outlet.ts'
import { SLICE } from '#services/apiserver/http/slices.ts'
import type { WatchRequest } from './watch.ts'

/** A line that several channels may hold; counted once. */
export interface SharedLine extends Line {
  /** Of the change it tells. */
  readonly sequence: number
  /** Of what expired: how many had by then; 0 of every other change. */
  readonly expired: number
  holders: number
}

/** One client's watch, whether it catches up or is told with the others. */
export interface Watcher {
  readonly request: WatchRequest
  readonly outlet: Outlet
  /** A table's columns have gone out, with its first row. */
  columns: boolean
  member: Member | undefined
  /** What had expired when it was last told: so many. */
  expired: number
}

export interface Member {
  readonly watcher: Watcher
  readonly outlet: Outlet
  readonly channel: Channel
  /** All changes up to here are told. */
  position: number
  /** The next line, by number, and how much of it is sent. */
  next: number
  sent: number
  /** Bytes of the channel before the next line. */
  place: number
  /** Sent before the next line: a table's first row, which carries the columns. */
  first: Line | undefined
  /** When it gets a bookmark if nothing else happens, milliseconds. */
  bookmarkAt: number
}

export class Channel {
  readonly key: string
  readonly request: WatchRequest
  readonly members = new Set<Member>()
  /** Those whose client does not take what it is given. */
  readonly lagging = new Set<Member>()
  /** Of a table: those who have not got its columns yet. */
  readonly #fresh = new Set<Member>()
  readonly #onHeld: (bytes: number) => void
  readonly #lines: SharedLine[] = []
  /** Number of the first line that is held. */
  #first = 0
  /** Bytes of all lines there ever were. */
  #end = 0
  /** Several lines as one buffer, for the watchers who are at the same place: most of them. */
  #joined: { from: number; to: number; framed: boolean; bytes: Buffer } | undefined

  constructor(key: string, request: WatchRequest, onHeld: (bytes: number) => void) {
    this.key = key
    this.request = request
    this.#onHeld = onHeld
  }
  /** The number the next line will have. */
  get head(): number {
    return this.#first + this.#lines.length
  }
  behind(member: Member): number {
    return this.#end - member.place
  }
  /** From the next line on; everything before is told. */
  join(watcher: Watcher, position: number, bookmarkAt: number): Member {
    const member: Member = {
      watcher,
      outlet: watcher.outlet,
      channel: this,
      position,
      next: this.head,
      sent: 0,
      place: this.#end,
      first: undefined,
      bookmarkAt
    }
    this.members.add(member)
    if (this.request.representation.form === 'table' && !watcher.columns) this.#fresh.add(member)
    return member
  }
  /** Returns the rest of a line that is half sent, as it goes on the wire; the member is behind that line. */
  leave(member: Member): Buffer | undefined {
    const half =
      member.sent > 0 ? this.#bytes(member, this.#lines[member.next - this.#first] as SharedLine).subarray(member.sent) : undefined
    const rest = member.first === undefined ? half : member.outlet.framed ? member.first.framed : member.first.raw
    if (half !== undefined) this.#skip(member)
    this.members.delete(member)
    this.lagging.delete(member)
    this.#fresh.delete(member)
    this.trim()
    return rest
  }
  /** `withColumns` makes the line for who has not got the columns. */
  push(line: SharedLine, withColumns: () => Line): void {
    if (line.holders++ === 0) this.#onHeld(line.raw.length)
    this.#lines.push(line)
    this.#end += line.raw.length
    if (this.#fresh.size === 0) return
    const first = withColumns()
    for (const member of this.#fresh) {
      member.watcher.columns = true
      member.first = first
      this.#skip(member)
    }
    this.#fresh.clear()
  }
  /** Past the next line without sending it. */
  #skip(member: Member): void {
    const line = this.#lines[member.next - this.#first] as SharedLine
    // What expires is told by no event of its own: its line names a place long past.
    member.position = Math.max(member.position, line.sequence)
    member.watcher.expired = Math.max(member.watcher.expired, line.expired)
    member.place += line.raw.length
    member.next += 1
  }
  /** Gives a watcher what it has not got yet, until its client has enough waiting. */
  pump(member: Member): void {
    if (member.first !== undefined) {
      const line = member.first
      member.first = undefined
      if (!member.outlet.line(line)) return void this.lagging.add(member)
    }
    while (member.next < this.head) if (!member.outlet.send(this.#piece(member))) return void this.lagging.add(member)
    this.lagging.delete(member)
  }
  /** Somebody who takes what it is given has not been given all. */
  waits(): boolean {
    for (const member of this.members) if (member.next < this.head && !this.lagging.has(member)) return true
    return false
  }
  /** Lets go of the lines everybody has. */
  trim(): void {
    if (this.#lines.length === 0) return
    let low = this.head
    for (const { next } of this.members) if (next < low) low = next
    if (low === this.#first) return
    for (const line of this.#lines.splice(0, low - this.#first)) if (--line.holders === 0) this.#onHeld(-line.raw.length)
    this.#first = low
    this.#joined = undefined
  }
  /** What to send next, at most about a slice of it; the member is behind it afterwards. */
  #piece(member: Member): Buffer {
    const at = member.next - this.#first
    const whole = this.#bytes(member, this.#lines[at] as SharedLine)
    if (whole.length - member.sent > SLICE) {
      const piece = whole.subarray(member.sent, member.sent + SLICE)
      member.sent += SLICE
      return piece
    }
    if (member.sent > 0 || at === this.#lines.length - 1) {
      const piece = whole.subarray(member.sent)
      member.sent = 0
      this.#skip(member)
      return piece
    }
    return this.#several(member)
  }
  #bytes({ outlet }: Member, line: Line): Buffer {
    return outlet.framed ? line.framed : line.raw
  }
  #several(member: Member): Buffer {
    const { framed } = member.outlet
    const from = member.next
    let joined = this.#joined
    if (joined === undefined || joined.from !== from || joined.framed !== framed) {
      const parts: Buffer[] = []
      let size = 0
      for (const line of this.#lines.slice(from - this.#first)) {
        const bytes = this.#bytes(member, line)
        if (size > 0 && size + bytes.length > SLICE) break
        parts.push(bytes)
        size += bytes.length
      }
      joined = { from, to: from + parts.length, framed, bytes: parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts, size) }
      this.#joined = joined
    }
    while (member.next < joined.to) this.#skip(member)
    return joined.bytes
  }
}
