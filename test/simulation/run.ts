/**
 * Runs seeds: `node test/simulation/run.ts --seeds 1000 [--from 1] [--seed N --trace] [--mixture '{"apiServers":3}']`, the
 * mixture instead of what a seed draws; or puts mistakes back that the seeds must find: `--put-back [--seeds 100] [--only WORDS]`.
 */
import { parseArgs } from 'node:util'
import { putBack } from './putBack.ts'
import type { Mixture } from './faults.ts'
import { simulate } from './simulate.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '100' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    trace: { type: 'boolean', default: false },
    mixture: { type: 'string', default: '{}' },
    'put-back': { type: 'boolean', default: false },
    only: { type: 'string', default: '' }
  }
})
const from = Number(values.seed ?? values.from)
const count = values.seed === undefined ? Number(values.seeds) : 1

if (values['put-back']) process.exit((await putBack(count, from, values.only, (line) => console.log(line))) ? 0 : 1)

const mixture = JSON.parse(values.mixture) as Partial<Mixture>
const began = Date.now()
let failed = 0
let events = 0
for (let seed = from; seed < from + count; seed++) {
  const outcome = await simulate(seed, {
    mixture,
    ...(values.trace ? { trace: (line: string) => console.log(line) } : {})
  })
  events += outcome.events
  if (outcome.faults.length === 0) continue
  failed += 1
  console.log(
    `seed ${seed} failed: ${outcome.faults.slice(0, 5).join('; ')}${outcome.faults.length > 5 ? ` and ${outcome.faults.length - 5} more` : ''}`
  )
  console.log(`  again: npm run simulate -- --seed ${seed}${values.mixture === '{}' ? '' : ` --mixture '${values.mixture}'`} --trace`)
}
const seconds = (Date.now() - began) / 1000
console.log(`${count - failed} of ${count} seeds hold; ${events} events; ${(count / seconds).toFixed(1)} seeds/s`)
process.exit(failed === 0 ? 0 : 1)
