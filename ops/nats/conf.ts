/** Renders the nats-server's configuration file: TLS only, every user with its own permissions, acknowledged means on disk. */
import { LOG_ACCOUNT, type NatsUser } from './users.ts'

export interface NatsConf {
  readonly serverName: string
  readonly port: number
  readonly storeDir: string
  readonly pidFile: string
  readonly logFile: string
  readonly certificateFile: string
  readonly keyFile: string
  /** False while a backup is written back: everything is synced at the end, at once. Default true. */
  readonly synced?: boolean
  readonly users: readonly (NatsUser & { readonly publicKey: string })[]
}

export const renderNatsConf = (conf: NatsConf): string => `# Written by reckon at every start; changes here are lost.
server_name: ${quote(conf.serverName)}
listen: "127.0.0.1:${conf.port}"
pid_file: ${quote(conf.pidFile)}
log_file: ${quote(conf.logFile)}
logfile_size_limit: 16MB
logfile_max_num: 4
max_payload: 8MB
# What one slow reader may hold back before it is cut off.
max_pending: 64MB
max_control_line: 8KB
write_deadline: "10s"
ping_interval: "20s"
ping_max: 3
lame_duck_duration: "30s"
lame_duck_grace_period: "2s"

tls {
  cert_file: ${quote(conf.certificateFile)}
  key_file: ${quote(conf.keyFile)}
  min_version: "1.3"
  timeout: 5
}

jetstream {
  store_dir: ${quote(conf.storeDir)}
  # An acknowledged write is on disk.
  sync_interval: ${conf.synced === false ? '"2m"' : 'always'}
  # How full the disk may get is watched elsewhere: this would be measured once, at the start.
  max_file: 1PB
}

authorization {
  timeout: 5
}

accounts {
${accountsOf(conf.users).map(renderAccount).join('\n')}
}
`

type KnownUser = NatsUser & { readonly publicKey: string }

interface Account {
  readonly name: string
  readonly users: readonly KnownUser[]
  readonly jetstream: boolean
  readonly exports: readonly string[]
  readonly imports: readonly string[]
}

/** The log's account, with what it offers to each other account by name, and the accounts that take it. */
const accountsOf = (users: readonly KnownUser[]): readonly Account[] => {
  const others = users.filter(({ account }) => account !== LOG_ACCOUNT)
  const service = (subject: string, to: string, streamed = false): string => `{ service: ${quote(subject)}, accounts: [${quote(to)}]${streamed ? ', response_type: stream' : ''} }`
  const stream = (subject: string, to: string): string => `{ stream: ${quote(subject)}, accounts: [${quote(to)}] }`
  const taken = (what: 'service' | 'stream', subject: string, from: string): string => `{ ${what}: { account: ${quote(from)}, subject: ${quote(subject)} } }`
  const log: Account = {
    name: LOG_ACCOUNT,
    users: users.filter(({ account }) => account === LOG_ACCOUNT),
    jetstream: true,
    exports: others.flatMap(({ account, asks, hears }) => [...asks.map(({ subject, streamed }) => service(subject, account, streamed)), ...hears.map((subject) => stream(subject, account))]),
    imports: others.flatMap(({ account, serves, tells }) => [...serves.map((subject) => taken('service', subject, account)), ...tells.map((subject) => taken('stream', subject, account))])
  }
  return [
    log,
    ...others.map(
      (user): Account => ({
        name: user.account,
        users: [user],
        jetstream: false,
        exports: [...user.serves.map((subject) => service(subject, LOG_ACCOUNT)), ...user.tells.map((subject) => stream(subject, LOG_ACCOUNT))],
        imports: [...user.asks.map(({ subject }) => taken('service', subject, LOG_ACCOUNT)), ...user.hears.map((subject) => taken('stream', subject, LOG_ACCOUNT))]
      })
    )
  ]
}

const renderAccount = ({ name, users, jetstream, exports, imports }: Account): string => `  ${quote(name)} {${jetstream ? '\n    jetstream: enabled' : ''}
    users: [
${users.map(renderUser).join('\n')}
    ]${section('exports', exports)}${section('imports', imports)}
  }`

const section = (name: string, lines: readonly string[]): string => (lines.length === 0 ? '' : `\n    ${name}: [\n${lines.map((line) => `      ${line}`).join('\n')}\n    ]`)

const renderUser = (user: KnownUser): string => `      # ${user.name}
      { nkey: ${quote(user.publicKey)}, permissions: {
          publish: { allow: ${list(user.publish)} }
          subscribe: { allow: ${list(user.subscribe)} }${user.responds ? '\n          allow_responses: { max: 1, expires: "2m" }' : ''}
      } }`

const list = (subjects: readonly string[]): string => `[${subjects.map(quote).join(', ')}]`

/** The configuration language takes JSON's strings. */
const quote = (text: string): string => JSON.stringify(text)
