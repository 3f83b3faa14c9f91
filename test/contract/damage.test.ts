/** What both twins of the log do when entries are missing: a follower stops and says which; accepted losses stop nobody. */
import { jetstreamManager } from '@nats-io/jetstream'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { LogDamaged, type Damage, type Log, type Range } from '#events/Log.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { EPOCH, LOSSES, textOfRanges } from '#services/platform/jetstream/metadata.ts'
import { MemoryLog } from '#services/platform/MemoryLog.ts'
import { startNats, type TestNats } from '#test/support/nats.ts'

interface Broken {
  readonly log: Log
  /** Makes a hole of the entries on a subject. */
  remove(subject: string, range: Range): Promise<void>
  accept(losses: readonly Range[]): Promise<void>
  close(): Promise<void>
}

const subject = (name: string): string => `ev.core.configmaps.default.${name}`

/** What a follower got, and what ended it, if anything did before it had caught up. */
const follow = (log: Log): Promise<{ readonly seen: readonly number[]; readonly damage?: Damage }> =>
  new Promise((resolve, reject) => {
    const seen: number[] = []
    const subscription = log.follow({
      from: 1,
      onEntries: (entries) => void seen.push(...entries.map(({ sequence }) => sequence)),
      onCaughtUp: () => (subscription.close(), resolve({ seen })),
      onFailed: (error) => (error instanceof LogDamaged ? resolve({ seen, damage: error.damage }) : reject(error))
    })
  })

const contract = (name: string, open: () => Promise<Broken>): void => {
  const damaged = suite(`a log with holes: ${name}`)
  let it: Broken
  damaged.before(async () => {
    it = await open()
    for (const name of ['a', 'b', 'c', 'd', 'e']) await it.log.append([{ subject: subject(name), headers: {}, text: name, expected: 0 }])
  })
  damaged.after(() => it.close())

  damaged('is followed whole while it is whole', async () => {
    assert.equal(await follow(it.log), { seen: [1, 2, 3, 4, 5] })
  })
  damaged('is followed up to its first hole, which is named', async () => {
    await it.remove(subject('c'), { first: 3, last: 3 })
    const { seen, damage } = await follow(it.log)
    assert.equal([seen, damage?.kind, damage?.ranges, damage?.verified], [[1, 2], 'hole', [{ first: 3, last: 3 }], 2])
  })
  damaged('is followed past holes that were accepted', async () => {
    await it.accept([{ first: 3, last: 3 }])
    assert.equal(await follow(it.log), { seen: [1, 2, 4, 5] })
  })
  damaged('has a hole at its end as well, and at its beginning', async () => {
    await it.remove(subject('e'), { first: 5, last: 5 })
    assert.equal((await follow(it.log)).damage?.ranges, [{ first: 5, last: 5 }])
    await it.remove(subject('a'), { first: 1, last: 1 })
    assert.equal((await follow(it.log)).damage?.ranges, [{ first: 1, last: 1 }])
    await it.accept([
      { first: 1, last: 1 },
      { first: 3, last: 3 },
      { first: 5, last: 5 }
    ])
    assert.equal(await follow(it.log), { seen: [2, 4] })
  })
  damaged('gives out no sequence again', async () => {
    assert.equal(await it.log.append([{ subject: subject('f'), headers: {}, text: 'f', expected: 0 }]), { ok: true, first: 6, last: 6 })
  })
  damaged.run()
}

contract('memory', async () => {
  const log = new MemoryLog('EVENTS', systemClock)
  return { log, remove: async (_, remove) => log.damage({ remove }), accept: async (losses) => log.accept(losses), close: async () => {} }
})

contract('JetStream', async () => {
  const nats: TestNats = await startNats()
  const jsm = await jetstreamManager(await nats.as('keeper'), { checkAPI: false })
  return {
    log: new JetStreamLog(await nats.as('apiserver'), 'EVENTS'),
    remove: async (filter) => void (await jsm.streams.purge('EVENTS', { filter })),
    accept: async (losses) => {
      const { config } = await jsm.streams.info('EVENTS')
      await jsm.streams.update('EVENTS', { ...config, metadata: { ...config.metadata, [LOSSES]: textOfRanges(losses), [EPOCH]: '1' } })
    },
    close: () => nats.stop()
  }
})
