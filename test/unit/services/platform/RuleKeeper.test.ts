/** Looking after rules: at once when they are touched, seldom otherwise, never so often that it becomes the load. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { MemoryIptables } from '#services/platform/iptables/MemoryIptables.ts'
import { RuleKeeper, type Wanted } from '#services/platform/iptables/RuleKeeper.ts'
import type { Table } from '#services/platform/Iptables.ts'
import { parseTables } from '#services/platform/iptables/text.ts'
import { VirtualClock } from '#test/simulation/VirtualClock.ts'

const TEXT = [
  '*nat',
  ':OWN-A - [0:0]',
  ':OWN-B - [0:0]',
  '-A OWN-A -j OWN-B',
  '-A OWN-B -j RETURN',
  'COMMIT',
  '*filter',
  ':OWN-C - [0:0]',
  '-A OWN-C -j ACCEPT',
  'COMMIT',
  ''
].join('\n')
const JUMPS = [{ table: 'nat', chain: 'PREROUTING', rule: '-j OWN-A' }] as const

const lab = async (print: (text: string) => string = (text) => text) => {
  const clock = new VirtualClock(1)
  const iptables = new MemoryIptables()
  let [saves, writes, version, busy] = [0, 0, 0, false]
  const errors: unknown[] = []
  let slow = 0
  const write = async (): Promise<void> => {
    version++
    writes++
    const jump = (await iptables.save('nat')).includes('-A PREROUTING -j OWN-A') ? '' : '*nat\n-I PREROUTING -j OWN-A\nCOMMIT\n'
    await iptables.restore(TEXT + jump)
    version++
  }
  const wanted: Wanted = { chains: parseTables(TEXT), jumps: JUMPS }
  const seen = Object.assign(Object.create(iptables) as MemoryIptables, {
    save: async (table: Table) => {
      saves++
      if (slow > 0) await new Promise<void>((resolve) => void clock.after(slow, resolve))
      return print(await iptables.save(table))
    },
    watch: iptables.watch.bind(iptables)
  })
  const keeper = new RuleKeeper({
    iptables: seen,
    clock,
    prefix: 'OWN-',
    idle: () => new Promise((resolve) => (busy ? void clock.after(100, () => resolve()) : resolve())),
    version: () => version,
    wanted: () => wanted,
    write,
    onError: (error) => errors.push(error)
  })
  await write()
  writes = 0
  const it = {
    clock,
    iptables,
    keeper,
    errors,
    get saves() {
      return saves
    },
    get writes() {
      return writes
    },
    set slow(ms: number) {
      slow = ms
    },
    change: () => void version++
  }
  return it
}

const keeper = suite('RuleKeeper')

keeper('rules that are as written are looked at once a minute', async () => {
  const it = await lab()
  it.keeper.start()
  await it.clock.run(10 * 60_000)
  assert.is(it.writes, 0)
  assert.ok(it.saves <= 2 * 11, `${it.saves} tables read in ten minutes`)
  it.keeper.stop()
})
for (const command of ['-F', '-F OWN-B', '-D OWN-B -j RETURN', '-D PREROUTING -j OWN-A'])
  keeper(`iptables -t nat ${command}: written again within a second`, async () => {
    const it = await lab()
    const before = await it.iptables.save('nat')
    it.keeper.start()
    await it.clock.run(10_000)
    it.iptables.meddle('nat', command)
    await it.clock.run(1_000)
    assert.is(it.writes, 1)
    assert.is(await it.iptables.save('nat'), before)
    it.keeper.stop()
  })
keeper('chains that are gone, and chains of ours nobody wants, are both noticed', async () => {
  const it = await lab()
  it.keeper.start()
  await it.clock.run(10_000)
  it.iptables.meddle('nat', '-F')
  it.iptables.meddle('nat', '-X')
  await it.clock.run(1_000)
  assert.is(it.writes, 1)
  await it.iptables.restore('*filter\n:OWN-Z - [0:0]\nCOMMIT\n')
  assert.is(await it.keeper.look(), true)
  it.keeper.stop()
})
keeper('somebody who flushes all the time does not keep us busy all the time', async () => {
  const it = await lab()
  it.keeper.start()
  for (let n = 0; n < 600; n++) {
    it.iptables.meddle('nat', '-F')
    await it.clock.run(100)
  }
  assert.ok(it.writes >= 50 && it.writes <= 61, `${it.writes} times in a minute`)
  it.keeper.stop()
})
keeper('when looking takes long, it is done less often, yet within five seconds', async () => {
  const it = await lab()
  it.slow = 100
  it.keeper.start()
  await it.clock.run(10_000)
  it.iptables.meddle('nat', '-F')
  await it.clock.run(1_000)
  const first = it.writes
  it.iptables.meddle('nat', '-F')
  await it.clock.run(4_900)
  assert.equal([first, it.writes], [1, 2])
  it.keeper.stop()
})
keeper('a kernel that prints rules in other words is not written to for ever; what goes missing is still seen', async () => {
  const it = await lab((text) => text.replaceAll('-j RETURN', '-m comment --comment x -j RETURN'))
  it.keeper.start()
  await it.clock.run(10 * 60_000)
  assert.is(it.writes, 1)
  it.iptables.meddle('nat', '-D OWN-B -j RETURN')
  await it.clock.run(1_000)
  assert.is(it.writes, 2)
  it.keeper.stop()
})
keeper('what is being written is not taken for what others did', async () => {
  const it = await lab()
  it.slow = 50
  it.iptables.meddle('nat', '-F')
  const looked = it.keeper.look()
  // A write of our own falls between reading and comparing, and puts everything right.
  await it.clock.run(60)
  it.change()
  await it.iptables.restore(`${TEXT}*nat\n-I PREROUTING -j OWN-A\nCOMMIT\n`)
  await it.clock.run(5_000)
  assert.is(await looked, false)
  assert.is(it.writes, 0)
})
keeper('a failure is told, and tried again soon', async () => {
  const it = await lab()
  it.keeper.start()
  await it.clock.run(10_000)
  it.iptables.failNext = 'resource temporarily unavailable'
  it.iptables.meddle('nat', '-F')
  await it.clock.run(5_000)
  assert.is(it.errors.length, 1)
  assert.match(await it.iptables.save('nat'), '-A OWN-B -j RETURN')
  it.keeper.stop()
})
keeper('stopped, it looks no more', async () => {
  const it = await lab()
  it.keeper.start()
  await it.clock.run(10_000)
  it.keeper.stop()
  const { saves } = it
  it.iptables.meddle('nat', '-F')
  await it.clock.run(300_000)
  assert.is(it.saves, saves)
})
keeper.run()
