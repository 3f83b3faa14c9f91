/** The log's integrity: seals, the chain, what a home remembers, and what is made of a log that is not what it was. */
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeFacts, encodeEvent, headersAgain, type NewEvent } from '#events/Event.ts'
import { LogDamaged, type Append, type Damage, type LogEntry, type LogState } from '#events/Log.ts'
import { subjectOf } from '#events/Subject.ts'
import { Base } from '#projections/Base.ts'
import { anchorOf, Chain, textOfAnchor } from '#projections/Chain.ts'
import { FileLedger, writeRecord } from '#services/platform/ledger/FileLedger.ts'
import { Integrity, MARK_EVERY } from '#services/platform/ledger/Integrity.ts'
import { MemoryLedger, type Floor, type Ledger } from '#services/platform/ledger/Ledger.ts'
import { Seal, SEALED_HEADERS, sha256 } from '#services/platform/ledger/Seal.ts'

const seal = new Seal(new Map([['k1', Buffer.alloc(32, 7)]]))
const IDENTITY = 'this-log'

const event = (name: string, expected = 0, more: Partial<NewEvent> = {}): NewEvent => ({
  stream: 'EVENTS',
  key: { group: '', resource: 'configmaps', namespace: 'default', name },
  id: `intent-${name}-${expected}`,
  type: 'reckon.configmap.created.v1',
  source: 'kubectl',
  time: '2026-01-01T00:00:00.000Z',
  user: 'kubernetes-admin',
  correlationId: `intent-${name}`,
  causationId: 'cause',
  causationRef: 'EVENTS:1',
  verb: 'create',
  command: 'kubectl apply',
  reasons: { because: 'so' },
  deleted: true,
  object: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default' }, data: { a: 'ü' } },
  expected,
  ...more
})

const appendOf = (made: NewEvent): Append => ({ subject: subjectOf(made.stream, made.key), ...encodeEvent(made), expected: made.expected })

/** A stream as an API server writes it: each append sealed on the chain as it stands. */
class Stream {
  readonly entries: LogEntry[] = []
  readonly ledger: Ledger
  integrity: Integrity
  constructor(ledger: Ledger = new MemoryLedger('EVENTS', IDENTITY)) {
    this.ledger = ledger
    this.integrity = reader(this.ledger)
    this.integrity.begin(this.state())
  }
  state(more: Partial<LogState> = {}): LogState {
    const [first, last] = [this.entries[0]?.sequence ?? 1, this.entries.at(-1)?.sequence ?? 0]
    return {
      identity: IDENTITY,
      first,
      last,
      messages: this.entries.length,
      bytes: 0,
      sealedFrom: 1,
      epoch: 0,
      losses: [],
      quarantined: [],
      floor: 0,
      ...more
    }
  }
  write(...names: string[]): void {
    for (const name of names) this.put(this.integrity.seal(appendOf(event(name))))
  }
  put({ subject, headers, text }: Append): void {
    const entry = { subject, headers, text, sequence: (this.entries.at(-1)?.sequence ?? 0) + 1, time: 0 }
    this.entries.push(entry)
    this.integrity.take(entry)
    this.integrity.settle()
  }
}

const reader = (
  ledger: Ledger,
  onForeign: (entry: LogEntry) => void = () => {},
  more: { whole?: boolean; expires?: boolean } = {}
): Integrity => new Integrity({ seal, ledger, whole: true, expires: false, onForeign, ...more })

/** What a reader that starts on these entries makes of each. */
const readAll = (
  ledger: Ledger,
  entries: readonly LogEntry[],
  state: LogState,
  more: { whole?: boolean; expires?: boolean } = {}
): string[] => {
  const integrity = reader(ledger, () => {}, more)
  integrity.begin(state)
  return entries.map((entry) => {
    const verdict = integrity.take(entry)
    integrity.settle()
    return verdict
  })
}

const damageIn = (work: () => unknown): Damage => {
  try {
    work()
  } catch (error) {
    if (error instanceof LogDamaged) return error.damage
    throw error
  }
  throw new Error('nothing was found wrong')
}

