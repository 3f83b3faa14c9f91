/** Where nats-server listens, and where it is reached from. */
import ipaddr from 'ipaddr.js'
import type { ClusterConfig } from '#ops/home.ts'

type Nats = Pick<ClusterConfig, 'natsPort' | 'natsURLs' | 'settings'>

const LOOPBACK = '127.0.0.1'

/** An address of this machine, or `0.0.0.0` or `::` for all of them; by default nobody else reaches it. */
export const listenHost = ({ settings }: Nats): string => settings?.nats?.listen ?? LOOPBACK

/** Names and addresses the server's certificate must have beside the machine's own. */
export const natsNames = (config: Nats): readonly string[] => [
  ...(config.settings?.nats?.names ?? []),
  ...(isAll(listenHost(config)) ? [] : [listenHost(config)])
]

const isAll = (host: string): boolean => ipaddr.isValid(host) && ipaddr.process(host).range() === 'unspecified'

/** How this machine reaches the server that it runs itself. */
export const reachedAt = (config: Nats): string =>
  isAll(listenHost(config)) ? (listenHost(config) === '::' ? '::1' : LOOPBACK) : listenHost(config)

/** `host:port` of every server, as the client library takes them. */
export const serversOf = (config: Nats): string[] =>
  config.natsURLs === undefined
    ? [hostPort(reachedAt(config), config.natsPort)]
    : config.natsURLs.map((url) => url.replace(/^(nats|tls):\/\//, ''))

/** What another machine is told: the names that were given, else where it listens, else this machine alone. */
export const urlsOf = (config: Nats): string[] => {
  const names = config.settings?.nats?.names ?? []
  return (names.length > 0 ? names : [reachedAt(config)]).map((host) => `tls://${hostPort(host, config.natsPort)}`)
}

const hostPort = (host: string, port: number): string => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`)
