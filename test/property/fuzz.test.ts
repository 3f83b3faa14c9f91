/** A whole API server, asked anything: see test/fuzz/. Here for half a minute; `npm run fuzz -- --runs N` for longer. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { curlOf, Fuzzer, type Report } from '#test/fuzz/fuzzer.ts'
import { startInProcess, type Running } from '#test/fuzz/targets.ts'

const FIXED = 20_260_701
const CHANCE = Math.floor(Math.random() * 2 ** 31)
const MOST_MIB = 1_500

const fuzz = suite('the API server')
let running: Running

fuzz.before(async () => {
  running = await startInProcess()
})
fuzz.after(() => running.stop())

/** Until so many requests are sent or the time is over; fails with what was found, as one would type it. */
const ask = async (seed: number, requests: number, ms: number): Promise<Report> => {
  const fuzzer = new Fuzzer(running.target, running.document, seed)
  const end = performance.now() + ms
  for (let index = 0; index < requests && performance.now() < end && fuzzer.report.failures.length === 0; index++) await fuzzer.step(index)
  const [failure] = fuzzer.report.failures
  if (failure !== undefined)
    assert.unreachable(
      `npm run fuzz -- --seed ${seed} --only ${failure.index} (after the ones before it): ${failure.why}\n${curlOf(await fuzzer.shrink(failure))}`
    )
  return fuzzer.report
}

const isMostlyDecided = ({ requests, decided, followed }: Report): void => {
  assert.ok(requests > 300, `only ${requests} requests were sent in the time`)
  assert.ok(decided / requests > 0.5, `of ${requests} requests only ${decided} were authenticated, routed and decoded`)
  assert.ok(followed > requests / 40, `of ${requests} requests only ${followed} accepted objects were read back`)
}

fuzz('answers the same requests as ever', async () => isMostlyDecided(await ask(FIXED, 6_000, 18_000)))
fuzz(`answers requests nobody has seen (seed ${CHANCE})`, async () => isMostlyDecided(await ask(CHANCE, 6_000, 14_000)))
fuzz('needs no more memory for it than it may', () => {
  const mib = process.resourceUsage().maxRSS / 1024
  assert.ok(mib < MOST_MIB, `${mib.toFixed(0)} MiB`)
})

fuzz.run()