const seals = suite('seals')
seals('cover everything that is read back from an event', () => {
  const named = new Set([...SEALED_HEADERS, 'ce-specversion', 'content-type'])
  for (const name of Object.keys(encodeEvent(event('a')).headers)) assert.ok(named.has(name), `${name} is not sealed`)
})
seals('hold for what was written, and for nothing else', () => {
  const written = seal.seal('EVENTS', appendOf(event('a', 3)), '0.2:AAAAAAAAAAAAAAAAAAAAAA')
  const verifies = (entry: Pick<LogEntry, 'subject' | 'headers' | 'text'>, stream = 'EVENTS', by = seal): boolean =>
    by.verifies(by.digest(stream, entry), entry.headers['reckon-mac'])
  assert.ok(verifies(written))
  for (const name of SEALED_HEADERS) {
    if (written.headers[name] !== undefined)
      assert.not(verifies({ ...written, headers: { ...written.headers, [name]: `${written.headers[name]}x` } }), `${name} can be changed`)
    const { [name]: _, ...without } = written.headers
    if (written.headers[name] !== undefined) assert.not(verifies({ ...written, headers: without }), `${name} can be taken away`)
    else assert.not(verifies({ ...written, headers: { ...written.headers, [name]: 'x' } }), `${name} can be added`)
  }
  assert.not(verifies({ ...written, text: written.text.replace('ü', 'u') }))
  assert.not(verifies({ ...written, subject: `${written.subject}x` }))
  assert.not(verifies(written, 'NOTICES'))
  assert.not(verifies(written, 'EVENTS', new Seal(new Map([['k1', Buffer.alloc(32, 8)]]))))
  for (const mac of [undefined, '', 'k1', 'k1:', 'k1:AAAA', 'k2:AAAAAAAAAAAAAAAAAAAAAA', '__proto__:x'])
    assert.not(
      verifies({ ...written, headers: { ...written.headers, ...(mac === undefined ? { 'reckon-mac': '' } : { 'reckon-mac': mac }) } }),
      mac
    )
})
seals('of an older key still hold when there is a newer one, which seals what is new', () => {
  const old = seal.seal('EVENTS', appendOf(event('a')), undefined)
  const both = new Seal(
    new Map([
      ['k1', Buffer.alloc(32, 7)],
      ['k2', Buffer.alloc(32, 9)]
    ])
  )
  assert.ok(both.verifies(both.digest('EVENTS', old), old.headers['reckon-mac']))
  assert.match(both.seal('EVENTS', appendOf(event('a')), undefined).headers['reckon-mac'] as string, /^k2:/)
})
seals('need a whole key', () => {
  assert.throws(() => new Seal(new Map([['k1', Buffer.alloc(16)]])), /32 bytes/)
  assert.throws(() => new Seal(new Map()), /no log key/)
})
seals.run()

const chains = suite('the chain')
const digest = (text: string): Uint8Array => sha256(Buffer.from(text))
chains('depends on every entry, its place and its order', () => {
  const head = (...steps: readonly (readonly [number, string])[]): string => {
    const chain = new Chain(sha256)
    for (const [sequence, text] of steps) chain.extend(sequence, digest(text))
    return textOfAnchor(chain.anchor(0))
  }
  const whole = head([1, 'a'], [2, 'b'], [3, 'c'])
  assert.is(head([1, 'a'], [2, 'b'], [3, 'c']), whole)
  for (const other of [
    head([1, 'a'], [2, 'b']),
    head([1, 'b'], [2, 'a'], [3, 'c']),
    head([1, 'a'], [3, 'c']),
    head([2, 'a'], [3, 'b'], [4, 'c']),
    head([1, 'a'], [2, 'x'], [3, 'c'])
  ])
    assert.is.not(other, whole)
})
chains('agrees with anchors that were true, and with no others', () => {
  const chain = new Chain(sha256)
  const anchors = [chain.anchor(0)]
  for (let n = 1; n <= 100; n++) {
    chain.extend(n, digest(String(n)))
    anchors.push(chain.anchor(0))
  }
  for (const anchor of anchors) assert.is(chain.agrees(anchor), true)
  assert.is(chain.agrees({ ...(anchors[5] as (typeof anchors)[number]), sequence: 6 }), false)
  assert.is(chain.agrees({ epoch: 0, sequence: 101, hash: 'x' }), undefined)
  chain.extend(200, digest('after a hole'))
  assert.is(chain.agrees(anchors[5] as (typeof anchors)[number]), undefined)
})
chains('an anchor comes back from its header as it went in, and nothing else is one', () => {
  const chain = new Chain(sha256)
  chain.extend(1, digest('a'))
  const anchor = chain.anchor(4)
  assert.equal(anchorOf(textOfAnchor(anchor)), anchor)
  for (const text of [undefined, '', '1:x', '1.2:short', `x.1:${anchor.hash}`, `1.2:${anchor.hash}!`]) assert.is(anchorOf(text), undefined)
})
chains.run()

