/** Carries a plan out: so many specs at a time, then those that run alone; a result is kept the moment it is there. */
import type { Report } from '#ops/setup/project.ts'
import type { Target } from './cluster.ts'
import { quiet, sweep } from './namespaces.ts'
import { resultOf } from './report.ts'
import type { Result } from './results.ts'
import { runSpec, type SpecRun } from './run.ts'
import type { Plan } from './specs.ts'

export interface Campaign extends SpecRun {
  readonly plan: Plan
  readonly target: Target
  readonly jobs: number
  /** Folders and registries that failures' words have without. */
  readonly places: readonly string[]
  readonly signal: AbortSignal
  readonly report: Report
  keep(result: Result): void
}

/** What runs alone waits so long for the namespaces of before to be gone. */
const QUIET_SECONDS = 120

/** Characters of a failure's words that are shown as it happens; the page has more. */
const SHOWN = 200

export const carryOut = async (campaign: Campaign): Promise<void> => {
  const { plan, target, jobs, signal, report } = campaign
  const all = plan.together.length + plan.alone.length
  let ended = 0
  const clean = async (run: string | undefined): Promise<void> => {
    if (run === undefined) return
    const left = await sweep(target, run).catch((error: Error) => void report(`  what it left was not looked for: ${error.message}`))
    if (left !== undefined && left > 0) report(`  removed ${left} namespace${left === 1 ? '' : 's'} that it left behind`)
  }
  const one = async (spec: string): Promise<void> => {
    const ending = await runSpec(spec, campaign, signal)
    if (ending.interrupted) return clean(ending.run)
    const result = resultOf(spec, ending, campaign.places)
    campaign.keep(result)
    const count = `${String(++ended).padStart(String(all).length)}/${all}`
    report(`${count}  ${result.outcome.padEnd(9)} ${String(result.seconds).padStart(4)} s  ${spec}`)
    if (result.words !== '') report(`${' '.repeat(count.length + 2)}${result.words.slice(0, SHOWN)}`)
    await clean(ending.run)
  }
  const queue = [...plan.together]
  const worker = async (): Promise<void> => {
    for (let spec = queue.shift(); spec !== undefined && !signal.aborted; spec = queue.shift()) await one(spec)
  }
  await Promise.all(Array.from({ length: jobs }, worker))
  for (const spec of plan.alone) {
    if (signal.aborted) return
    const left = await quiet(target, QUIET_SECONDS, signal)
    if (left.length > 0 && !signal.aborted) report(`  not gone after ${QUIET_SECONDS} s: ${left.join(', ')}`)
    if (!signal.aborted) await one(spec)
  }
}
