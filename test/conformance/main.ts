/** `npm run conformance`: Kubernetes' own conformance suite, spec by spec, and a page that says what came of each. */
import { dirname, join, resolve } from 'node:path'
import Docker from 'dockerode'
import { PROJECT } from '#ops/setup/project.ts'
import { ensureMachine } from '#ops/setup/setup.ts'
import { carryOut } from './campaign.ts'
import { startOwnCluster, targetOf, type OwnCluster } from './cluster.ts'
import { ensureSuiteImages } from './images/images.ts'
import { type Options, parseOptions, USAGE } from './options.ts'
import { commitOf, machineOf, openPage } from './page.ts'
import { planOf } from './specs.ts'
import { buildSuite, FOLDER, SUITE } from './suite.ts'

const say = (line: string): void => void process.stdout.write(`${line}\n`)

/** The exit code: 0 when every spec that was asked for has passed. */
const conformance = async (options: Options, signal: AbortSignal): Promise<number> => {
  const suite = await buildSuite(say)
  const page = openPage(resolve(options.table ?? join(PROJECT, 'ops/docs/conformance.md')), SUITE)
  const asked = suite.specs.filter((spec) => options.focus?.test(spec) !== false)
  const plan = planOf(suite.specs, page.results, options)
  const count = plan.together.length + plan.alone.length
  say(`${asked.length} of ${suite.specs.length} specs of Kubernetes ${SUITE}, ${count} to run`)
  if (options.list) for (const spec of [...plan.together, ...plan.alone]) say(spec)
  if (options.list || count === 0) return 0
  const home = join(FOLDER, 'home')
  if (options.kubeconfig === undefined) await ensureMachine(say, home)
  const docker = new Docker()
  await ensureSuiteImages(docker, suite, say)
  if (signal.aborted) return 130
  const logs = join(FOLDER, 'logs')
  let own: OwnCluster | undefined
  try {
    if (options.kubeconfig === undefined) {
      say('starting a cluster')
      own = await startOwnCluster(home, say)
    }
    const target = await targetOf(resolve(own?.kubeconfig ?? (options.kubeconfig as string)))
    const commit = await commitOf()
    const circumstances = {
      suite: SUITE,
      server: `${target.version}${own === undefined || commit === undefined ? '' : ` (${commit})`}`,
      date: new Date().toISOString().slice(0, 10),
      machine: await machineOf(docker),
      limit: options.limit
    }
    const { kubeconfig } = target
    const registries = suite.images.map((reference) => reference.slice(0, reference.indexOf('/')))
    const places = [FOLDER, dirname(kubeconfig), ...new Set(registries)]
    const keep = (result: Parameters<Parameters<typeof carryOut>[0]['keep']>[0]): void => {
      page.results.set(result.spec, result)
      page.write(suite.specs, circumstances)
    }
    say(`${target.version} is tested; what specs print is in ${logs}`)
    const { jobs, limit: limitSeconds } = options
    await carryOut({ suite, kubeconfig, logs, limitSeconds, plan, target, jobs, places, signal, report: say, keep })
  } finally {
    if (own !== undefined) {
      say('removing the cluster')
      await own.remove(join(logs, 'cluster.log')).catch((error: Error) => say(`it was not removed: ${error.message}`))
    }
  }
  const passed = asked.filter((spec) => page.results.get(spec)?.outcome === 'passed').length
  const missing = asked.filter((spec) => !page.results.has(spec)).length
  say(`${passed} of ${asked.length} passed${missing > 0 ? `, ${missing} not run; the same command goes on` : ''}`)
  return signal.aborted ? 130 : passed === asked.length ? 0 : 1
}

const main = async (): Promise<number> => {
  const args = process.argv.slice(2)
  if (args.includes('--help')) {
    say(USAGE)
    return 0
  }
  let options: Options
  try {
    options = parseOptions(args)
  } catch (error) {
    process.stderr.write(`reckon: ${(error as Error).message}\n\n${USAGE}\n`)
    return 2
  }
  const interrupted = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => {
      if (!interrupted.signal.aborted) say('interrupted: what runs is ended, and the same command goes on later')
      interrupted.abort()
    })
  return conformance(options, interrupted.signal).catch((error: Error) => {
    // What a build or a start says of a signal that it got as well is no news.
    if (interrupted.signal.aborted) return 130
    throw error
  })
}

// A reader that has seen enough (`npm run conformance | head`) is no reason to stop half way.
process.stdout.on('error', () => {})
main().then(
  (code) => process.exit(code),
  (error: Error) => {
    process.stderr.write(`reckon: ${error.message}\n`)
    process.exit(1)
  }
)