const files = suite("a home's ledger")
const folder = mkdtempSync(join(tmpdir(), 'reckon-ledger-'))
files.after(() => rmSync(folder, { recursive: true, force: true }))
const opened = (stream = 'EVENTS'): FileLedger => new FileLedger(folder, stream)
files.before(() => writeRecord(folder, 'EVENTS', { identity: IDENTITY, made: '2026-01-01T00:00:00Z' }))
files('has the room of its head from the beginning: on a disk that is full meanwhile it is written over', () => {
  writeRecord(folder, 'AUDIT', { identity: IDENTITY, made: '2026-01-01T00:00:00Z' })
  const size = (): number => statSync(join(folder, 'AUDIT.head')).size
  const before = opened('AUDIT').head()
  const room = size()
  assert.ok(room > 0)
  const ledger = opened('AUDIT')
  assert.equal(ledger.head(), before)
  for (let sequence = 1; sequence <= 5; sequence++) ledger.remember({ sequence, hash: digest(String(sequence)) })
  assert.is(size(), room)
  ledger.close()
})
files('remembers the furthest place, its hash, and the marks', () => {
  const ledger = opened()
  for (let sequence = 1; sequence <= 5; sequence++) ledger.remember({ sequence, hash: digest(String(sequence)) })
  ledger.mark({ sequence: 4, hash: digest('4') })
  ledger.close()
  const again = opened()
  assert.equal(again.head(), { sequence: 5, hash: Uint8Array.from(digest('5')) })
  assert.equal(
    again.marks().map(({ sequence }) => sequence),
    [4]
  )
  assert.is(again.identity, IDENTITY)
  again.close()
})
files('a write that was cut short costs only itself', () => {
  const ledger = opened()
  ledger.remember({ sequence: 6, hash: digest('6') })
  ledger.remember({ sequence: 7, hash: digest('7') })
  ledger.close()
  const raw = openSync(join(folder, 'EVENTS.head'), 'r+')
  writeSync(raw, Buffer.from('torn'), 0, 4, 64 * (7 % 2) + 30)
  closeSync(raw)
  const marks = openSync(join(folder, 'EVENTS.marks'), 'a')
  writeSync(marks, Buffer.from('half a mark'))
  closeSync(marks)
  const again = opened()
  assert.is(again.head().sequence, 6)
  assert.equal(
    again.marks().map(({ sequence }) => sequence),
    [4]
  )
  again.close()
})
files('damage stays until somebody deals with it', () => {
  const damage: Damage = { stream: 'EVENTS', kind: 'shorter', ranges: [{ first: 3, last: 7 }], verified: 2, detail: 'gone' }
  const ledger = opened()
  ledger.report(damage)
  ledger.report({ ...damage, detail: 'later' })
  ledger.close()
  const again = opened()
  assert.equal(again.damage(), damage)
  again.close()
  writeRecord(folder, 'EVENTS', { identity: IDENTITY, made: '2026-01-01T00:00:00Z' })
})
files('without a record there is no ledger', () => {
  assert.throws(() => opened('NOTICES'), /is missing/)
})
files.run()

