/** Renders the nats-server's configuration file: TLS only, every user with its own permissions, acknowledged means on disk. */
import type { NatsUser } from './users.ts'

export interface NatsConf {
  readonly serverName: string
  readonly port: number
  readonly storeDir: string
  readonly pidFile: string
  readonly logFile: string
  readonly certificateFile: string
  readonly keyFile: string
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
  sync_interval: always
}

authorization {
  timeout: 5
  users: [
${conf.users.map(renderUser).join('\n')}
  ]
}
`

const renderUser = (user: NatsUser & { readonly publicKey: string }): string => `    # ${user.name}
    { nkey: ${quote(user.publicKey)}, permissions: {
        publish: { allow: ${list(user.publish)} }
        subscribe: { allow: ${list(user.subscribe)} }${user.responds ? '\n        allow_responses: { max: 1, expires: "2m" }' : ''}
    } }`

const list = (subjects: readonly string[]): string => `[${subjects.map(quote).join(', ')}]`

/** The configuration language takes JSON's strings. */
const quote = (text: string): string => JSON.stringify(text)
