/** `reckon audit`: what is asked for, how it looks, and what is said of what is missing. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parse } from 'yaml'
import type { LogEntry } from '#events/Log.ts'
import { filterOf, sinceOf, type AuditWords } from '#services/cli/audit/filter.ts'
import { Reader, type ReaderOptions } from '#services/cli/audit/Reader.ts'
import type { AuditRecord } from '#services/cli/audit/record.ts'
import { notesOf, rowsOf, textOf } from '#services/cli/audit/rows.ts'
import { growingTable } from '#services/cli/print.ts'
import { builtIns } from '#test/support/builtIns.ts'

const audit = suite('reckon audit')
const AT = '2026-11-21T10:00:00.123000Z'
const SHORT = '2026-11-21T10:00:00.123Z'

const record = (more: Partial<AuditRecord> = {}): AuditRecord => ({
  kind: 'Event',
  stage: 'ResponseComplete',
  verb: 'get',
  requestURI: '/x',
  user: { username: 'eve' },
  objectRef: { resource: 'secrets', namespace: 'shop', name: 'db' },
  responseStatus: { code: 200 },
  stageTimestamp: AT,
  ...more
})
const entry = (sequence: number, said: unknown): LogEntry => ({
  subject: 'audit.get.core.secrets',
  sequence,
  headers: {},
  text: typeof said === 'string' ? said : JSON.stringify(said),
  time: 0
})
const read = (entries: readonly LogEntry[], words: AuditWords = {}, more: Partial<ReaderOptions> = {}) => {
  const reader = new Reader({
    filter: filterOf(builtIns, words),
    since: 0,
    from: entries[0]?.sequence ?? 1,
    isFirst: false,
    quarantined: [],
    ...more
  })
  return { reader, shown: reader.take(entries) }
}
const asked = (words: AuditWords, more: Partial<AuditRecord> = {}): boolean => filterOf(builtIns, words).matches(record(more))
const lost = (count: number): AuditRecord => ({
  kind: 'Event',
  stage: 'Panic',
  verb: 'lost',
  annotations: { 'reckon.io/records-lost': String(count) },
  stageTimestamp: AT
})

audit('filters by user, under either of two names', () => {
  assert.equal([asked({}), asked({ user: 'eve' }), asked({ user: 'ev' })], [true, true, false])
  assert.equal([asked({ user: 'bob' }, { impersonatedUser: { username: 'bob' } }), asked({ user: 'eve' }, { user: {} })], [true, false])
})
audit('filters by verb, namespace and code', () => {
  assert.equal([asked({ verb: 'list,get' }), asked({ verb: 'GET' }), asked({ verb: 'list' })], [true, true, false])
  assert.equal(
    [asked({ namespace: 'shop' }), asked({ namespace: 'sho' }), asked({ namespace: 'shop' }, { objectRef: { resource: 'nodes' } })],
    [true, false, false]
  )
  const codes = [200, 299, 300, 403, 499, 500].map((code) => ({ responseStatus: { code } }))
  assert.equal(
    codes.map((said) => asked({ code: '2xx' }, said)),
    [true, true, false, false, false, false]
  )
  assert.equal(
    codes.map((said) => asked({ code: '403,5xx' }, said)),
    [false, false, false, true, false, true]
  )
  assert.is(asked({ verb: 'get', code: '403' }), false)
})
audit('filters by resource as a Role does', () => {
  const of = (resource: string, subresource = '', apiGroup = '') => ({
    objectRef: { resource, ...(subresource === '' ? {} : { subresource }), ...(apiGroup === '' ? {} : { apiGroup }) }
  })
  assert.equal(
    ['secrets', 'secret', 'pods,secrets', 'pods'].map((resource) => asked({ resource })),
    [true, true, true, false]
  )
  assert.equal(
    ['pods', 'po/exec', 'pods/*', '*/exec', 'pods/log', '*'].map((resource) => asked({ resource }, of('pods', 'exec'))),
    [false, true, true, true, false, false]
  )
  assert.equal(
    ['pods/*', '*', '*/*'].map((resource) => asked({ resource }, of('pods'))),
    [false, true, false]
  )
  assert.equal(
    ['deploy', 'deployments.apps', 'deployments.other'].map((resource) => asked({ resource }, of('deployments', '', 'apps'))),
    [true, true, false]
  )
  assert.is(asked({ resource: 'gizmos.example.com' }, of('gizmos', '', 'example.com')), true)
  assert.is(filterOf(builtIns, { resource: '*' }).matches({ kind: 'Event', requestURI: '/metrics' }), false)
})
audit('says what it does not understand', () => {
  for (const code of ['4', '4x', '600', '403-404', '403,']) assert.throws(() => filterOf(builtIns, { code }), /--code/)
  for (const resource of ['', '/exec', 'pods/']) assert.throws(() => filterOf(builtIns, { resource }), /--resource/)
  assert.throws(() => filterOf(builtIns, { verb: 'get,,list' }), /--verb/)
  for (const since of ['yesterday', '12', '-5', '-5y', '']) assert.throws(() => sinceOf(since, 0), /--since/)
})
audit('begins at a time, a time ago, or the start', () => {
  assert.equal(
    ['-5m', '5m', 'start', '1970-01-01T00:00:01Z', '-2d'].map((since) => sinceOf(since, 600_000)),
    [300_000, 300_000, 0, 1_000, 0]
  )
})
audit('shows who asked for what, and what the answer was', () => {
  const rows = (more: Partial<AuditRecord>) => rowsOf({ record: record(more), itself: true, lost: 0, leftOut: 0 })
  assert.equal(rows({}), [[SHORT, 'eve', 'get', 'shop/secrets/db', '200', '']])
  const refused = {
    impersonatedUser: { username: 'bob' },
    objectRef: { resource: 'deployments', apiGroup: 'apps', name: 'web', subresource: 'scale' },
    responseStatus: { code: 403, reason: 'Forbidden', message: 'no' }
  }
  assert.equal(rows(refused), [[SHORT, 'eve as bob', 'get', 'deployments.apps/web/scale', '403', 'Forbidden: no']])
  assert.equal(rows({ user: {}, sourceIPs: ['10.0.0.1'], objectRef: {}, responseStatus: { code: 401 } }), [
    [SHORT, '<unknown> (10.0.0.1)', 'get', '/x', '401', '']
  ])
  assert.is(rows({ stage: 'ResponseStarted', responseStatus: { code: 101 } })[0]?.at(-1), 'began')
  assert.is(rows({ responseStatus: { code: 101 } })[0]?.at(-1), 'ended')
  assert.is(rows({ responseStatus: { code: 401, reason: 'Unauthorized', message: 'Unauthorized' } })[0]?.at(-1), 'Unauthorized')
  assert.is(rows({ annotations: { 'reckon.io/erased': 'u1', 'reckon.io/intent': 'i1' } })[0]?.at(-1), 'reckon.io/erased: u1')
  assert.is(rows({ responseStatus: { code: 403, message: 'm'.repeat(500) } })[0]?.at(-1)?.length, 110)
  assert.equal(rowsOf({ record: { kind: 'Event' }, itself: true, lost: 0, leftOut: 0 }), [['-', '<unknown>', '-', '-', '-', '']])
})
audit('lets no name pass for another column, or speak to the terminal', () => {
  const hostile = record({ user: { username: 'eve as admin' }, objectRef: { resource: 'pods', name: 'a\u001b[2J\u009b\u202e\u2028' } })
  const [row] = rowsOf({ record: hostile, itself: true, lost: 0, leftOut: 0 })
  assert.equal(row?.slice(1, 4), ['"eve as admin"', 'get', 'pods/a\\u001b[2J\\u009b\\u202e '])
  for (const format of ['json', 'yaml'] as const) {
    const text = textOf({ record: hostile, itself: true, lost: 0, leftOut: 0 }, format) as string
    assert.not.match(text, /[\u001b\u009b\u202e\u2028]/)
    assert.equal(parse(text), hostile)
  }
  // The YAML library puts no quotes around this one.
  const direction = record({ user: { username: 'a\u202eb' } })
  const text = textOf({ record: direction, itself: true, lost: 0, leftOut: 0 }, 'yaml') as string
  assert.not.match(text, /\u202e/)
  assert.equal(parse(text), direction)
  assert.equal(parse(textOf({ record: record(), itself: true, lost: 0, leftOut: 0 }, 'yaml') as string), record())
})
audit('shows what was lost whatever is asked for, in a row of its own', () => {
  const { reader, shown } = read([entry(1, record()), entry(2, lost(7))], { code: '403' })
  assert.equal(
    shown.flatMap(rowsOf).map((row) => row.slice(2)),
    [['lost', '-', '-', '7 records from before this: the log was away or short of room']]
  )
  assert.is(shown.filter((one) => textOf(one, 'json') !== undefined).length, 1)
  assert.match(notesOf(reader.missing()).join('\n'), /^\(not all there was is shown: 7 records could not be kept/)
  assert.equal(notesOf(reader.missing()), [], 'said once')
})
audit('shows what was left out of one asker, unless somebody else is asked for', () => {
  const flood = entry(1, record({ responseStatus: { code: 403 }, annotations: { 'reckon.io/records-left-out': '3' } }))
  const verbs = (words: AuditWords) =>
    read([flood], words)
      .shown.flatMap(rowsOf)
      .map((row) => row[2])
  assert.equal([verbs({}), verbs({ user: 'eve', verb: 'list' }), verbs({ user: 'bob' })], [['left out', 'get'], ['left out'], []])
  const { reader, shown } = read([flood], { verb: 'list' })
  assert.match(shown.flatMap(rowsOf)[0]?.at(-1) ?? '', /^3 refusals of this user/)
  assert.equal(
    shown.map((one) => textOf(one, 'json')),
    [undefined]
  )
  assert.match(notesOf(reader.missing()).join('\n'), /3 records left out, of users who asked too much at once/)
})
audit('shows once what was written twice, and both of what only looks alike', () => {
  const twice = [
    entry(1, record({ auditID: 'a' })),
    entry(2, record({ auditID: 'b' })),
    entry(3, record({ auditID: 'a' })),
    entry(4, record({ auditID: 'a', objectRef: { resource: 'secrets', name: 'other' } }))
  ]
  assert.equal(
    read(twice).shown.map(({ record: { auditID } }) => auditID),
    ['a', 'b', 'a']
  )
})
audit('leaves out what happened before, though it was stored later', () => {
  assert.is(
    read([entry(1, record()), entry(2, record({ stageTimestamp: '2026-11-21T10:00:01Z' }))], {}, { since: Date.parse(AT) + 1 }).shown
      .length,
    1
  )
})
audit('says where the trail has holes, and what in it is no record', () => {
  const { reader, shown } = read(
    [entry(5, record({ auditID: 'a' })), entry(8, '{"kind":"Pod"}'), entry(9, 'x'), entry(10, record({ auditID: 'b' }))],
    {},
    { from: 4, quarantined: [10] }
  )
  assert.is(shown.length, 1)
  reader.reaches(12)
  assert.equal(reader.missing(), {
    lost: 0,
    leftOut: 0,
    holes: [
      { first: 4, last: 4 },
      { first: 6, last: 7 },
      { first: 11, last: 12 }
    ],
    strange: [8, 9, 10]
  })
  assert.is(reader.next, 13)
})
audit('takes what expired while it was read for no hole', () => {
  const { reader } = read([entry(7, record())], {}, { from: 5, isFirst: true })
  assert.equal(reader.missing().holes, [])
})
audit('prints a table of which more comes', () => {
  const lines = growingTable(['A', 'B'])
  assert.equal(lines([]), [])
  assert.equal(lines([['aa', 'b']]), ['A    B', 'aa   b'])
  assert.equal(lines([['aaaa', 'b']]), ['aaaa   b'])
  assert.equal(lines([['a', 'b']]), ['a      b'])
})
audit.run()