const honest = suite('a reader')
honest('takes a log that is as it was, and goes on remembering', () => {
  const stream = new Stream()
  stream.write('a', 'b', 'c')
  assert.equal(readAll(stream.ledger, stream.entries, stream.state()), ['event', 'event', 'event'])
  assert.is(stream.ledger.head().sequence, 3)
})
honest('refuses a log that is shorter than what was acknowledged', () => {
  const stream = new Stream()
  stream.write('a', 'b', 'c', 'd')
  const damage = damageIn(() => readAll(stream.ledger, stream.entries.slice(0, 2), stream.state({ last: 2, messages: 2 })))
  assert.equal([damage.kind, damage.ranges, damage.verified], ['shorter', [{ first: 3, last: 4 }], 2])
})
honest('takes what is longer: it was stored and not yet seen', () => {
  const stream = new Stream()
  stream.write('a', 'b')
  const other = new Stream()
  for (const entry of stream.entries) other.put(entry)
  other.write('c')
  assert.equal(readAll(stream.ledger, other.entries, other.state()), ['event', 'event', 'event'])
  assert.is(stream.ledger.head().sequence, 3)
})
honest('refuses another log, and one that has no name', () => {
  const stream = new Stream()
  stream.write('a')
  for (const identity of ['another', undefined]) {
    const { identity: _, ...rest } = stream.state()
    assert.is(
      damageIn(() => readAll(stream.ledger, stream.entries, identity === undefined ? rest : { ...rest, identity })).kind,
      'replaced'
    )
  }
})
honest('refuses a log with a hole, before it reads it', () => {
  const stream = new Stream()
  stream.write('a', 'b', 'c', 'd')
  const middle = stream.entries.filter(({ sequence }) => sequence !== 2)
  assert.is(damageIn(() => readAll(stream.ledger, middle, stream.state({ messages: 3 }))).kind, 'hole')
  const beginning = damageIn(() => readAll(stream.ledger, stream.entries.slice(2), stream.state({ first: 3, messages: 2 })))
  assert.equal([beginning.kind, beginning.ranges], ['hole', [{ first: 1, last: 2 }]])
})
honest('passes over holes that somebody has accepted', () => {
  const stream = new Stream()
  stream.write('a', 'b', 'c', 'd')
  const ledger = new MemoryLedger('EVENTS', IDENTITY)
  const left = stream.entries.filter(({ sequence }) => sequence !== 2)
  assert.equal(readAll(ledger, left, stream.state({ messages: 3, epoch: 1, losses: [{ first: 2, last: 2 }] })), ['event', 'event', 'event'])
})
honest('finds the event that is not what was written', () => {
  for (const change of [
    (entry: LogEntry): LogEntry => ({ ...entry, text: entry.text.replace('ü', 'u') }),
    (entry: LogEntry): LogEntry => ({ ...entry, headers: { ...entry.headers, 'ce-authid': 'somebody-else' } })
  ]) {
    const stream = new Stream()
    stream.write('a', 'b', 'c', 'd')
    const damage = damageIn(() =>
      readAll(
        stream.ledger,
        stream.entries.map((entry) => (entry.sequence === 2 ? change(entry) : entry)),
        stream.state()
      )
    )
    assert.equal([damage.kind, damage.ranges, damage.verified], ['altered', [{ first: 2, last: 2 }], 1])
    assert.match(damage.detail, 'event 2 is not what was written')
  }
})
honest('finds events that changed places, though each is sealed', () => {
  const stream = new Stream()
  stream.write('a', 'b', 'c', 'd')
  const [a, b, c, d] = stream.entries as [LogEntry, LogEntry, LogEntry, LogEntry]
  const swapped = [a, { ...c, sequence: 2 }, { ...b, sequence: 3 }, d]
  assert.is(damageIn(() => readAll(new MemoryLedger('EVENTS', IDENTITY), swapped, stream.state())).kind, 'altered')
})
honest('finds a change by what later events say, when nothing else is remembered', () => {
  const stream = new Stream()
  stream.write('a', 'b', 'c')
  // Even one that was sealed anew, by who has the key.
  const forged = seal.seal('EVENTS', appendOf(event('x')), undefined)
  const entries = stream.entries.map((entry) => (entry.sequence === 1 ? { ...entry, ...forged } : entry))
  assert.is(damageIn(() => readAll(new MemoryLedger('EVENTS', IDENTITY), entries, stream.state())).kind, 'altered')
})
honest('passes over what is not ours, tells of it once, and goes on', () => {
  const told: number[] = []
  const stream = new Stream()
  stream.write('a')
  stream.put({ subject: 'ev.core.configmaps.default.evil', headers: {}, text: '{"type":"io.nats.jetstream.api.v1.account_info_response"}' })
  stream.put({ ...appendOf(event('forged')), headers: { ...appendOf(event('forged')).headers, 'reckon-mac': 'k1:AAAAAAAAAAAAAAAAAAAAAA' } })
  stream.write('b')
  const integrity = reader(stream.ledger, ({ sequence }) => told.push(sequence))
  integrity.begin(stream.state())
  assert.equal(
    stream.entries.map((entry) => integrity.take(entry)),
    ['event', 'foreign', 'foreign', 'event']
  )
  assert.equal(told, [2, 3])
})
honest('says nothing more of what was put aside', () => {
  const told: number[] = []
  const stream = new Stream()
  stream.put({ subject: 'ev.core.configmaps.default.evil', headers: {}, text: '' })
  stream.write('b')
  const integrity = reader(stream.ledger, ({ sequence }) => told.push(sequence))
  integrity.begin(stream.state({ quarantined: [1] }))
  assert.equal([stream.entries.map((entry) => integrity.take(entry)), told], [['nothing', 'event'], []])
})
honest('what stands for a lost event is passed over only under our seal', () => {
  const stream = new Stream()
  const filler = { subject: 'ev.reckon%2Eio.losses._.log', headers: { 'reckon-lost': 'true' }, text: '' }
  stream.put(stream.integrity.seal(filler))
  stream.put(filler)
  assert.equal(readAll(stream.ledger, stream.entries, stream.state()), ['nothing', 'foreign'])
})
honest('takes what was written before there were seals, and nothing like it afterwards', () => {
  const old = { ...appendOf(event('old')), sequence: 1, time: 0 }
  const stream = new Stream(new MemoryLedger('EVENTS', IDENTITY))
  stream.put(old)
  stream.put({ ...appendOf(event('late')) })
  assert.equal(readAll(new MemoryLedger('EVENTS', IDENTITY), stream.entries, stream.state({ sealedFrom: 2 })), ['event', 'foreign'])
})
honest('reads only the end, where nothing from before is wanted', () => {
  const stream = new Stream()
  stream.write('a', 'b', 'c')
  const tail = new Integrity({ seal, ledger: stream.ledger, whole: true, expires: true, tail: true })
  assert.is(tail.begin(stream.state()), 3)
  assert.is(tail.take(stream.entries[2] as LogEntry), 'event')
  assert.is(anchorOf(tail.seal(appendOf(event('d'))).headers['reckon-chain'])?.sequence, 3)
  const altered = new Integrity({ seal, ledger: stream.ledger, whole: true, expires: true, tail: true })
  assert.is(damageIn(() => altered.begin(stream.state({ last: 2 }))).kind, 'shorter')
})
honest('refuses a log that was found damaged before, whatever it looks like now', () => {
  const stream = new Stream()
  stream.write('a')
  stream.ledger.report({ stream: 'EVENTS', kind: 'altered', ranges: [], verified: 0, detail: 'found at work' })
  assert.is(damageIn(() => readAll(stream.ledger, stream.entries, stream.state())).detail, 'found at work')
})
honest('marks tell where a long log went wrong', () => {
  const stream = new Stream()
  const count = MARK_EVERY * 2 + 10
  const sealed = stream.integrity.seal(appendOf(event('a')))
  // The same entry over and over: its anchor is the beginning, so only the marks can tell.
  for (let n = 0; n < count; n++) stream.put(sealed)
  assert.equal(
    stream.ledger.marks().map(({ sequence }) => sequence),
    [MARK_EVERY, MARK_EVERY * 2]
  )
  const other = seal.seal('EVENTS', appendOf(event('b')), undefined)
  const damage = damageIn(() =>
    readAll(
      stream.ledger,
      stream.entries.map((entry) => (entry.sequence === MARK_EVERY + 5 ? { ...entry, ...other } : entry)),
      stream.state()
    )
  )
  assert.equal(damage.ranges, [{ first: MARK_EVERY + 1, last: MARK_EVERY * 2 }])
})
honest('of a stream that expires, what is left is whole when it follows on what is remembered', () => {
  const stream = new Stream(new MemoryLedger('NOTICES', IDENTITY))
  stream.integrity = reader(stream.ledger, () => {}, { expires: true })
  stream.integrity.begin(stream.state())
  stream.write('a', 'b', 'c', 'd')
  const state = stream.state({ first: 3, messages: 2 })
  assert.equal(readAll(stream.ledger, stream.entries.slice(2), state, { expires: true }), ['event', 'event'])
  // All of it expired: the chain goes on all the same.
  const integrity = reader(stream.ledger, () => {}, { expires: true })
  integrity.begin(stream.state({ first: 5, messages: 0 }))
  assert.is(anchorOf(integrity.seal(appendOf(event('e'))).headers['reckon-chain'])?.sequence, 4)
  assert.is(
    damageIn(() => readAll(stream.ledger, stream.entries.slice(0, 3), stream.state({ last: 3, messages: 3 }), { expires: true })).kind,
    'shorter'
  )
  assert.is(damageIn(() => readAll(stream.ledger, stream.entries, stream.state({ messages: 3 }), { expires: true })).kind, 'hole')
})
honest('of a part of a stream only the end is held against what is remembered', () => {
  const stream = new Stream()
  stream.write('a', 'b', 'c')
  const part = stream.entries.filter(({ sequence }) => sequence !== 2)
  assert.equal(readAll(stream.ledger, part, stream.state({ messages: 1 }), { whole: false }), ['event', 'event'])
  assert.is(damageIn(() => readAll(stream.ledger, [], stream.state({ last: 2 }), { whole: false })).kind, 'shorter')
})
/** A stream of a..f, compacted behind `c`: what is kept of before, as its readers get it, and what is noted of it. */
const compactedStream = (): {
  readonly stream: Stream
  readonly entries: LogEntry[]
  readonly state: LogState
  readonly ledger: MemoryLedger
  readonly floor: Floor
} => {
  const ledger = new MemoryLedger('EVENTS', IDENTITY)
  const stream = new Stream(ledger)
  const put = (name: string, more: Partial<NewEvent> = {}): void =>
    stream.put(stream.integrity.seal(appendOf(event(name, 0, { deleted: false, ...more }))))
  put('a')
  put('b')
  put('a')
  put('b', { deleted: true })
  put('c')
  const { hash } = stream.ledger.head()
  for (const name of ['d', 'a', 'e']) put(name)
  const base = new Base()
  for (const { subject, sequence, headers, text } of stream.entries.slice(0, 5))
    base.take(subject, sequence, seal.digest('EVENTS', { subject, headers, text }), headers['reckon-deleted'] === 'true')
  const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('base64url')
  const mark = { hash: text(hash), digest: text(base.digest(sha256)), entries: base.entries, time: 0 }
  ledger.raise([{ ...mark, floor: 5 }])
  const entries = stream.entries.filter(({ sequence }) => sequence === 3 || sequence >= 5)
  return {
    stream,
    entries,
    ledger,
    floor: { ...mark, floor: 5 },
    state: stream.state({ first: 6, last: 8, messages: 3, floor: 5, base: mark })
  }
}
honest('takes compacted history for whole: what is kept, and the chain that goes on behind it', () => {
  const { stream, entries, ledger, state } = compactedStream()
  assert.equal(readAll(ledger, entries, state), ['event', 'event', 'event', 'event', 'event'])
  // In the middle of it: the older ones are still there, in part or all.
  for (const list of [
    stream.entries,
    stream.entries.filter(({ sequence }) => sequence !== 1),
    stream.entries.filter(({ sequence }) => sequence > 2)
  ])
    assert.equal(readAll(ledger, list, { ...state, first: 4, messages: 5 }).length, list.length)
  // What is written from here on is tied to all of it.
  const again = reader(ledger)
  again.begin(state)
  for (const entry of entries) again.take(entry)
  assert.is(
    anchorOf(again.seal(appendOf(event('f'))).headers['reckon-chain'])?.hash,
    anchorOf(stream.integrity.seal(appendOf(event('f'))).headers['reckon-chain'])?.hash
  )
})
honest('finds a kept version that is missing, changed, or one too many; and an event behind the floor', () => {
  const { entries, ledger, state } = compactedStream()
  const without = (sequence: number): LogEntry[] => entries.filter((entry) => entry.sequence !== sequence)
  assert.is(damageIn(() => readAll(ledger, without(3), state)).kind, 'hole')
  assert.match(
    damageIn(() => readAll(ledger, without(3), state)).detail,
    '1 of the 2 versions that were kept when history was compacted up to 5 are there'
  )
  const forged = seal.seal('EVENTS', appendOf(event('a', 0, { deleted: false, user: 'somebody-else' })), undefined)
  assert.is(
    damageIn(() =>
      readAll(
        ledger,
        entries.map((entry) => (entry.sequence === 3 ? { ...entry, ...forged } : entry)),
        state
      )
    ).kind,
    'altered'
  )
  const more = { ...seal.seal('EVENTS', appendOf(event('z', 0, { deleted: false })), undefined), sequence: 4, time: 0 }
  assert.is(damageIn(() => readAll(ledger, [entries[0] as LogEntry, more, ...entries.slice(1)], state)).kind, 'altered')
  assert.equal(
    damageIn(() =>
      readAll(
        ledger,
        entries.filter(({ sequence }) => sequence !== 6),
        { ...state, first: 7, messages: 2 }
      )
    ).ranges,
    [{ first: 6, last: 6 }]
  )
  assert.is(
    damageIn(() =>
      readAll(
        ledger,
        entries.map((entry) => (entry.sequence === 7 ? { ...entry, ...forged } : entry)),
        state
      )
    ).kind,
    'altered'
  )
})
honest('finds a beginning that is not the one that was noted', () => {
  const { entries, ledger, state, floor } = compactedStream()
  const { base: _, ...bare } = state
  assert.is(damageIn(() => readAll(ledger, entries, bare)).kind, 'altered')
  assert.is(damageIn(() => readAll(ledger, entries, { ...state, base: { ...floor, digest: 'AAAA' } })).kind, 'altered')
  assert.is(damageIn(() => readAll(ledger, entries, { ...state, base: { ...floor, hash: 'AAAA' } })).kind, 'altered')
  const other = new MemoryLedger('EVENTS', IDENTITY)
  // Who remembers nothing of it (a restored home) takes the stream's word.
  assert.equal(readAll(other, entries, state).length, 5)
})
honest.run()

