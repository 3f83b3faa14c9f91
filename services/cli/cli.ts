/** The command tree of `reckon`: names, flags and help; what they do is in `commands/`. */
import * as Argument from 'effect/cli/Argument'
import * as Command from 'effect/cli/Command'
import * as Flag from 'effect/cli/Flag'
import * as Effect from 'effect/Effect'
import { COMPONENTS, type Component } from '#services/platform/components.ts'
import { backup, log, node, restore, secrets } from './care.ts'
import { Environment, type CliError, type RunOptions } from './Environment.ts'
import { out } from './print.ts'
import { data, doing, namespace, object, or, told } from './words.ts'

/** Here to its end, in the foreground. */
const running = (components: readonly Component[], options?: RunOptions): Effect.Effect<void, CliError, Environment> =>
  Effect.flatMap(Environment, ({ run }) => run(components, options)).pipe(Effect.mapError(told))

const report = (line: string): void => out(line)

const up = Command.make(
  'up',
  {
    demo: Flag.Boolean('demo').pipe(Flag.withDefault(false), Flag.withDescription('Also deploy the demo and wait until it answers')),
    acceptLoss: Flag.Boolean('accept-loss').pipe(Flag.withDefault(false), Flag.withDescription('Go on with what is left of a damaged log'))
  },
  ({ demo, acceptLoss }) => doing((environment) => environment.up({ demo, acceptLoss, report }))
).pipe(Command.withDescription('Start the cluster on this machine, in the background; installs what is missing'))
const down = Command.make('down', {}, () => doing((environment) => environment.down({ report }))).pipe(
  Command.withDescription('Stop the cluster; nothing is left but its history')
)
const status = Command.make('status', { output: data }, ({ output }) =>
  doing(async (environment) => (await import('./commands/status.ts')).status(environment, output))
).pipe(Command.withDescription('What runs, and how much history there is'))
const kubeconfig = Command.make('kubeconfig', {}, () => doing(async (environment) => out(environment.kubeconfig()))).pipe(
  Command.withDescription("Print the path of the cluster's kubeconfig")
)
const apply = Command.make(
  'apply',
  {
    file: Flag.String('filename').pipe(
      Flag.withAlias('f'),
      Flag.atLeast(0),
      Flag.withDescription('A manifest, a folder of manifests, or - for standard input')
    ),
    namespace,
    recursive: Flag.Boolean('recursive').pipe(
      Flag.withAlias('R'),
      Flag.withDefault(false),
      Flag.withDescription('Look into folders in folders')
    ),
    dryRun: Flag.Boolean('dry-run').pipe(Flag.withDefault(false), Flag.withDescription('Decide, but store nothing')),
    force: Flag.Boolean('force-conflicts').pipe(Flag.withDefault(false), Flag.withDescription('Take fields over that others own')),
    output: data
  },
  (given) =>
    doing(async (environment) =>
      (await import('./commands/apply.ts')).apply(environment, {
        files: given.file,
        namespace: given.namespace,
        recursive: given.recursive,
        dryRun: given.dryRun,
        force: given.force,
        format: given.output
      })
    )
).pipe(Command.withDescription('Publish manifests as intents on NATS (server-side apply)'))
const get = Command.make(
  'get',
  {
    words: Argument.String('kind').pipe(Argument.variadic(), Argument.withDescription('KIND [NAME…] or KIND/NAME')),
    namespace,
    all: Flag.Boolean('all-namespaces').pipe(Flag.withAlias('A'), Flag.withDefault(false), Flag.withDescription('Every namespace')),
    selector: Flag.String('selector').pipe(
      Flag.withAlias('l'),
      Flag.optional,
      Flag.withDescription('Labels to select by: app=web,tier!=back')
    ),
    output: Flag.Literals('output', ['table', 'wide', 'json', 'yaml', 'name']).pipe(
      Flag.withAlias('o'),
      Flag.withDefault('table'),
      Flag.withDescription('How to print the result')
    ),
    at: Flag.String('at').pipe(Flag.optional, Flag.withDescription('A moment: RFC 3339, -5m, or a resourceVersion'))
  },
  (given) =>
    doing(async (environment) =>
      (await import('./commands/get.ts')).get(environment, {
        words: given.words,
        namespace: given.namespace,
        all: given.all,
        selector: or(given.selector),
        format: given.output,
        at: or(given.at)
      })
    )
).pipe(Command.withDescription('Show objects, now or as of any moment'))
const history = Command.make(
  'history',
  {
    object,
    namespace,
    limit: Flag.Int('limit').pipe(Flag.withDefault(0), Flag.withDescription('The last so many changes; 0 for all')),
    output: data
  },
  (given) =>
    doing(async (environment) =>
      (await import('./commands/history.ts')).history(environment, {
        words: given.object,
        namespace: given.namespace,
        limit: given.limit,
        format: given.output
      })
    )
).pipe(Command.withDescription('List each change of an object: who, when, what'))
const why = Command.make('why', { object, namespace, output: data }, (given) =>
  doing(async (environment) =>
    (await import('./commands/why.ts')).why(environment, { words: given.object, namespace: given.namespace, format: given.output })
  )
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
        {
          cursor: or(given.cursor),
          from: or(given.from),
          reset: given.reset,
          kind: or(given.kind),
          namespace: or(given.namespace),
          name: or(given.name),
          once: given.once,
          format: given.output
        },
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
        {
          since: given.since,
          follow: given.follow,
          user: or(given.user),
          verb: or(given.verb),
          resource: or(given.resource),
          namespace: or(given.namespace),
          code: or(given.code),
          format: given.output
        },
        signal
      )
    )
).pipe(Command.withDescription('Show who was refused, who read Secrets, who ran commands in containers: what makes no event'))
const alone = (name: Component): string => `Run the ${name} alone, in the foreground`
const components = [
  Command.make(
    'apiserver',
    {
      port: Flag.Int('secure-port').pipe(
        Flag.optional,
        Flag.withDescription("Another API server of the same cluster, beside the home's own, on this port")
      )
    },
    ({ port }) => {
      const securePort = or(port)
      return running(['apiserver'], securePort === undefined ? {} : { securePort })
    }
  ).pipe(Command.withDescription(alone('apiserver'))),
  ...COMPONENTS.filter((name) => name !== 'apiserver').map((name) =>
    Command.make(name, {}, () => running([name])).pipe(Command.withDescription(alone(name)))
  )
]
/** The tree; what its commands need is in the context. */
export const commands = Command.make('reckon').pipe(
  Command.withDescription('A Kubernetes-compatible orchestrator whose only truth is its history'),
  Command.withSubcommands([
    up,
    down,
    status,
    kubeconfig,
    apply,
    get,
    history,
    why,
    follow,
    audit,
    log,
    secrets,
    node,
    backup,
    restore,
    { group: 'Single components', commands: components }
  ])
)
