/** The command tree of `reckon`: names, flags and help; what they do is in `commands/`. */
import * as Argument from 'effect/cli/Argument'
import * as Command from 'effect/cli/Command'
import * as Flag from 'effect/cli/Flag'
import * as Effect from 'effect/Effect'
import * as Option from 'effect/Option'
import { COMPONENTS, type Component } from '../platform/components.ts'
import { CliError, Environment, type RunOptions } from './Environment.ts'
import { encoded, out, table } from './print.ts'

const namespace = Flag.String('namespace').pipe(Flag.withAlias('n'), Flag.withDefault('default'), Flag.withDescription('The namespace to look in'))
const data = Flag.Literals('output', ['table', 'json', 'yaml']).pipe(Flag.withAlias('o'), Flag.withDefault('table'), Flag.withDescription('How to print the result'))
const object = Argument.String('object').pipe(Argument.variadic(), Argument.withDescription('KIND/NAME, for example deployment/web'))
const or = <Value>(option: Option.Option<Value>): Value | undefined => Option.getOrUndefined(option)

/**
 * A command's work in the environment. Inside it is a promise: it loads what it needs, asks one question after the other and prints;
 * an effect for each step would say no more. It is told when the person has seen enough.
 */
const doing = (work: (environment: Environment['Service'], signal: AbortSignal) => Promise<void>): Effect.Effect<void, CliError, Environment> =>
  Effect.flatMap(Environment, (environment) => Effect.tryPromise({ try: (signal) => work(environment, signal), catch: told }))

/** Here to its end, in the foreground. */
const running = (components: readonly Component[], options?: RunOptions): Effect.Effect<void, CliError, Environment> =>
  Effect.flatMap(Environment, ({ run }) => run(components, options)).pipe(Effect.mapError(told))

/** Other failures than the person's, in their words. */
const told = (error: unknown): CliError =>
  error instanceof CliError ? error : new CliError(`error: ${error instanceof Error ? error.message : String(error)}`)

const report = (line: string): void => out(line)

