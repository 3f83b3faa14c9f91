/** Room on the log's disk: thresholds, steps and their edges, the reserve, and the server that must be started again. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { amount, reserveAction, roomOf, ROOMS, spare, thresholdsOf, wordsOf, type Room } from '#services/platform/disk/decide.ts'
import { FileReserve, MemoryDisk } from '#services/platform/disk/Disk.ts'
import { DiskWatch } from '#services/platform/disk/DiskWatch.ts'
import { Appends } from '#services/platform/jetstream/Appends.ts'
import { VirtualClock } from '#test/simulation/VirtualClock.ts'

const MIB = 1024 * 1024
const GIB = 1024 * MIB
const disk = suite("the log's disk")

disk('thresholds are parts of a small disk, and no more than is of use of a large one', () => {
  const small = thresholdsOf(10 * GIB)
  assert.equal(
    [small.low, small.noCreates, small.deletesOnly, small.reserve].map((bytes) => Math.round(bytes / MIB)),
    [1024, 512, 205, 128]
  )
  const large = thresholdsOf(4096 * GIB)
  assert.equal([large.low, large.noCreates, large.deletesOnly, large.reserve], [4 * GIB, GIB, 256 * MIB, 128 * MIB])
})
disk('settings are amounts or parts, and never let a step begin after the next one', () => {
  const given = thresholdsOf(100 * GIB, { low: '1Gi', noCreates: '2%', deletesOnly: '3Gi', reserve: '64Mi' })
  assert.equal(given, { low: 3 * GIB, noCreates: 3 * GIB, deletesOnly: 3 * GIB, reserve: 64 * MIB })
  for (const wrong of ['lots', '100%', '-1Gi', '5 %', ''])
    assert.throws(() => thresholdsOf(GIB, { low: wrong }), /disk\.low: ".*" is neither/)
})

disk('the reserve does not make the folder of a log that is gone', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'reckon-reserve-'))
  try {
    const reserve = new FileReserve(join(folder, 'reserve'))
    await reserve.take(MIB)
    assert.ok(reserve.held() >= MIB)
    rmSync(folder, { recursive: true })
    await reserve.take(MIB).then(
      () => assert.unreachable('there is a reserve of nothing'),
      ({ code }: NodeJS.ErrnoException) => assert.is(code, 'ENOENT')
    )
    assert.not(existsSync(folder))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

disk('a reserve that could not be taken leaves nothing that holds room back unseen', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'reckon-reserve-'))
  try {
    mkdirSync(join(folder, 'reserve/in-the-way'), { recursive: true })
    await new FileReserve(join(folder, 'reserve')).take(MIB).then(
      () => assert.unreachable('there is a reserve in the place of a folder'),
      () => undefined
    )
    assert.equal(readdirSync(folder), ['reserve'])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

const thresholds = thresholdsOf(1000 * MIB)
const room = (free: number, before: Room = 'plenty', held = thresholds.reserve): Room =>
  roomOf(before, { total: 1000 * MIB, free: free * MIB }, thresholds, held)

disk('less and less room', () => {
  assert.equal(
    [500, 100, 99, 50, 49, 20, 19, 0].map((free) => room(free)),
    ['plenty', 'plenty', 'low', 'low', 'no-creates', 'no-creates', 'deletes-only', 'deletes-only']
  )
})
disk('a step is left only with a tenth more than what began it', () => {
  assert.is(room(52, 'no-creates'), 'no-creates')
  assert.is(room(56, 'no-creates'), 'low')
  assert.is(room(105, 'no-creates'), 'low')
  assert.is(room(21, 'deletes-only'), 'deletes-only')
  assert.is(room(23, 'deletes-only'), 'no-creates')
  assert.is(room(500, 'none'), 'plenty')
})
disk('a reserve that was given up counts as used', () => {
  assert.is(spare({ total: 0, free: 30 * MIB }, thresholds, 0), 10 * MIB)
  assert.is(room(30, 'plenty', 0), 'deletes-only')
})
disk('files run out as well', () => {
  const files = (freeFiles: number): Room =>
    roomOf('plenty', { total: 1000 * MIB, free: 900 * MIB, freeFiles }, thresholds, thresholds.reserve)
  assert.equal([5_000, 1_000, 200, 10].map(files), ['plenty', 'low', 'no-creates', 'deletes-only'])
})
disk('the reserve is given up when hardly anything is left, and taken back when that leaves room to work', () => {
  const act = (free: number, held: number, stuck = false): string =>
    reserveAction({ total: 0, free: free * MIB }, thresholds, held * MIB, stuck)
  assert.is(act(6, 20), 'keep')
  assert.is(act(4, 20), 'give')
  assert.is(act(100, 20, true), 'give')
  assert.is(act(4, 0), 'keep')
  assert.is(act(41, 0), 'keep')
  assert.is(act(43, 0), 'take')
  assert.is(act(43, 0, true), 'keep')
})
disk('each step has words of its own, which do not change while it lasts', () => {
  assert.is(new Set(ROOMS.map((one) => wordsOf(one, thresholds))).size, ROOMS.length)
  assert.equal([0, 1023, 1024, 1536, 812.4 * MIB, 1.5 * GIB].map(amount), ['0 B', '1023 B', '1 KiB', '1.5 KiB', '812 MiB', '1.5 GiB'])
})

const scene = () => {
  const clock = new VirtualClock(1)
  const memory = new MemoryDisk(1000 * MIB)
  const appends = new Appends()
  const said: string[] = []
  const restarts: number[] = []
  const self = { complains: false, answers: true }
  const watch = new DiskWatch({
    disk: memory,
    reserve: memory,
    clock,
    appends,
    complaint: () => self.complains,
    answers: async () => self.answers,
    restart: async () => {
      restarts.push(clock.elapsed)
      self.complains = false
    },
    report: (line) => said.push(line)
  })
  return { clock, memory, appends, said, restarts, self, watch }
}

disk('a new cluster holds its reserve back from the first moment, and says nothing', async () => {
  const { watch, memory, said } = scene()
  await watch.start()
  assert.is(memory.held(), 20 * MIB)
  assert.is(watch.state?.room, 'plenty')
  assert.equal(said, [])
  watch.stop()
})
disk('filled by others: steps down, the reserve given up, and up again', async () => {
  const { watch, memory, clock, said } = scene()
  const rooms: Room[] = []
  watch.onChange(({ room: now }) => rooms.push(now))
  await watch.start()
  for (const used of [900, 940, 970, 979]) {
    memory.used = used * MIB
    await clock.run(2_000)
  }
  assert.equal(rooms, ['low', 'no-creates', 'deletes-only'])
  assert.is(memory.held(), 0)
  assert.ok(said.some((line) => /20 MiB held back for this are given up/.test(line)))
  memory.used = 0
  await clock.run(2_000)
  assert.is(rooms.at(-1), 'plenty')
  assert.is(memory.held(), 20 * MIB)
  watch.stop()
})
disk('a server that met the end of the disk is started again once something can be written', async () => {
  const { watch, memory, clock, self, restarts } = scene()
  await watch.start()
  memory.used = 1000 * MIB
  self.complains = true
  await clock.run(1_500)
  // The reserve is room enough.
  assert.is(restarts.length, 0, 'everything is used, the reserve too')
  assert.is(watch.state?.room, 'none')
  assert.match(watch.state?.fault ?? '', /no space left/)
  memory.used = 990 * MIB
  await clock.run(1_000)
  assert.is(restarts.length, 1)
  assert.is(watch.state?.room, 'deletes-only')
  watch.stop()
})
disk('one that does not store after it was started again is not started again at once', async () => {
  const { watch, clock, appends, restarts } = scene()
  await watch.start()
  for (let n = 0; n < 120; n++) {
    appends.note('full')
    await clock.run(500)
  }
  const pauses = restarts.slice(1).map((at, n) => at - (restarts[n] as number))
  assert.ok(restarts.length >= 4 && restarts.length <= 8, `${restarts.length} in a minute`)
  assert.ok((pauses.at(-1) as number) > 9_000, pauses.join(', '))
  appends.note('stored')
  await clock.run(2_000)
  appends.note('full')
  const before = restarts.length
  await clock.run(1_500)
  assert.is(restarts.length, before + 1, 'one that had stored is started again at once')
  watch.stop()
})
disk('writes without an answer: only a log that answers questions is stuck, another is away', async () => {
  const { watch, clock, appends, self, said, restarts } = scene()
  await watch.start()
  self.answers = false
  appends.note('unanswered')
  appends.note('unanswered')
  await clock.run(3_000)
  assert.is(restarts.length, 0)
  self.answers = true
  await clock.run(1_500)
  assert.is(restarts.length, 0, 'what was not answered while it was away says nothing of how it writes now')
  assert.ok(!said.some((line) => /given up/.test(line)))
  appends.note('unanswered')
  await clock.run(1_500)
  assert.is(restarts.length, 1)
  watch.stop()
})
disk('a disk that takes nothing, whatever it says is free', async () => {
  const { watch, clock, memory, self, restarts } = scene()
  await watch.start()
  memory.broken = 'EROFS: read-only file system'
  self.complains = true
  await clock.run(2_000)
  assert.is(watch.state?.room, 'none')
  assert.is(restarts.length, 0)
  memory.broken = undefined
  await clock.run(1_000)
  assert.is(restarts.length, 1)
  assert.is(watch.state?.room, 'plenty')
  watch.stop()
})
disk.run()
