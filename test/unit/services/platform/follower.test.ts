/** A follower over a network and a server that lose, double, forget and lie: in order, once each, nothing left out, or it says why not. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { LogDamaged, LogMoved, type Damage } from '#events/Log.ts'
import { followSource, type Consumer, type Delivery, type Source } from '#services/platform/Follower.ts'
import { MemoryLog, type Faults } from '#services/platform/MemoryLog.ts'
import { VirtualClock } from '#test/simulation/VirtualClock.ts'

const follower = suite('a follower')

/** Follows a log that is written to all the while; the faults draw from the clock's chance. */
const followed = async (
  seed: number,
  faultsOf: (clock: VirtualClock) => Faults,
  { entries = 300, during = (_: MemoryLog, __: number): void => {} } = {}
) => {
  const clock = new VirtualClock(seed)
  let quiet = false
  const drawn = faultsOf(clock)
  const faults = Object.fromEntries(
    Object.entries(drawn).map(([name, fault]) => [
      name,
      () => (quiet && name !== 'append' && name !== 'deliver' ? false : (fault as () => unknown)())
    ])
  ) as Faults
  const log = new MemoryLog('EVENTS', clock, { faults, identity: 'it' })
  const seen: number[] = []
  let damage: Damage | undefined
  let caughtUp = 0
  log.follow({
    from: 1,
    onEntries: (batch) => void seen.push(...batch.map(({ sequence }) => sequence)),
    onCaughtUp: () => (caughtUp += 1),
    onFailed: (error) => (damage = (error as LogDamaged).damage)
  })
  for (let n = 0; n < entries; n++) {
    void log.append([{ subject: `s${n}`, headers: {}, text: '' }]).catch(() => {})
    during(log, n)
    await clock.run(20)
  }
  quiet = true
  await clock.run(120_000)
  return { seen, damage, caughtUp, log, clock, last: await log.lastSequence() }
}
const upTo = (last: number): number[] => Array.from({ length: last }, (_, at) => at + 1)

