/** The entry of `reckon`: joins the command tree with this machine's cluster. What a command does not need is not loaded. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import * as NodeRuntime from '@effect/platform-node/NodeRuntime'
import * as NodeServices from '@effect/platform-node/NodeServices'
import * as Command from 'effect/cli/Command'
import * as Effect from 'effect/Effect'
import * as Layer from 'effect/Layer'
import project from '../package.json' with { type: 'json' }
import { commands } from '#services/cli/cli.ts'
import { CliError, Environment } from '#services/cli/Environment.ts'
import { resolveHome } from './environment.ts'
import { readConfig, type ClusterConfig } from './home.ts'

const home = resolveHome()

const config = (): ClusterConfig => {
  const found = readConfig(home)
  if (found === undefined)
    throw new CliError(
      `error: there is no cluster in ${home}; start one with \`npm start\` or \`reckon up\`, or name its folder in RECKON_HOME`
    )
  return found
}

const refusedConnection = (error: unknown): never => {
  const { code } = error as { code?: string }
  if (code === 'ECONNREFUSED') throw new CliError(`error: the cluster in ${home} does not run; start it with \`reckon up\``)
  throw error
}

const read: Environment['Service']['read'] = async (path, { accept, moment } = {}) => {
  const { ask } = await import('./ask.ts')
  const from = moment === undefined ? '' : `/at/${encodeURIComponent(moment)}`
  return ask(home, config(), `${from}${path}`, accept).catch(refusedConnection)
}

/** This machine's cluster. */
const here = Layer.succeed(Environment, {
  version: project.version,
  home,
  kubeconfig: () => {
    const path = join(home, 'kubeconfig')
    if (!existsSync(path)) throw new CliError(`error: there is no cluster in ${home}; start one with \`npm start\` or \`reckon up\``)
    return path
  },
  api: async (moment) => {
    const [{ builtInApi }, { servedApi }] = await Promise.all([import('#events/scheme.ts'), import('#services/cli/servedApi.ts')])
    return servedApi(builtInApi(), read, moment)
  },
  read,
  connect: async ({ patient = false } = {}) => {
    const { connectNats } = await import('./nats/connect.ts')
    return connectNats(home, config(), 'admin', { waitOnFirstConnect: false, maxReconnectAttempts: patient ? -1 : 100 }).catch(() => {
      throw new CliError(`error: the cluster's log in ${home} can't be reached; start the cluster with \`reckon up\``)
    })
  },
  up: async ({ demo, acceptLoss, report }) => (await import('./up.ts')).up({ home, demo, acceptLoss, report }),
  log: {
    verify: async (report) => (await import('./log/commands.ts')).verify(home, config(), report),
    strange: async (report) => (await import('./log/commands.ts')).strangeEntries(home, config(), report),
    quarantine: async (stream, sequences, report) =>
      (await import('./log/commands.ts')).quarantine(home, config(), stream, sequences, report),
    compact: async (request, report) => (await import('./log/commands.ts')).compactHistory(home, config(), request, report)
  },
  backup: {
    take: async (request, report) => (await import('./backup/commands.ts')).backup(home, config(), project.version, request, report),
    verify: async (request, report) => (await import('./backup/commands.ts')).verify(request, report),
    restore: async (request, report) => (await import('./backup/commands.ts')).restoreFrom(request, report)
  },
  nodes: {
    create: async (node) => (await import('./nodes.ts')).createNodeCredentials(home, config(), node),
    revoke: async (node) => (await import('./nodes.ts')).revokeNodeCredentials(home, config(), node),
    list: async () => (await import('./nodes.ts')).listNodeCredentials(home, config())
  },
  down: async ({ report }) => (await import('./up.ts')).down({ home, report }),
  status: async () => (await import('./up.ts')).status({ home }),
  run: (components, options) =>
    Effect.gen(function* () {
      yield* Effect.try({ try: config, catch: (error) => error })
      const { run } = yield* Effect.promise(() => import('./server.ts'))
      yield* Effect.scoped(run(home, components, options))
    })
})

process.stdout.on('error', () => process.exit(0))

/** `--at -5m`: a time ago looks like a flag to the parser, so it is joined to its own. */
const MOMENTS = new Set(['--at', '--from', '--to', '--before', '--since'])
const given = process.argv.slice(2)
const words = given.flatMap((word, at) =>
  MOMENTS.has(word) && given[at + 1] !== undefined ? [`${word}=${given[at + 1]}`] : MOMENTS.has(given[at - 1] ?? '') ? [] : [word]
)

const failed = (message: string): Effect.Effect<void> =>
  Effect.sync(() => {
    if (message !== '') process.stderr.write(`${message}\n`)
    process.exitCode = 1
  })

const program = Command.runWith(commands, { version: project.version })(words).pipe(
  Effect.provide(here),
  Effect.provide(NodeServices.layer),
  Effect.catchTag('CliError', ({ message }) => failed(message)),
  // What the parser refuses it has told already.
  Effect.catch(() => failed(''))
)

NodeRuntime.runMain(program, { disableErrorReporting: true, teardown: (_exit, done) => done(Number(process.exitCode ?? 0)) })