const again = suite('an entry that is stored again')
again('says what it said and is sealed as it was, though nobody checks its lock a second time', () => {
  const sealed = seal.seal('EVENTS', appendOf(event('a', 7)), '0.2:AAAAAAAAAAAAAAAAAAAAAA')
  const stored = { ...sealed, headers: { ...sealed.headers, 'Nats-Batch-Id': 'x', 'Nats-Batch-Sequence': '2', 'Nats-Rollup': 'all' } }
  const headers = headersAgain(stored.headers)
  assert.equal(
    Object.keys(headers).filter((name) => /^nats-/i.test(name)),
    []
  )
  assert.equal(seal.digest('EVENTS', { ...stored, headers }), seal.digest('EVENTS', stored))
  assert.ok(seal.verifies(seal.digest('EVENTS', { ...stored, headers }), headers['reckon-mac']))
  assert.equal(headersAgain(headers), headers)
  assert.is(decodeFacts('EVENTS', { ...stored, headers, sequence: 9 }).expected, 7)
  assert.not(seal.verifies(seal.digest('EVENTS', { ...stored, headers: { ...headers, 'reckon-expected': '8' } }), headers['reckon-mac']))
})
again('a change of what did not change since the floor names what it follows on', () => {
  const sealed = seal.seal(
    'EVENTS',
    { ...appendOf(event('a', 7)), headers: { ...appendOf(event('a', 7)).headers, 'reckon-previous': '7' }, expected: 0 },
    undefined
  )
  assert.is(sealed.headers['Nats-Expected-Last-Subject-Sequence'], '0')
  assert.is(decodeFacts('EVENTS', { ...sealed, sequence: 9 }).expected, 7)
  const { 'reckon-previous': _, ...without } = sealed.headers
  assert.not(seal.verifies(seal.digest('EVENTS', { ...sealed, headers: without }), sealed.headers['reckon-mac']))
})
again.run()