follower('gets everything once and in order, whatever is lost, doubled or forgotten on the way', async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const chance = (clock: VirtualClock, part: number) => () => clock.random() < part
    const { seen, damage, caughtUp, last } = await followed(seed, (clock) => ({
      deliver: () => clock.random() * 50,
      skip: chance(clock, 0.02),
      double: chance(clock, 0.02),
      forget: chance(clock, 0.02),
      swallow: chance(clock, 0.02)
    }))
    assert.equal(seen, upTo(last), `seed ${seed}`)
    assert.is(damage, undefined)
    assert.is(caughtUp, 1)
  }
})
follower('goes on after the log was away', async () => {
  const { seen, damage, last } = await followed(1, (clock) => ({ away: () => clock.elapsed > 1_000 && clock.elapsed < 60_000 }), {
    entries: 4_000
  })
  assert.equal(seen, upTo(last))
  assert.is(damage, undefined)
})
follower('that is cut off hears nothing while another goes on, and everything afterwards', async () => {
  const clock = new VirtualClock(10)
  const log = new MemoryLog('EVENTS', clock, { faults: { deliver: () => clock.random() * 50, append: () => 5 } })
  let cut = false
  const mine = log.reachedBy(() => cut)
  const [seen, others]: number[][] = [[], []]
  mine.follow({
    from: 1,
    onEntries: (entries) => void seen?.push(...entries.map(({ sequence }) => sequence)),
    onFailed: (error) => assert.unreachable(String(error))
  })
  log.follow({
    from: 1,
    onEntries: (entries) => void others?.push(...entries.map(({ sequence }) => sequence)),
    onFailed: (error) => assert.unreachable(String(error))
  })
  const write = (by: typeof mine): Promise<string> =>
    by.append([{ subject: `s${clock.uuid()}`, headers: {}, text: '' }]).then(
      ({ ok }) => String(ok),
      ({ name }: Error) => name
    )
  const words: string[] = []
  void write(mine).then((word) => words.push(word))
  await clock.run(100)
  // Stored, but the acknowledgement does not get through; then nothing is sent at all.
  void write(mine).then((word) => words.push(word))
  cut = true
  void write(mine).then((word) => words.push(word))
  void mine.lastSequence().catch(({ name }: Error) => words.push(name))
  await clock.run(1_000)
  void write(log)
  await clock.run(60_000)
  assert.equal([seen, others, words.sort()], [[1], [1, 2, 3], ['AppendUncertain', 'AppendUncertain', 'LogAway', 'true']])
  cut = false
  await clock.run(10_000)
  assert.equal(seen, [1, 2, 3])
})
follower('of a part, where sequences may be missing, notices a lost message by the count alone', async () => {
  for (let seed = 1; seed <= 10; seed++) {
    const clock = new VirtualClock(seed)
    let quiet = false
    const log = new MemoryLog('EVENTS', clock, {
      faults: {
        deliver: () => clock.random() * 20,
        skip: () => !quiet && clock.random() < 0.1,
        double: () => !quiet && clock.random() < 0.1
      }
    })
    const seen: number[] = []
    log
      .reachedBy(() => false, { gapless: false })
      .follow({
        from: 1,
        onEntries: (entries) => void seen.push(...entries.map(({ sequence }) => sequence)),
        onFailed: (error) => assert.unreachable(String(error))
      })
    for (let n = 0; n < 200; n++) {
      void log.append([{ subject: `s${n}`, headers: {}, text: '' }])
      await clock.run(20)
    }
    quiet = true
    await clock.run(30_000)
    assert.equal(seen, upTo(200), `seed ${seed}`)
  }
})
follower('notices at once that the stream is another when its connection breaks with it', async () => {
  const { damage } = await followed(11, () => ({}), { during: (log, n) => n === 200 && log.damage({ cut: 150 }), entries: 202 })
  assert.is(damage?.kind, 'shorter')
})
follower('ends when the stream is cut short under it', async () => {
  const { damage, seen } = await followed(2, (clock) => ({ forget: () => clock.random() < 0.05 }), {
    during: (log, n) => n === 200 && log.damage({ cut: 150 })
  })
  assert.is(damage?.kind, 'shorter')
  assert.ok((damage?.ranges[0]?.first ?? 0) > 150)
  assert.ok(seen.length <= 201)
})
follower('ends when another stream stands in its place', async () => {
  const { damage } = await followed(3, (clock) => ({ forget: () => clock.random() < 0.05 }), {
    during: (log, n) => n === 200 && log.damage({ identity: 'another' })
  })
  assert.is(damage?.kind, 'replaced')
})
follower('ends at a hole, with everything before it', async () => {
  const clock = new VirtualClock(4)
  const log = new MemoryLog('EVENTS', clock)
  for (let n = 0; n < 10; n++) void log.append([{ subject: `s${n}`, headers: {}, text: '' }])
  log.damage({ remove: { first: 5, last: 6 } })
  const seen: number[] = []
  let damage: Damage | undefined
  log.follow({
    from: 1,
    onEntries: (batch) => void seen.push(...batch.map(({ sequence }) => sequence)),
    onFailed: (error) => (damage = (error as LogDamaged).damage)
  })
  await clock.run(60_000)
  assert.equal([seen, damage?.kind, damage?.ranges], [[1, 2, 3, 4], 'hole', [{ first: 5, last: 6 }]])
})

/** A source that does just what it is told. */
const scripted = (
  clock: VirtualClock,
  open: () => Partial<Consumer> & { readonly deliver?: (send: (delivery: Delivery) => void, end: () => void) => void }
): { source: Source; opened: () => number } => {
  let opened = 0
  const state = { identity: 'it', first: 1, last: 3, messages: 3, bytes: 0, sealedFrom: 1, epoch: 0, losses: [], quarantined: [], floor: 0 }
  return {
    opened: () => opened,
    source: {
      stream: 'EVENTS',
      closed: false,
      verdict: (error) => (String(error).includes('missing') ? 'missing' : String(error).includes('never') ? 'never' : 'again'),
      open: async () => {
        opened += 1
        const { deliver = () => {}, ...more } = open()
        return { state, pending: 3, run: deliver, close: async () => {}, ...more }
      }
    }
  }
}
const entry = (sequence: number, count = sequence, pending = 3 - sequence): Delivery => ({
  entry: { subject: 's', sequence, headers: {}, text: '', time: 0 },
  count,
  pending
})
const run = async (source: Source, clock: VirtualClock, { gapless = true } = {}) => {
  const seen: number[] = []
  let failed: Error | undefined
  const subscription = followSource(
    source,
    { clock, gapless },
    { from: 1, onEntries: (batch) => void seen.push(...batch.map(({ sequence }) => sequence)), onFailed: (error) => (failed = error) }
  )
  await clock.run(120_000)
  subscription.close()
  return { seen, failed, damage: (failed as LogDamaged | undefined)?.damage }
}

