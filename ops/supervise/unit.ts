/** The systemd unit of one cluster's process. Plain: text from facts. */
import { PAUSES_MS } from './backoff.ts'

export interface UnitOptions {
  readonly home: string
  /** The file without which there is no cluster in the home. */
  readonly config: string
  readonly instance: string
  readonly command: readonly string[]
  readonly directory: string
  readonly log: string
  /** Writes down how the process ended: a program and its arguments. */
  readonly onEnd: readonly string[]
  /** Only root reads it: units are shown to everybody, and a proxy's address may hold a password. */
  readonly environmentFile: string
  /** systemd's: pauses that grow are known from 254 on. */
  readonly version: number
}

export const unitName = (instance: string): string => `reckon-${instance}.service`
export const isUnitName = (name: string): boolean => /^reckon-[a-z0-9]+\.service$/.test(name)

/** One word of a command line or an assignment: `%` and `$` mean something, and so do quotes (systemd.service(5), systemd.syntax(7)). */
export const quoted = (word: string): string =>
  `"${word.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%').replaceAll('\n', '\\n')}"`
const argument = (word: string): string => quoted(word).replaceAll('$', '$$$$')
/** A path stands by itself there: no quotes, and nothing is escaped. Only where several may stand it is a word. */
const path = (text: string): string => text.replaceAll('%', '%%')

/** The text of an environment file (systemd.exec(5)): quoted, so that nothing in a value means anything. */
export const renderEnvironment = (environment: Readonly<Record<string, string>>): string =>
  Object.entries(environment)
    .filter(([, value]) => !value.includes('\n'))
    .map(([name, value]) => `${name}="${value.replace(/["\\$`]/g, '\\$&')}"\n`)
    .join('')

/** By it a unit is known as a home's. The path is a pattern (glob(7)). */
export const environmentLine = (file: string): string => `EnvironmentFile=${path(file).replace(/[\\*?[]/g, '\\$&')}`

const seconds = (ms: number): string => `${ms}ms`

export const renderUnit = ({ home, config, instance, command, directory, log, onEnd, environmentFile, version }: UnitOptions): string => {
  const [, first = 100] = PAUSES_MS
  const last = PAUSES_MS.at(-1) as number
  return `# Written by \`reckon up\`, removed by \`reckon down\`; changes here are lost.
[Unit]
Description=reckon cluster ${instance} (${home.replaceAll('%', '%%')})
Wants=network-online.target
After=network-online.target docker.service
RequiresMountsFor=${quoted(home)}
# Of a home that is gone nothing is started any more, neither after an end nor after a reboot.
ConditionPathExists=${path(config)}
# Of one that is there it is never given up: whatever keeps it from running may pass.
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=${command.map(argument).join(' ')}
ExecStopPost=${onEnd.map(argument).join(' ')}
WorkingDirectory=${path(directory)}
${environmentLine(environmentFile)}
Restart=always
RestartSec=${seconds(version >= 254 ? first : 1_000)}
${version >= 254 ? `RestartSteps=${PAUSES_MS.length - 1}\nRestartMaxDelaySec=${seconds(last)}\n` : ''}# nats-server and what agents started live on while this process is started again.
KillMode=process
TimeoutStopSec=30
# One of them that is killed for want of memory is started again by itself; the others are left alone.
OOMPolicy=continue
OOMScoreAdjust=-900
LimitNOFILE=1048576
TasksMax=infinity
StandardOutput=append:${path(log)}
StandardError=inherit

# What can be had without a mount namespace of its own: the kubelet mounts volumes for containers, which must see them. So
# none of ProtectSystem=, ProtectHome=, PrivateTmp=, PrivateDevices=, ProtectKernelTunables=. Nor MemoryDenyWriteExecute=, for
# V8 compiles; nor RestrictSUIDSGID=, for volumes with an fsGroup carry its bit.
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
SystemCallArchitectures=native
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET
CapabilityBoundingSet=~CAP_SYS_TIME CAP_SYS_BOOT CAP_WAKE_ALARM CAP_MAC_ADMIN CAP_MAC_OVERRIDE
CapabilityBoundingSet=~CAP_LINUX_IMMUTABLE CAP_SYS_TTY_CONFIG CAP_SYSLOG

[Install]
WantedBy=multi-user.target
`
}