const up = Command.make(
  'up',
  {
    demo: Flag.Boolean('demo').pipe(Flag.withDefault(false), Flag.withDescription('Also deploy the demo and wait until it answers')),
    acceptLoss: Flag.Boolean('accept-loss').pipe(Flag.withDefault(false), Flag.withDescription('Go on with what is left of a damaged log'))
  },
  ({ demo, acceptLoss }) => doing((environment) => environment.up({ demo, acceptLoss, report }))
).pipe(Command.withDescription('Start the cluster on this machine, in the background; installs what is missing'))
const verify = Command.make('verify', { output: data }, ({ output }) => doing(async (environment) => (await import('./commands/log.ts')).verify(environment, output))).pipe(
  Command.withDescription('Read the whole log and say what is missing, changed or not ours')
)
const quarantine = Command.make(
  'quarantine',
  {
    sequences: Argument.Int('sequence').pipe(Argument.variadic(), Argument.withDescription('Entries to put aside; none lists what could be')),
    stream: Flag.String('stream').pipe(Flag.withDefault('EVENTS'), Flag.withDescription('The stream they are in')),
    output: data
  },
  ({ sequences, stream, output }) => doing(async (environment) => (await import('./commands/log.ts')).quarantine(environment, stream, sequences, output))
).pipe(Command.withDescription("Put aside entries that are not this cluster's, or that can't be read"))
const compact = Command.make(
  'compact',
  {
    before: Flag.String('before').pipe(Flag.optional, Flag.withDescription('Up to when: -90d, RFC 3339, or a resourceVersion; settings.keepHistory otherwise')),
    dryRun: Flag.Boolean('dry-run').pipe(Flag.withDefault(false), Flag.withDescription('Say what would go, and change nothing')),
    output: data
  },
  ({ before, dryRun, output }) => doing(async (environment) => (await import('./commands/log.ts')).compact(environment, { before: or(before), dryRun }, output))
).pipe(Command.withDescription('Let go of old history, but for the version each object had at the end of it'))
const log = Command.make('log').pipe(Command.withDescription('Look after the log itself'), Command.withSubcommands([verify, quarantine, compact]))
const folder = Argument.String('folder').pipe(Argument.withDescription("The backup's folder"))
const encrypt = Flag.Boolean('encrypt').pipe(Flag.withDefault(false), Flag.withDescription('Encrypt everything in the folder (with --passphrase-file)'))
const passphraseFile = Flag.String('passphrase-file').pipe(Flag.optional, Flag.withDescription('A file whose first line is the passphrase'))
const checkBackup = Command.make('verify', { folder, passphraseFile, output: data }, (given) =>
  doing(async (environment) => (await import('./commands/backup.ts')).verify(environment, { folder: given.folder, encrypt: false, passphraseFile: or(given.passphraseFile) }, given.output))
).pipe(Command.withDescription('Read all of a backup and say whether it is whole; needs no cluster'))
const backup = Command.make('backup', { folder, encrypt, passphraseFile, output: data }, (given) =>
  doing(async (environment) => (await import('./commands/backup.ts')).backup(environment, { folder: given.folder, encrypt: given.encrypt, passphraseFile: or(given.passphraseFile) }, given.output))
).pipe(Command.withDescription('Back up the cluster to a folder, or what is new since the last time'), Command.withSubcommands([checkBackup]))
const restore = Command.make(
  'restore',
  {
    folder,
    to: Flag.String('to').pipe(Flag.optional, Flag.withDescription("Up to a moment: RFC 3339, -15m (before the backup's end), or a resourceVersion")),
    home: Flag.String('home').pipe(Flag.optional, Flag.withDescription('The empty folder to restore into; RECKON_HOME otherwise')),
    passphraseFile,
    skip: Flag.Int('skip').pipe(Flag.withDefault(1_000_000), Flag.withDescription('resourceVersions to leave out behind the backup: the lost cluster may have given them out')),
    asCopy: Flag.Boolean('as-copy').pipe(Flag.withDefault(false), Flag.withDescription('Beside the cluster it is of: with ports, networks and a name of its own')),
    output: data
  },
  (given) =>
    doing(async (environment) =>
      (await import('./commands/backup.ts')).restore(environment, { folder: given.folder, encrypt: false, passphraseFile: or(given.passphraseFile), to: or(given.to), home: or(given.home) ?? environment.home, skip: given.skip, asCopy: given.asCopy }, given.output)
    )
).pipe(Command.withDescription('Bring a backup back into an empty home, whole or up to a moment'))
const erase = Command.make(
  'erase',
  { names: Argument.String('name').pipe(Argument.variadic(), Argument.withDescription('Secrets that were deleted')), namespace, output: data },
  ({ names, namespace: where, output }) => doing(async (environment) => (await import('./commands/secrets.ts')).erase(environment, names, where, output))
).pipe(Command.withDescription('Make every version of a deleted Secret unreadable, in all of history'))
const secrets = Command.make('secrets').pipe(Command.withDescription('What history keeps of Secrets'), Command.withSubcommands([erase]))
const nodeName = Argument.String('node').pipe(Argument.withDescription("The node's name"))
const createCredentials = Command.make(
  'create',
  { node: nodeName, file: Flag.String('file').pipe(Flag.optional, Flag.withDescription('Where to write them, for its owner only; standard output otherwise')) },
  ({ node, file }) => doing(async (environment) => (await import('./commands/node.ts')).create(environment, node, or(file)))
).pipe(Command.withDescription('Make what a machine needs to be a node; valid at once'))
const revokeCredentials = Command.make('revoke', { node: nodeName }, ({ node }) => doing(async (environment) => (await import('./commands/node.ts')).revoke(environment, node))).pipe(
  Command.withDescription('End them: the node is cut off at once and can not come back')
)
const listCredentials = Command.make('list', { output: data }, ({ output }) => doing(async (environment) => (await import('./commands/node.ts')).list(environment, output))).pipe(
  Command.withDescription('Which nodes have credentials, and since when')
)
const credentials = Command.make('credentials').pipe(Command.withDescription('Who may come in as a node'), Command.withSubcommands([createCredentials, revokeCredentials, listCredentials]))
const node = Command.make('node').pipe(Command.withDescription('Look after nodes'), Command.withSubcommands([credentials]))
const down = Command.make('down', {}, () => doing((environment) => environment.down({ report }))).pipe(Command.withDescription('Stop the cluster; nothing is left but its history'))
const status = Command.make('status', { output: data }, ({ output }) =>
  doing(async (environment) => {
    const now = (await environment.status()) as Status
    if (output !== 'table') return out(encoded(now, output))
    out(statusText(now))
    if (!now.running) throw new CliError('')
  })
).pipe(Command.withDescription('What runs, and how much history there is'))
const kubeconfig = Command.make('kubeconfig', {}, () => doing(async (environment) => out(environment.kubeconfig()))).pipe(Command.withDescription("Print the path of the cluster's kubeconfig"))
const apply = Command.make(
  'apply',
  {
    file: Flag.String('filename').pipe(Flag.withAlias('f'), Flag.atLeast(0), Flag.withDescription('A manifest, a folder of manifests, or - for standard input')),
    namespace,
    recursive: Flag.Boolean('recursive').pipe(Flag.withAlias('R'), Flag.withDefault(false), Flag.withDescription('Look into folders in folders')),
    dryRun: Flag.Boolean('dry-run').pipe(Flag.withDefault(false), Flag.withDescription('Decide, but store nothing')),
    force: Flag.Boolean('force-conflicts').pipe(Flag.withDefault(false), Flag.withDescription('Take fields over that others own')),
    output: data
  },
  (given) => doing(async (environment) => (await import('./commands/apply.ts')).apply(environment, { files: given.file, namespace: given.namespace, recursive: given.recursive, dryRun: given.dryRun, force: given.force, format: given.output }))
).pipe(Command.withDescription('Publish manifests as intents on NATS (server-side apply)'))
const get = Command.make(
  'get',
  {
    words: Argument.String('kind').pipe(Argument.variadic(), Argument.withDescription('KIND [NAME…] or KIND/NAME')),
    namespace,
    all: Flag.Boolean('all-namespaces').pipe(Flag.withAlias('A'), Flag.withDefault(false), Flag.withDescription('Every namespace')),
    selector: Flag.String('selector').pipe(Flag.withAlias('l'), Flag.optional, Flag.withDescription('Labels to select by: app=web,tier!=back')),
    output: Flag.Literals('output', ['table', 'wide', 'json', 'yaml', 'name']).pipe(Flag.withAlias('o'), Flag.withDefault('table'), Flag.withDescription('How to print the result')),
    at: Flag.String('at').pipe(Flag.optional, Flag.withDescription('A moment: RFC 3339, -5m, or a resourceVersion'))
  },
  (given) => doing(async (environment) => (await import('./commands/get.ts')).get(environment, { words: given.words, namespace: given.namespace, all: given.all, selector: or(given.selector), format: given.output, at: or(given.at) }))
).pipe(Command.withDescription('Show objects, now or as of any moment'))
const history = Command.make(
  'history',
  { object, namespace, limit: Flag.Int('limit').pipe(Flag.withDefault(0), Flag.withDescription('The last so many changes; 0 for all')), output: data },
  (given) => doing(async (environment) => (await import('./commands/history.ts')).history(environment, { words: given.object, namespace: given.namespace, limit: given.limit, format: given.output }))
).pipe(Command.withDescription('List each change of an object: who, when, what'))
const why = Command.make('why', { object, namespace, output: data }, (given) =>
  doing(async (environment) => (await import('./commands/why.ts')).why(environment, { words: given.object, namespace: given.namespace, format: given.output }))
).pipe(Command.withDescription("Show the chain of causes, from a person's command to what is there (or of an event: why EVENTS:123)"))
const follow = Command.make(
  'follow',
  {
    cursor: Flag.String('cursor').pipe(Flag.optional, Flag.withDescription('A named place in the log that survives restarts')),
    from: Flag.String('from').pipe(Flag.optional, Flag.withDescription('Where a new cursor starts: a sequence, RFC 3339, -5m, or start')),
    reset: Flag.Boolean('reset').pipe(Flag.withDefault(false), Flag.withDescription('Put a known cursor back to --from')),
    kind: Flag.String('kind').pipe(Flag.optional, Flag.withDescription('Only this kind')),
    namespace: Flag.String('namespace').pipe(Flag.withAlias('n'), Flag.optional, Flag.withDescription('Only this namespace')),
    name: Flag.String('name').pipe(Flag.optional, Flag.withDescription('Only objects of this name')),
    once: Flag.Boolean('once').pipe(Flag.withDefault(false), Flag.withDescription('Stop when everything there is has been shown')),
    output: data
  },
  (given) =>
    doing(async (environment, signal) =>
      (await import('./commands/follow.ts')).follow(
        environment,
        { cursor: or(given.cursor), from: or(given.from), reset: given.reset, kind: or(given.kind), namespace: or(given.namespace), name: or(given.name), once: given.once, format: given.output },
        signal
      )
    )
).pipe(Command.withDescription('Print events as they happen; a named cursor goes on where it was'))
const audit = Command.make(
  'audit',
  {
    since: Flag.String('since').pipe(Flag.withDefault('-1h'), Flag.withDescription('From when: RFC 3339, -5m, or start')),
    follow: Flag.Boolean('follow').pipe(Flag.withAlias('f'), Flag.withDefault(false), Flag.withDescription('Go on with what comes')),
    user: Flag.String('user').pipe(Flag.optional, Flag.withDescription('Only what this user asked for, or somebody who acted as them')),
    verb: Flag.String('verb').pipe(Flag.optional, Flag.withDescription('Only these verbs: get,list,watch')),
    resource: Flag.String('resource').pipe(Flag.optional, Flag.withDescription('Only these resources: secrets,pods/exec')),
    namespace: Flag.String('namespace').pipe(Flag.withAlias('n'), Flag.optional, Flag.withDescription('Only this namespace')),
    code: Flag.String('code').pipe(Flag.optional, Flag.withDescription('Only these answers: 403, 4xx')),
    output: data
  },
  (given) =>
    doing(async (environment, signal) =>
      (await import('./commands/audit.ts')).audit(
        environment,
        { since: given.since, follow: given.follow, user: or(given.user), verb: or(given.verb), resource: or(given.resource), namespace: or(given.namespace), code: or(given.code), format: given.output },
        signal
      )
    )
).pipe(Command.withDescription('Show who was refused, who read Secrets, who ran commands in containers: what makes no event'))
const alone = (name: Component): string => `Run the ${name} alone, in the foreground`
const components = [
  Command.make('apiserver', { port: Flag.Int('secure-port').pipe(Flag.optional, Flag.withDescription("Another API server of the same cluster, beside the home's own, on this port")) }, ({ port }) => {
    const securePort = or(port)
    return running(['apiserver'], securePort === undefined ? {} : { securePort })
  }).pipe(Command.withDescription(alone('apiserver'))),
  ...COMPONENTS.filter((name) => name !== 'apiserver').map((name) => Command.make(name, {}, () => running([name])).pipe(Command.withDescription(alone(name))))
]
/** The tree; what its commands need is in the context. */
export const commands = Command.make('reckon').pipe(
  Command.withDescription('A Kubernetes-compatible orchestrator whose only truth is its history'),
  Command.withSubcommands([up, down, status, kubeconfig, apply, get, history, why, follow, audit, log, secrets, node, backup, restore, { group: 'Single components', commands: components }])
)

