/** The commands that look after a cluster: its log, its backups, its Secrets, its nodes. */
import * as Argument from 'effect/cli/Argument'
import * as Command from 'effect/cli/Command'
import * as Flag from 'effect/cli/Flag'
import { data, doing, namespace, or } from './words.ts'

const verify = Command.make('verify', { output: data }, ({ output }) =>
  doing(async (environment) => (await import('./commands/log.ts')).verify(environment, output))
).pipe(Command.withDescription('Read the whole log and say what is missing, changed or not ours'))
const quarantine = Command.make(
  'quarantine',
  {
    sequences: Argument.Int('sequence').pipe(
      Argument.variadic(),
      Argument.withDescription('Entries to put aside; none lists what could be')
    ),
    stream: Flag.String('stream').pipe(Flag.withDefault('EVENTS'), Flag.withDescription('The stream they are in')),
    output: data
  },
  ({ sequences, stream, output }) =>
    doing(async (environment) => (await import('./commands/log.ts')).quarantine(environment, stream, sequences, output))
).pipe(Command.withDescription("Put aside entries that are not this cluster's, or that can't be read"))
const compact = Command.make(
  'compact',
  {
    before: Flag.String('before').pipe(
      Flag.optional,
      Flag.withDescription('Up to when: -90d, RFC 3339, or a resourceVersion; settings.keepHistory otherwise')
    ),
    dryRun: Flag.Boolean('dry-run').pipe(Flag.withDefault(false), Flag.withDescription('Say what would go, and change nothing')),
    output: data
  },
  ({ before, dryRun, output }) =>
    doing(async (environment) => (await import('./commands/log.ts')).compact(environment, { before: or(before), dryRun }, output))
).pipe(Command.withDescription('Let go of old history, but for the version each object had at the end of it'))
export const log = Command.make('log').pipe(
  Command.withDescription('Look after the log itself'),
  Command.withSubcommands([verify, quarantine, compact])
)
const folder = Argument.String('folder').pipe(Argument.withDescription("The backup's folder"))
const encrypt = Flag.Boolean('encrypt').pipe(
  Flag.withDefault(false),
  Flag.withDescription('Encrypt everything in the folder (with --passphrase-file)')
)
const passphraseFile = Flag.String('passphrase-file').pipe(Flag.optional, Flag.withDescription('A file whose first line is the passphrase'))
const checkBackup = Command.make('verify', { folder, passphraseFile, output: data }, (given) =>
  doing(async (environment) =>
    (await import('./commands/backup.ts')).verify(
      environment,
      { folder: given.folder, encrypt: false, passphraseFile: or(given.passphraseFile) },
      given.output
    )
  )
).pipe(Command.withDescription('Read all of a backup and say whether it is whole; needs no cluster'))
export const backup = Command.make('backup', { folder, encrypt, passphraseFile, output: data }, (given) =>
  doing(async (environment) =>
    (await import('./commands/backup.ts')).backup(
      environment,
      { folder: given.folder, encrypt: given.encrypt, passphraseFile: or(given.passphraseFile) },
      given.output
    )
  )
).pipe(
  Command.withDescription('Back up the cluster to a folder, or what is new since the last time'),
  Command.withSubcommands([checkBackup])
)
export const restore = Command.make(
  'restore',
  {
    folder,
    to: Flag.String('to').pipe(
      Flag.optional,
      Flag.withDescription("Up to a moment: RFC 3339, -15m (before the backup's end), or a resourceVersion")
    ),
    home: Flag.String('home').pipe(Flag.optional, Flag.withDescription('The empty folder to restore into; RECKON_HOME otherwise')),
    passphraseFile,
    skip: Flag.Int('skip').pipe(
      Flag.withDefault(1_000_000),
      Flag.withDescription('resourceVersions to leave out behind the backup: the lost cluster may have given them out')
    ),
    asCopy: Flag.Boolean('as-copy').pipe(
      Flag.withDefault(false),
      Flag.withDescription('Beside the cluster it is of: with ports, networks and a name of its own')
    ),
    output: data
  },
  (given) =>
    doing(async (environment) =>
      (await import('./commands/backup.ts')).restore(
        environment,
        {
          folder: given.folder,
          encrypt: false,
          passphraseFile: or(given.passphraseFile),
          to: or(given.to),
          home: or(given.home) ?? environment.home,
          skip: given.skip,
          asCopy: given.asCopy
        },
        given.output
      )
    )
).pipe(Command.withDescription('Bring a backup back into an empty home, whole or up to a moment'))
const erase = Command.make(
  'erase',
  {
    names: Argument.String('name').pipe(Argument.variadic(), Argument.withDescription('Secrets that were deleted')),
    namespace,
    output: data
  },
  ({ names, namespace: where, output }) =>
    doing(async (environment) => (await import('./commands/secrets.ts')).erase(environment, names, where, output))
).pipe(Command.withDescription('Make every version of a deleted Secret unreadable, in all of history'))
export const secrets = Command.make('secrets').pipe(
  Command.withDescription('What history keeps of Secrets'),
  Command.withSubcommands([erase])
)
const nodeName = Argument.String('node').pipe(Argument.withDescription("The node's name"))
const createCredentials = Command.make(
  'create',
  {
    node: nodeName,
    file: Flag.String('file').pipe(
      Flag.optional,
      Flag.withDescription('Where to write them, for its owner only; standard output otherwise')
    )
  },
  ({ node, file }) => doing(async (environment) => (await import('./commands/node.ts')).create(environment, node, or(file)))
).pipe(Command.withDescription('Make what a machine needs to be a node; valid at once'))
const revokeCredentials = Command.make('revoke', { node: nodeName }, ({ node }) =>
  doing(async (environment) => (await import('./commands/node.ts')).revoke(environment, node))
).pipe(Command.withDescription('End them: the node is cut off at once and can not come back'))
const listCredentials = Command.make('list', { output: data }, ({ output }) =>
  doing(async (environment) => (await import('./commands/node.ts')).list(environment, output))
).pipe(Command.withDescription('Which nodes have credentials, and since when'))
const credentials = Command.make('credentials').pipe(
  Command.withDescription('Who may come in as a node'),
  Command.withSubcommands([createCredentials, revokeCredentials, listCredentials])
)
export const node = Command.make('node').pipe(Command.withDescription('Look after nodes'), Command.withSubcommands([credentials]))
