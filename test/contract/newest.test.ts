/** What both twins of the log do for who wants the newest entries only: each subject's last one up to a place, and everything behind it. */
import { jetstreamManager } from '@nats-io/jetstream'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { LogDamaged, type Log, type LogEntry, type Subscription } from '#events/Log.ts'
import { followSource, type Consumer, type Source } from '#services/platform/Follower.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { MemoryLog } from '#services/platform/MemoryLog.ts'
import { startNats, type TestNats } from '#test/support/nats.ts'

const subject = (name: string): string => `ev.core.configmaps.default.${name}`
const named = (entries: readonly LogEntry[]): string[] => entries.map(({ sequence, subject: of }) => `${sequence} ${of.split('.').at(-1)}`)

/** What comes until it has caught up. */
const newest = (log: Log, newestUpTo: number, from = 1): Promise<string[]> =>
  new Promise((resolve, reject) => {
    const seen: LogEntry[] = []
    const subscription: Subscription = log.follow({
      from,
      newestUpTo,
      onEntries: (entries) => void seen.push(...entries),
      onCaughtUp: () => (subscription.close(), resolve(named(seen))),
      onFailed: reject
    })
  })

const contract = (name: string, open: () => Promise<{ readonly log: Log; close(): Promise<void> }>): void => {
  const newer = suite(`the newest entries of a log: ${name}`)
  let it: Log
  let close: () => Promise<void>
  const write = async (...names: string[]): Promise<void> => {
    for (const one of names) assert.ok((await it.append([{ subject: subject(one), headers: {}, text: one }])).ok)
  }
  newer.before(async () => {
    ;({ log: it, close } = await open())
    // 1-8
    await write('a', 'b', 'a', 'c', 'b', 'a', 'd', 'c')
  })
  newer.after(() => close())

  newer('are the last of each subject, in the order of their sequences', async () => {
    assert.equal(await newest(it, 8), ['5 b', '6 a', '7 d', '8 c'])
  })
  newer('up to a place are those that nothing behind it took the place of; behind it comes everything', async () => {
    assert.equal(await newest(it, 5), ['5 b', '6 a', '7 d', '8 c'])
    assert.equal(await newest(it, 2), ['3 a', '4 c', '5 b', '6 a', '7 d', '8 c'])
    assert.equal(await newest(it, 7), ['5 b', '6 a', '7 d', '8 c'])
    assert.equal(await newest(it, 6), ['5 b', '6 a', '7 d', '8 c'])
  })
  newer('are everything where nothing stands before the place', async () => {
    assert.equal(await newest(it, 0), ['1 a', '2 b', '3 a', '4 c', '5 b', '6 a', '7 d', '8 c'])
    assert.equal(await newest(it, 3, 4), ['4 c', '5 b', '6 a', '7 d', '8 c'])
  })
  newer('are followed by what is written meanwhile', async () => {
    const seen: LogEntry[] = []
    await new Promise<void>((resolve, reject) => {
      const subscription = it.follow({
        from: 1,
        newestUpTo: 8,
        onEntries: (entries) => {
          if (seen.length === 0) void write('a', 'e', 'a')
          seen.push(...entries)
          if (seen.some(({ sequence }) => sequence === 11)) {
            subscription.close()
            resolve()
          }
        },
        onFailed: reject
      })
    })
    const got = named(seen)
    assert.equal(got.slice(-3), ['9 a', '10 e', '11 a'])
    assert.equal(
      got.filter((one) => !['6 a'].includes(one)),
      ['5 b', '7 d', '8 c', '9 a', '10 e', '11 a']
    )
  })
  newer('come all, however many bytes they are', async () => {
    const before = (await it.state()).last
    for (let from = 0; from < 3_000; from += 500)
      assert.ok(
        (
          await it.append(
            Array.from({ length: 500 }, (_, at) => ({ subject: subject(`large-${from + at}`), headers: {}, text: 'x'.repeat(6_000 + at) }))
          )
        ).ok
      )
    const all = await newest(it, before + 3_000)
    assert.is(all.length, 3_000 + 5)
  })
  newer.run()
}

contract('memory', async () => ({ log: new MemoryLog('EVENTS', systemClock), close: async () => {} }))
contract('JetStream', async () => {
  const nats: TestNats = await startNats()
  return { log: new JetStreamLog(await nats.as('apiserver'), 'EVENTS'), close: () => nats.stop() }
})

const parts = suite('a part of a log, on JetStream')
parts('begins with the newest entries of its subjects', async () => {
  const nats = await startNats()
  try {
    const connection = await nats.as('apiserver')
    const whole = new JetStreamLog(connection, 'EVENTS')
    for (const one of [
      'core.services.default.a',
      'core.pods.default.p',
      'core.services.default.a',
      'core.services.default.b',
      'core.pods.default.p'
    ])
      await whole.append([{ subject: `ev.${one}`, headers: {}, text: one }])
    const part = new JetStreamLog(connection, 'EVENTS', { filter: 'ev.core.services.>' })
    assert.equal(await newest(part, 5), ['3 a', '4 b'])
    assert.equal(await newest(part, 3), ['3 a', '4 b'])
    const jsm = await jetstreamManager(await nats.as('keeper'), { checkAPI: false })
    const names = (await jsm.consumers.list('EVENTS').next()).map(({ name }) => name)
    assert.ok(names.length <= 2, `${names.length} consumers were left behind`)
  } finally {
    await nats.stop()
  }
})
parts.run()

/** A source whose server counts more newest entries than it delivers. */
const forgetful = (missing: number, floor = 0): Source => {
  const state = { identity: 'it', first: 1, last: 8, messages: 8, bytes: 0, sealedFrom: 1, epoch: 0, losses: [], quarantined: [], floor }
  const entry = (sequence: number): LogEntry => ({ subject: subject(String(sequence)), sequence, headers: {}, text: '', time: 0 })
  return {
    stream: 'EVENTS',
    closed: false,
    verdict: () => 'again',
    open: async (from, wantsNewest): Promise<Consumer> => {
      const all = [5, 6, 7, 8]
      return {
        state,
        newest: wantsNewest,
        pending: wantsNewest ? all.length : 0,
        run: (onDelivery) => {
          if (!wantsNewest) return
          const there = all.slice(missing)
          for (const [at, sequence] of there.entries())
            onDelivery({ entry: entry(sequence), count: at + 1, pending: there.length - 1 - at })
        },
        close: async () => void from
      }
    }
  }
}

const short = suite('a server that leaves newest entries out')
short('is found out by its own count', async () => {
  const damage = await new Promise<unknown>((resolve) => {
    followSource(
      forgetful(1),
      { clock: { ...systemClock, after: (_, task) => systemClock.after(0, task) }, gapless: true },
      { from: 1, newestUpTo: 8, onEntries: () => {}, onCaughtUp: () => resolve('caught up'), onFailed: resolve }
    )
  })
  assert.instance(damage, LogDamaged)
  assert.match((damage as LogDamaged).message, 'the newest events of some of its 4 objects are missing')
})
short('and one that does not is believed', async () => {
  const outcome = await new Promise<unknown>((resolve) => {
    const subscription = followSource(
      forgetful(0),
      { clock: systemClock, gapless: true },
      { from: 1, newestUpTo: 8, onEntries: () => {}, onCaughtUp: () => resolve('caught up'), onFailed: resolve }
    )
    setTimeout(() => subscription.close(), 50)
  })
  assert.is(outcome, 'caught up')
})
short.run()