interface Status {
  readonly running: boolean
  readonly home: string
  readonly server?: string
  readonly version?: string
  readonly pid?: number
  readonly natsPid?: number
  readonly nodes: readonly { readonly name: string; readonly ready: boolean; readonly pods: number }[]
  readonly streams: readonly { readonly name: string; readonly messages: number; readonly bytes: number; readonly lastSequence: number }[]
  readonly pods: { readonly running: number; readonly total: number }
  /** What it says instead of being ready. */
  readonly faults?: string
  readonly notes: readonly string[]
}

const statusText = ({ running, home, server, version, pid, natsPid, nodes, streams, pods, faults, notes }: Status): string => {
  if (!running) {
    const state = pid === undefined ? 'does not run' : faults === undefined ? `does not answer (process ${pid})` : `is not ready (process ${pid}):\n  ${faults.replaceAll('\n', '\n  ')}\n`
    return [`The cluster in ${home} ${state}${state.endsWith('\n') ? '' : '.'}`, ...notes].join('\n')
  }
  return [
    `The cluster in ${home} runs: ${server}, ${version}, process ${pid}, nats-server ${natsPid}; ${pods.running} of ${pods.total} pods running.`,
    ...notes,
    '',
    table(['NODE', 'STATUS', 'PODS'], nodes.map((node) => [node.name, node.ready ? 'Ready' : 'NotReady', String(node.pods)])),
    '',
    table(['STREAM', 'MESSAGES', 'SIZE', 'LAST SEQUENCE'], streams.map(({ name, messages, bytes, lastSequence }) => [name, String(messages), `${(bytes / 2 ** 20).toFixed(1)} MiB`, String(lastSequence)]))
  ].join('\n')
}