follower('believes a consumer only while its own count follows on', async () => {
  const clock = new VirtualClock(5)
  let times = 0
  // Where sequences have gaps by design, the count is all there is to tell a lost message by.
  const { source } = scripted(clock, () => ({
    deliver: (send) => (++times === 1 ? [entry(1), entry(3, 3)] : [entry(2, 1), entry(3, 2)]).forEach(send)
  }))
  assert.equal((await run(source, clock, { gapless: false })).seen, [1, 2, 3])
})
follower('says so when a server has entries and never delivers them', async () => {
  const clock = new VirtualClock(6)
  const { source, opened } = scripted(clock, () => ({}))
  const { damage } = await run(source, clock)
  assert.equal([damage?.kind, damage?.ranges, opened()], ['unreadable', [{ first: 1, last: 1 }], 3])
})
follower('waits for a server that has nothing to deliver', async () => {
  const clock = new VirtualClock(7)
  const { source, opened } = scripted(clock, () => ({
    pending: 0,
    deliver: (send) => [1, 2, 3].forEach((sequence) => send(entry(sequence)))
  }))
  const { failed } = await run(source, clock, { gapless: false })
  assert.is(failed, undefined)
  assert.is(opened(), 1)
})
follower('says so when the stream is gone, after asking again, and gives up where it may not ask', async () => {
  for (const [word, kind] of [
    ['missing', 'gone'],
    ['never', undefined]
  ] as const) {
    const clock = new VirtualClock(8)
    const { source } = scripted(clock, () => {
      throw new Error(word)
    })
    const { damage, failed } = await run(source, clock)
    assert.is(damage?.kind, kind)
    assert.ok(failed !== undefined)
  }
})
follower('is silent once it is closed, and leaves no consumer behind', async () => {
  const clock = new VirtualClock(9)
  let closed = 0
  let send: (delivery: Delivery) => void = () => {}
  const { source } = scripted(clock, () => ({ deliver: (deliver) => (send = deliver), close: async () => void (closed += 1) }))
  const seen: number[] = []
  const subscription = followSource(
    source,
    { clock, gapless: true },
    {
      from: 1,
      onEntries: (batch) => void seen.push(...batch.map(({ sequence }) => sequence)),
      onFailed: (error) => assert.unreachable(String(error))
    }
  )
  await clock.run(1_000)
  send(entry(1))
  await clock.run(1_000)
  subscription.close()
  send(entry(2))
  await clock.run(60_000)
  assert.equal([seen, closed], [[1], 1])
})
follower('of a compacted log gets what is kept, then the rest, whatever happens on the way', async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const clock = new VirtualClock(seed)
    let quiet = false
    const chance = (part: number) => () => !quiet && clock.random() < part
    const log = new MemoryLog('EVENTS', clock, {
      faults: { deliver: () => clock.random() * 50, skip: chance(0.1), double: chance(0.1), forget: chance(0.1) }
    })
    for (let n = 0; n < 40; n++) void log.append([{ subject: `s${n % 7}`, headers: {}, text: '' }])
    log.raiseFloor(30)
    log.compact()
    const seen: number[] = []
    let failed: Error | undefined
    log.follow({
      from: 1,
      onEntries: (batch) => void seen.push(...batch.map(({ sequence }) => sequence)),
      onFailed: (error) => (failed = error)
    })
    await clock.run(60_000)
    quiet = true
    void log.append([{ subject: 's', headers: {}, text: '' }])
    await clock.run(60_000)
    assert.is(failed, undefined, `seed ${seed}`)
    assert.equal(
      seen,
      Array.from({ length: 18 }, (_, at) => at + 24),
      `seed ${seed}`
    )
  }
})
follower('that stood before what was compacted meanwhile starts again: of deletions among it, it never heard', async () => {
  const clock = new VirtualClock(9)
  let away = false
  const log = new MemoryLog('EVENTS', clock, { faults: { away: () => away } })
  const write = (count: number): void => {
    for (let n = 0; n < count; n++) void log.append([{ subject: `s${n}`, headers: {}, text: '' }])
  }
  write(5)
  const seen: number[] = []
  let failed: Error | undefined
  log.follow({
    from: 1,
    onEntries: (batch) => void seen.push(...batch.map(({ sequence }) => sequence)),
    onFailed: (error) => (failed = error)
  })
  await clock.run(1_000)
  assert.equal(seen, upTo(5))
  away = true
  await clock.run(10_000)
  away = false
  write(5)
  log.raiseFloor(8)
  log.compact()
  await clock.run(10_000)
  assert.match(failed?.message ?? '', /history was compacted up to 8 while this reader stood at 6; it has to start again/)
  assert.equal(seen, upTo(5))
})
follower('that stood behind it does not notice', async () => {
  const clock = new VirtualClock(10)
  let away = false
  const log = new MemoryLog('EVENTS', clock, { faults: { away: () => away } })
  for (let n = 0; n < 5; n++) void log.append([{ subject: `s${n}`, headers: {}, text: '' }])
  const seen: number[] = []
  log.follow({
    from: 1,
    onEntries: (batch) => void seen.push(...batch.map(({ sequence }) => sequence)),
    onFailed: (error) => assert.unreachable(error.message)
  })
  await clock.run(1_000)
  away = true
  await clock.run(10_000)
  away = false
  log.raiseFloor(4)
  log.compact()
  void log.append([{ subject: 's', headers: {}, text: '' }])
  await clock.run(10_000)
  assert.equal(seen, upTo(6))
})

