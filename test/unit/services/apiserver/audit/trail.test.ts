/** The trail itself: what is recorded is stored, in order and sealed, however long the log is away, and floods are bounded. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { AppendUncertain, LogRefused, type Append, type AppendResult } from '#events/Log.ts'
import { AuditTrail, type AuditTrailOptions } from '#services/apiserver/audit/AuditTrail.ts'
import type { Asked } from '#services/apiserver/audit/record.ts'
import { Integrity } from '#services/platform/ledger/Integrity.ts'
import { MemoryLedger } from '#services/platform/ledger/Ledger.ts'
import { Seal } from '#services/platform/ledger/Seal.ts'
import { MemoryLog } from '#services/platform/MemoryLog.ts'
import type { AuditRecord } from '#test/support/http.ts'
import { VirtualClock } from '#test/simulation/VirtualClock.ts'

const seal = new Seal(new Map([['k1', Buffer.alloc(32, 3)]]))
const asked = (n: number, username = 'eve'): Asked => ({
  id: `a${n}`,
  verb: 'get',
  requestURI: '/',
  user: { username, groups: [] },
  object: { group: '', resource: 'secrets', name: `s${n}` },
  received: 0
})
const answered = (code = 200) => ({ stage: 'ResponseComplete', status: { code }, at: 0 }) as const

/** Appends it gets, in the order they are answered; what `answer` throws is thrown. */
class Log extends MemoryLog {
  answer: () => void = () => {}
  override append(appends: readonly Append[]): Promise<AppendResult> {
    try {
      this.answer()
    } catch (error) {
      return Promise.reject(error)
    }
    return super.append(appends)
  }
  async records(): Promise<AuditRecord[]> {
    const found: AuditRecord[] = []
    for await (const entries of this.read({ from: 1, to: await this.lastSequence() }))
      for (const { text } of entries) found.push(JSON.parse(text) as AuditRecord)
    return found
  }
}

const made = (more: Partial<AuditTrailOptions> = {}) => {
  const clock = new VirtualClock(1)
  const log = new Log('AUDIT', clock, { identity: 'it' })
  const errors: unknown[] = []
  const trail = new AuditTrail({ log, clock, onError: (error) => errors.push(error), ...more })
  return { clock, log, trail, errors }
}

const trails = suite('the audit trail')

trails('stores what it is told, in order, on subjects that say what was asked', async () => {
  const { clock, log, trail } = made()
  for (let n = 0; n < 250; n++) trail.record(asked(n), answered())
  await clock.run(1_000)
  assert.equal(
    (await log.records()).map(({ auditID }) => auditID),
    Array.from({ length: 250 }, (_, n) => `a${n}`)
  )
  assert.is((await log.get(1))?.subject, 'audit.get.core.secrets')
})

trails('keeps of what the client chooses only the beginning', async () => {
  const { clock, log, trail } = made()
  trail.record({ ...asked(1), requestURI: `/${'u'.repeat(9_000)}`, userAgent: 'a'.repeat(9_000) }, answered())
  await clock.run(1_000)
  const [record] = await log.records()
  assert.equal([record?.requestURI.length, (record as unknown as { userAgent: string }).userAgent.length], [2_048, 256])
})

trails('has a subject that can be stored for whatever is asked for', async () => {
  const { clock, log, trail } = made()
  for (const name of ['', '*'.repeat(5_000), 'a'.repeat(16_000), 'a b', 'é>'])
    trail.record({ ...asked(1), verb: name, object: { group: name || 'apps', resource: name } }, answered())
  trail.record({ ...asked(2), object: { group: 'rbac.authorization.k8s.io', resource: 'roles' } }, answered())
  await clock.run(1_000)
  const subjects: string[] = []
  for await (const entries of log.read({ from: 1, to: await log.lastSequence() })) subjects.push(...entries.map(({ subject }) => subject))
  assert.equal([...new Set(subjects)], ['audit._.apps._', 'audit._._._', 'audit.get.rbac%2Eauthorization%2Ek8s%2Eio.roles'])
})

trails('keeps what waits while the log is away, and counts what there is no place for', async () => {
  const { clock, log, trail } = made()
  let away = true
  log.answer = () => {
    if (away) throw new Error('away')
  }
  for (let n = 0; n < 10_050; n++) trail.record(asked(n, `user-${n % 10}`), answered())
  await clock.run(60_000)
  assert.is(await log.lastSequence(), 0)
  away = false
  await clock.run(60_000)
  const records = await log.records()
  assert.is(records.length, 10_001)
  assert.is(records.find(({ verb }) => verb === 'lost')?.annotations?.['reckon.io/records-lost'], '50')
  assert.is(records.at(-1)?.auditID, 'a9999')
})

