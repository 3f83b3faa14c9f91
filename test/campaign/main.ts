/** `npm run campaign -- [--rounds N] [--only kill|freeze|disk|corrupt] [--seed S] [--longest SECONDS] [--containers]` */
import { spawnSync } from 'node:child_process'
import { campaign, lineOf } from './campaign.ts'
import { inOwnMounts } from '#test/support/smallDisk.ts'
import { KINDS, nameOf, planOf, type Kind } from './plan.ts'

const option = (name: string): string | undefined => {
  const at = process.argv.indexOf(name)
  return at < 0 ? undefined : process.argv[at + 1]
}
const given = option('--only')
if (given !== undefined && !(KINDS as readonly string[]).includes(given)) {
  console.error(`--only ${given}: must be one of ${KINDS.join(', ')}`)
  process.exit(2)
}
const number = (name: string, fallback: number): number => {
  const value = Number(option(name) ?? fallback)
  if (Number.isInteger(value) && value > 0) return value
  console.error(`${name}: must be a number above 0`)
  process.exit(2)
}
const options = {
  rounds: number('--rounds', 20),
  seed: number('--seed', 1),
  longest: number('--longest', 60),
  containers: process.argv.includes('--containers'),
  ...(given === undefined ? {} : { only: given as Kind })
}

if (process.argv.includes('--plan')) for (const [at, round] of planOf(options).entries()) console.log(`${at + 1}  ${nameOf(round)}`)
else if (spawnSync('unshare', ['--mount', 'true']).status !== 0) {
  console.error('the campaign mounts a disk of its own and fills it: run it as root')
  process.exitCode = 2
} else if (options.containers || inOwnMounts(import.meta.filename, process.argv.slice(2))) {
  // Volumes that the agent mounts for containers must be seen by Docker Engine: with them, the mounts are the machine's.
  process.env['RECKON_SUPERVISOR'] = 'parent'
  const again = `npm run campaign -- ${process.argv.slice(2).join(' ')}${option('--seed') === undefined ? ` --seed ${options.seed}` : ''}`
  const began = Date.now()
  const { results, verdict, faults } = await campaign({ ...options, say: (line) => console.log(line) })
  const outages = results.flatMap(({ outageMs }) => (outageMs === undefined ? [] : [outageMs])).sort((a, b) => a - b)
  console.log(`\n${results.length} rounds in ${Math.round((Date.now() - began) / 1000)} s, seed ${options.seed}`)
  if (verdict !== undefined)
    console.log(
      `${verdict.acknowledged} acknowledged writes, ${verdict.events} events; without a write, at the median round ${Math.round(outages[Math.floor(outages.length / 2)] ?? 0)} ms, at the worst ${Math.round(outages.at(-1) ?? 0)} ms`
    )
  for (const result of results.filter((one) => one.faults.length > 0)) console.log(lineOf(result))
  for (const fault of verdict?.faults ?? []) console.log(`FAIL      ${fault}`)
  console.log(faults.length === 0 ? 'everything holds' : `${faults.length} faults; again: ${again}`)
  process.exit(faults.length === 0 ? 0 : 1)
}