/**
 * A stream of eight entries, of which 5 to 8 are the newest of their subjects, whose history is compacted after `delivered` of them: a
 * deletion may be among what went, of an object that was delivered.
 */
const compactedUnder = (delivered: number): { readonly source: Source; opened(): number } => {
  let opens = 0
  const state = { identity: 'it', first: 1, last: 8, messages: 8, bytes: 0, sealedFrom: 1, epoch: 0, losses: [], quarantined: [], floor: 0 }
  const source: Source = {
    stream: 'EVENTS',
    closed: false,
    verdict: () => 'never',
    open: async (from, newest): Promise<Consumer> => {
      opens += 1
      const left = [5, 6, 7, 8].filter((sequence) => sequence >= from)
      return {
        state: opens === 1 ? state : { ...state, first: 6, floor: 5, messages: 3 },
        newest,
        pending: newest ? left.length : 0,
        run: (onDelivery, onEnd) => {
          const sent = opens === 1 ? left.slice(0, delivered) : left
          if (newest) for (const [at, sequence] of sent.entries()) onDelivery({ ...entry(sequence, at + 1), pending: left.length - 1 - at })
          if (sent.length < left.length) onEnd()
        },
        close: async () => {}
      }
    }
  }
  return { source, opened: () => opens }
}
for (const [delivered, when] of [
  [2, 'while'],
  [4, 'when']
] as const)
  follower(
    `starts again ${when} the newest entries have come and history was compacted under them, and has caught up with nothing`,
    async () => {
      const clock = new VirtualClock(11)
      const { source, opened } = compactedUnder(delivered)
      const seen: number[] = []
      let [caughtUp, failed]: [number, Error | undefined] = [0, undefined]
      followSource(
        source,
        { clock, gapless: true },
        {
          from: 1,
          newestUpTo: 8,
          onEntries: (batch) => void seen.push(...batch.map(({ sequence }) => sequence)),
          onCaughtUp: () => (caughtUp += 1),
          onFailed: (error) => (failed = error)
        }
      )
      await clock.run(60_000)
      assert.instance(failed, LogMoved)
      assert.equal([seen, caughtUp, opened()], [[5, 6, 7, 8].slice(0, delivered), 0, 2])
    }
  )
follower.run()
