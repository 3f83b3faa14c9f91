/**
 * Fuzzes an API server: `npm run fuzz -- --runs 100000 --seed 7`. Every request follows from the seed and its number alone, so
 * `--seed S --only N` sends one again. `--kubeconfig FILE` (and `--server URL`) fuzzes a server that runs already.
 */
import { parseArgs } from 'node:util'
import { curlOf, Fuzzer, newReport, type Failure, type Report } from './fuzzer.ts'
import { connectTo, startInProcess, type Running } from './targets.ts'

/** A server in this process keeps its whole history in memory: after so many requests a new one begins. */
const RENEWED = 20_000
const SAID = 10

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '20000' },
    seed: { type: 'string' },
    only: { type: 'string' },
    server: { type: 'string' },
    kubeconfig: { type: 'string' }
  }
})
const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed)
const runs = Number(values.runs)
const only = values.only === undefined ? undefined : Number(values.only)
const say = (line: string): void => void process.stdout.write(`${line}\n`)

const begin = (): Promise<Running> => (values.kubeconfig === undefined ? startInProcess() : connectTo(values.server, values.kubeconfig))

const tell = async (fuzzer: Fuzzer, failure: Failure): Promise<void> => {
  say(`\n--- request ${failure.index} of seed ${seed}: ${failure.why}`)
  say(curlOf(await fuzzer.shrink(failure).catch(() => failure.request)))
}

/** Failures that say the same are told once: by their words without numbers and names. */
const kindOf = ({ why }: Failure): string =>
  why
    .replace(/\d+/g, '#')
    .replace(/"[^"]*"/g, '"…"')
    .slice(0, 160)

const summary = ({ codes, requests, decided, followed, slowest, failures }: Report, seconds: number): void => {
  const share = (count: number): string => `${((100 * count) / requests).toFixed(1)} %`
  say(
    `\n${requests} requests in ${seconds.toFixed(0)} s (${(requests / seconds).toFixed(0)}/s), ${share(decided)} of them authenticated, routed and decoded, ${followed} accepted objects read back in every way, ${failures.length} failures; peak memory ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB`
  )
  for (const [code, count] of [...codes].toSorted(([a], [b]) => a - b)) say(`  ${code}  ${String(count).padStart(7)}  ${share(count)}`)
  say(`slowest: ${slowest.map(({ ms, index, what }) => `${ms.toFixed(0)} ms (${index}, ${what})`).join(', ')}`)
}

say(`seed ${seed}`)
const report = newReport()
const told = new Set<string>()
const began = performance.now()
let running = await begin()
let fuzzer = new Fuzzer(running.target, running.document, seed, report)
for (let index = only ?? 0; index < (only === undefined ? runs : only + 1); index++) {
  if (values.kubeconfig === undefined && index > 0 && index % RENEWED === 0 && only === undefined) {
    await running.stop()
    running = await begin()
    fuzzer = new Fuzzer(running.target, running.document, seed, report)
  }
  const before = report.failures.length
  await fuzzer.step(index)
  const failure = report.failures[before]
  if (failure !== undefined && told.size < SAID * 5 && !told.has(kindOf(failure))) {
    told.add(kindOf(failure))
    await tell(fuzzer, failure)
  }
  if (only !== undefined) say(curlOf(fuzzer.request(index)))
  else if (index % 5_000 === 4_999) say(`… ${index + 1}, ${report.failures.length} failures`)
}
await running.stop()
summary(report, (performance.now() - began) / 1000)
process.exit(report.failures.length > 0 ? 1 : 0)
