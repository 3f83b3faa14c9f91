/** Renders the nats-server's configuration file: TLS only, nobody without signed credentials, acknowledged means on disk. */

export interface NatsConf {
  readonly serverName: string
  /** An address of this machine, or that of all. */
  readonly host: string
  readonly port: number
  readonly storeDir: string
  readonly pidFile: string
  readonly logFile: string
  readonly certificateFile: string
  readonly keyFile: string
  /** False while a backup is written back: everything is synced at the end, at once. Default true. */
  readonly synced?: boolean
  /** JWT: whose accounts are believed. */
  readonly operator: string
  /** Its public key. */
  readonly systemAccount: string
  /** Where nats-server keeps the accounts it was handed. */
  readonly accountsDir: string
}

export const renderNatsConf = (conf: NatsConf): string => `# Written by reckon at every start; changes here are lost.
server_name: ${quote(conf.serverName)}
host: ${quote(conf.host)}
port: ${conf.port}
pid_file: ${quote(conf.pidFile)}
log_file: ${quote(conf.logFile)}
logfile_size_limit: 16MB
logfile_max_num: 4
max_payload: 8MB
# What one slow reader may hold back before it is cut off.
max_pending: 64MB
# A user's credentials come in one line; those of the keeper, who names every stream, are of some KB.
max_control_line: 32KB
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

# Who may come in is in signed accounts, handed in at work: nobody is named here.
operator: ${quote(conf.operator)}
system_account: ${quote(conf.systemAccount)}
resolver {
  type: full
  dir: ${quote(conf.accountsDir)}
  allow_delete: true
  hard_delete: true
  # There is no other server to ask for an account that is not here.
  timeout: "100ms"
}
`

/** The configuration language takes JSON's strings. */
const quote = (text: string): string => JSON.stringify(text)