trails('gives up a record that can never be stored, and no other', async () => {
  const { clock, log, trail, errors } = made()
  let refuse = true
  log.answer = () => {
    if (!refuse) return
    refuse = false
    throw new LogRefused('too large', 'too-large')
  }
  trail.record(asked(1), answered())
  await clock.run(1_000)
  trail.record(asked(2), answered())
  await clock.run(1_000)
  assert.is(errors.length, 1)
  assert.equal(
    (await log.records()).map(({ auditID }) => auditID).filter((id) => id !== undefined),
    ['a2']
  )
})

trails('gives up the one record that is refused, and counts it; the others of its batch are stored', async () => {
  const { clock, log, trail, errors } = made()
  const append = log.append.bind(log)
  log.append = (appends) =>
    appends.some(({ text }) => text.includes('"a7"')) ? Promise.reject(new LogRefused('too large', 'too-large')) : append(appends)
  for (let n = 0; n < 20; n++) trail.record(asked(n), answered())
  await clock.run(60_000)
  const records = await log.records()
  assert.equal(
    records.filter(({ auditID }) => auditID !== undefined).map(({ auditID }) => auditID),
    Array.from({ length: 20 }, (_, n) => `a${n}`).filter((id) => id !== 'a7')
  )
  assert.is(records.find(({ verb }) => verb === 'lost')?.annotations?.['reckon.io/records-lost'], '1')
  assert.is(errors.length, 1)
})

trails('gives up a record that is never acknowledged, when the log answers otherwise', async () => {
  const { clock, log, trail } = made()
  const append = log.append.bind(log)
  log.append = (appends) =>
    appends.some(({ text }) => text.includes('"a3"')) ? Promise.reject(new AppendUncertain('no answer')) : append(appends)
  for (let n = 0; n < 6; n++) trail.record(asked(n), answered())
  await clock.run(20 * 60_000)
  assert.equal(
    (await log.records()).map(({ auditID }) => auditID).filter((id) => id !== undefined),
    ['a0', 'a1', 'a2', 'a4', 'a5']
  )
})

trails('a flood of reads is counted as well, past a larger allowance', async () => {
  const { clock, log, trail } = made()
  for (let n = 0; n < 5_000; n++) trail.record(asked(n), answered())
  await clock.run(60_000)
  assert.is((await log.records()).length, 2_000)
})

trails('a flood of refusals is counted, not stored; others are not pushed aside by it', async () => {
  const { clock, log, trail } = made()
  for (let n = 0; n < 5_000; n++) trail.record(asked(n), answered(403))
  trail.record(asked(1, 'bob'), answered(403))
  for (let n = 0; n < 300; n++) trail.record(asked(n, 'reader'), answered())
  await clock.run(60_000)
  const by = (records: readonly AuditRecord[], name: string): AuditRecord[] => records.filter(({ user }) => user.username === name)
  assert.equal(
    ['eve', 'bob', 'reader'].map((name) => by([], name).length),
    [0, 0, 0]
  )
  const records = await log.records()
  assert.equal(
    ['eve', 'bob', 'reader'].map((name) => by(records, name).length),
    [200, 1, 300]
  )
  trail.record(asked(1), answered(403))
  await clock.run(1_000)
  assert.is(by(await log.records(), 'eve').at(-1)?.annotations?.['reckon.io/records-left-out'], '4800')
})

trails('sheds while there is no room, and says how many', async () => {
  let short = true
  const { clock, log, trail } = made({ sheds: () => short })
  for (let n = 0; n < 3; n++) trail.record(asked(n), answered())
  short = false
  trail.record(asked(4), answered())
  await clock.run(1_000)
  assert.equal(
    (await log.records()).map(({ auditID, annotations }) => auditID ?? annotations?.['reckon.io/records-lost']),
    ['a4', '3']
  )
})

trails('is sealed and chained, and a later process takes the chain up', async () => {
  const clock = new VirtualClock(1)
  const log = new Log('AUDIT', clock, { identity: 'it' })
  const ledger = new MemoryLedger('AUDIT', 'it')
  for (const n of [1, 2]) {
    const integrity = new Integrity({ seal, ledger, whole: true, expires: true, tail: true })
    const trail = new AuditTrail({ log, clock, integrity, onError: (error) => assert.unreachable(String(error)) })
    await Promise.all([trail.start(), clock.run(1_000)])
    trail.record(asked(n), answered())
    await Promise.all([trail.stop(), clock.run(5_000)])
  }
  // One that was written by somebody else is found by whoever reads with the chain.
  const whole = new Integrity({ seal, ledger, whole: true, expires: true })
  whole.begin(await log.state())
  for await (const entries of log.read({ from: 1, to: 2 })) for (const entry of entries) assert.is(whole.take(entry), 'event')
})

trails('at its end what waits is stored first', async () => {
  const { clock, log, trail } = made()
  for (let n = 0; n < 300; n++) trail.record(asked(n), answered())
  await Promise.all([trail.stop(), clock.run(1_000)])
  assert.is(await log.lastSequence(), 300)
})
trails.run()
