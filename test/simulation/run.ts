/** Runs seeds: `node test/simulation/run.ts --seeds 1000 [--from 1] [--seed N --trace] [--api-servers 2]`. */
import { simulate } from './simulate.ts'

const option = (name: string, fallback: number): number => {
  const at = process.argv.indexOf(name)
  return at < 0 ? fallback : Number(process.argv[at + 1])
}
const single = option('--seed', 0)
const from = single > 0 ? single : option('--from', 1)
const count = single > 0 ? 1 : option('--seeds', 100)
const apiServers = option('--api-servers', 1)
const trace = process.argv.includes('--trace')
const began = Date.now()
let failed = 0
let events = 0
for (let seed = from; seed < from + count; seed++) {
  const outcome = await simulate(seed, { apiServers, ...(trace ? { trace: (line: string) => console.log(line) } : {}) })
  events += outcome.events
  if (outcome.faults.length === 0) continue
  failed += 1
  console.log(`seed ${seed} failed: ${outcome.faults.slice(0, 5).join('; ')}${outcome.faults.length > 5 ? ` and ${outcome.faults.length - 5} more` : ''}\n  again: node test/simulation/run.ts --seed ${seed}${apiServers > 1 ? ` --api-servers ${apiServers}` : ''} --trace`)
}
const seconds = (Date.now() - began) / 1000
console.log(`${count - failed} of ${count} seeds hold; ${events} events; ${(count / seconds).toFixed(1)} seeds/s`)
process.exit(failed === 0 ? 0 : 1)
