/** What is tried in a bare system: `npm start` until the demo answers and `npm stop` until nothing is left, and `npm test`. */
import type { Report } from '#ops/setup/project.ts'
import { look, whatIsLeft } from './left.ts'
import type { BareSystem, Ended } from './system.ts'

export interface Outcome {
  readonly name: string
  readonly ok: boolean
  readonly summary: string
  readonly passed: number
  readonly failed: number
  readonly milliseconds: number
}

const START_LIMIT_MS = 10 * 60_000
const STOP_LIMIT_MS = 2 * 60_000
const TEST_LIMIT_MS = 45 * 60_000

/** The demo's server is busybox's, whose answers are not quite HTTP. */
const ASK = `
require('node:http').get(process.argv[1], { insecureHTTPParser: true, timeout: 10_000 }, (answer) => {
  process.stdout.write(answer.statusCode + ' ')
  answer.pipe(process.stdout)
})`

const seconds = (since: number): string => `${((Date.now() - since) / 1000).toFixed(0)} s`

export const tryStart = async (system: BareSystem, clone: string, say: Report): Promise<Outcome> => {
  const began = Date.now()
  const steps: string[] = []
  const npm = (command: string, limitMs: number): Promise<Ended> =>
    system.run(['npm', command], { cwd: clone, limitMs, onLine: (line) => say(`  ${line}`) })
  const succeed = (what: string, { code, timedOut }: Ended): void => {
    if (timedOut) throw new Error(`${what} did not end in time`)
    if (code !== 0) throw new Error(`${what} ended with ${code}`)
  }
  try {
    const before = await look(system)
    const first = await npm('start', START_LIMIT_MS)
    succeed('npm start', first)
    steps.push(`started in ${seconds(began)}`)
    const address = /(http:\/\/127\.0\.0\.1:\d+) \(NodePort\)/.exec(first.output)?.[1]
    if (address === undefined) throw new Error('npm start names no address of the demo')
    const page = await system.run(['node', '-e', ASK, address], { limitMs: 30_000 })
    if (!/^200 .*<b>web-/s.test(page.output)) throw new Error(`the demo does not answer at ${address}: ${page.output.trim()}`)
    steps.push('the demo answers')
    const again = await npm('start', START_LIMIT_MS)
    succeed('the second npm start', again)
    if (!again.output.includes('is running already')) throw new Error('the second npm start does not say that the cluster runs already')
    const stopping = Date.now()
    succeed('npm stop', await npm('stop', STOP_LIMIT_MS))
    const left = whatIsLeft(before, await look(system))
    if (left.length > 0) throw new Error(`npm stop left behind: ${left.join('; ')}`)
    steps.push(`stopped in ${seconds(stopping)}, nothing left`)
    return { name: 'start', ok: true, summary: steps.join(', '), passed: 1, failed: 0, milliseconds: Date.now() - began }
  } catch (error) {
    return {
      name: 'start',
      ok: false,
      summary: [...steps, (error as Error).message].join(', '),
      passed: 0,
      failed: 1,
      milliseconds: Date.now() - began
    }
  }
}

export const tryTests = async (system: BareSystem, clone: string, selection: readonly string[], say: Report): Promise<Outcome> => {
  const began = Date.now()
  const before = await look(system)
  const { output, timedOut } = await system.run(['npm', 'test', '--', ...selection], {
    cwd: clone,
    limitMs: TEST_LIMIT_MS,
    onLine: (line) => say(`  ${line}`)
  })
  const counts = /(?:^|\n)(\d+) passed, (\d+) failed\n*$/.exec(output)?.slice(1).map(Number)
  const milliseconds = Date.now() - began
  // A runner that died before its summary has failed, whatever it printed until then.
  if (counts === undefined)
    return {
      name: 'test',
      ok: false,
      summary: timedOut ? 'did not end in time' : 'ended without a summary',
      passed: 0,
      failed: 1,
      milliseconds
    }
  const [passed = 0, failed = 0] = counts
  const faults = [...output.matchAll(/^FAIL (\S+)/gm)].map((match) => match[1] as string)
  const left = whatIsLeft(before, await look(system))
  if (left.length > 0) faults.push(`npm test left behind: ${left.join('; ')}`)
  if (passed + failed === 0) faults.push('no test ran')
  const all = failed + (left.length > 0 || passed + failed === 0 ? 1 : 0)
  return {
    name: 'test',
    ok: all === 0,
    summary: [`${passed} passed, ${failed} failed`, ...faults].join(', '),
    passed,
    failed: all,
    milliseconds
  }
}