const takingUp = suite('where the chain is taken up')
const hashAt = (sequence: number): Uint8Array => new Uint8Array(32).fill(sequence)
/** Marks at 4, 8 and 12, and an end that is remembered at 14. */
const remembered = (): MemoryLedger => {
  const ledger = new MemoryLedger('EVENTS', IDENTITY)
  for (const sequence of [4, 8, 12]) ledger.mark({ sequence, hash: hashAt(sequence) })
  ledger.remember({ sequence: 14, hash: hashAt(14) })
  return ledger
}
const stateOf = (more: Partial<LogState> = {}): LogState => {
  const state = {
    identity: IDENTITY,
    first: 1,
    last: 14,
    bytes: 0,
    sealedFrom: 1,
    epoch: 0,
    losses: [],
    quarantined: [],
    floor: 0,
    ...more
  }
  return { messages: state.last - state.first + 1, ...state }
}
const beginning = (ledger: Ledger, state: LogState, from?: { sequence: number; hash: Uint8Array }): Integrity => {
  const integrity = new Integrity({ seal, ledger, whole: true, expires: false, markEvery: 4, ...(from === undefined ? {} : { from }) })
  integrity.begin(state, from === undefined)
  return integrity
}
takingUp('is a mark some way before the end: what was written last is read whole, for a crash damages that', () => {
  assert.is(beginning(remembered(), stateOf()).newestUpTo, 8)
  assert.is(beginning(remembered(), stateOf({ last: 40 })).newestUpTo, 8, 'what nobody remembers is read whole as well')
  assert.is(beginning(new MemoryLedger('EVENTS', IDENTITY), stateOf()).newestUpTo, undefined)
})
takingUp('is no mark while history is being compacted, or one before its floor', () => {
  const base = { hash: Buffer.from(hashAt(6)).toString('base64url'), digest: 'd', entries: 3, time: 0 }
  const raised = (floor: number): MemoryLedger => {
    const ledger = remembered()
    ledger.raise([{ floor, ...base }])
    return ledger
  }
  assert.is(beginning(raised(6), stateOf({ floor: 6, first: 7, base })).newestUpTo, 8)
  assert.is(beginning(raised(6), stateOf({ floor: 6, first: 3, base })).newestUpTo, undefined)
  assert.is(beginning(raised(9), stateOf({ floor: 9, first: 10, base })).newestUpTo, undefined)
})
takingUp('is where a reader stood, if that is what is remembered there', () => {
  assert.equal(beginning(remembered(), stateOf(), { sequence: 12, hash: hashAt(12) }).place, { sequence: 12, hash: hashAt(12) })
  assert.throws(
    () => beginning(remembered(), stateOf(), { sequence: 12, hash: hashAt(1) }),
    (error: unknown) => error instanceof LogDamaged && error.damage.kind === 'altered'
  )
})
takingUp.run()
