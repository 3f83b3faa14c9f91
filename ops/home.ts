/** A cluster's home folder: where its state lives, and the choices made once when it was created. */
import { randomInt } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { NO_EXEMPTIONS, readPodSecurity, type PodSecurity, type PodSecurityConfiguration } from '#events/core/pod/security/configuration.ts'
import { parseCIDR } from '#events/meta/cidr.ts'
import { isObject } from '#events/meta/json.ts'
import { fieldErrorBody } from '#events/Refusal.ts'
import type { DiskSettings } from '#services/platform/disk/decide.ts'
import { apart, clusterCIDRsOf, faultsOf } from './configuration.ts'

export interface ClusterConfig {
  readonly name: string
  /** Five lowercase letters or digits, unique per home; in names of containers, chains and interfaces. */
  readonly instance: string
  readonly nodeName: string
  readonly apiPort: number
  readonly natsPort: number
  /** The whole cluster's pods: one network, or one of each address family with a comma between, as --cluster-cidr. */
  readonly podCIDR: string
  /** This machine's part of it, which it keeps; empty on one that joined: the cluster gives it one (node-ipam-controller). */
  readonly nodePodCIDR: string
  readonly serviceCIDR: string
  readonly clusterDNS: string
  readonly clusterDomain: string
  /** First and last port, as upstream's --service-node-port-range. */
  readonly nodePortRange: string
  readonly bridge: string
  /** Where this machine finds nats-server, when it does not run it itself: `tls://host:4222`. */
  readonly natsURLs?: readonly string[]
  /** The cluster's authority, as `authorityPin` names it: what this machine was told when it joined. */
  readonly caPin?: string
  /** Choices that can be changed later; absent ones have their defaults. */
  readonly settings?: Settings
}

export interface Settings {
  /** How long after a Secret's deletion its past versions can be read: `30d`, `12h`, `0s`, or `forever`. Default 30d. */
  readonly keepDeletedSecrets?: string
  /** What namespaces without Pod Security labels hold their pods to, and who is exempt (ops/docs/pod-security.md). */
  readonly podSecurity?: PodSecurityConfiguration
  /** How far back history is whole: `90d`, `12h`, or `forever`. Of before, the version each object had then is kept. Default forever. */
  readonly keepHistory?: string
  /** How often what is there is written down as a whole (ops/docs/historian.md): each so many events, 50,000 by default. */
  readonly keyframes?: { readonly every?: number }
  /** Backups by the cluster itself. */
  readonly backup?: BackupSettings
  /** Leading bits of each node's part of the pod network; 24 and 64 by default. */
  readonly nodeCIDRMaskSize?: NodeCIDRMaskSize
  /** Where nats-server listens, and by what other names it is reached. */
  readonly nats?: NatsSettings
  /** What `reckon up` runs; all components by default. */
  readonly components?: readonly string[]
  /** When writes are refused for want of room on the log's disk (ops/docs/faults.md); by default, parts of the disk. */
  readonly disk?: DiskSettings
  /**
   * Which of several schedulers, and controller managers, works: upstream's `leaderElection`, with its defaults (true, `15s`, `10s`,
   * `2s`).
   */
  readonly leaderElection?: LeaderElectionSettings
  /** How the log is read again at work: so many megabytes a second (2), so long after the end of a pass (`1h`; `forever`: never). */
  readonly scrub?: { readonly megabytesPerSecond?: number; readonly every?: string }
}

export interface NodeCIDRMaskSize {
  readonly ipv4?: number
  readonly ipv6?: number
}

export interface NatsSettings {
  /** An address of this machine, `0.0.0.0` or `::`; 127.0.0.1 by default. */
  readonly listen?: string
  /** By which other machines reach it. */
  readonly names?: readonly string[]
}

export interface LeaderElectionSettings {
  /** False: there is but one of each, ever. */
  readonly leaderElect?: boolean
  readonly leaseDuration?: string
  readonly renewDeadline?: string
  readonly retryPeriod?: string
}

export interface BackupSettings {
  /** Absolute; on another disk, best. */
  readonly folder: string
  /** `15m`, `24h`. */
  readonly every: string
  /** Where the passphrase is, absolute, for a backup that is encrypted. */
  readonly passphraseFile?: string
}

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `1h30m`, `30d`, `forever`, as milliseconds. Throws for what is no duration, naming the setting. */
export const durationOf = (text: string, setting: string): number => {
  if (text === 'forever') return Number.POSITIVE_INFINITY
  if (!/^(\d+(\.\d+)?[smhd])+$/.test(text))
    throw new Error(`settings.${setting}: "${text}" is no duration: write 12h, 30d, 1h30m or forever`)
  return [...text.matchAll(/(\d+(?:\.\d+)?)([smhd])/g)].reduce(
    (sum, [, count, unit]) => sum + Number(count) * (UNITS[unit as string] as number),
    0
  )
}

/** Makes a folder only its owner can enter. */
export const privateFolder = (path: string): string => {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  chmodSync(path, 0o700)
  return path
}

/** Writes a file only its owner can read; it appears whole or not at all. */
export const writeSecret = (path: string, content: string | Uint8Array): void => {
  privateFolder(dirname(path))
  const next = `${path}.${process.pid}.new`
  try {
    writeFileSync(next, content, { mode: 0o600 })
    renameSync(next, path)
  } catch (error) {
    // Of a disk that is full, half a file should not take what is left.
    rmSync(next, { force: true })
    throw error
  }
}

/** What all machines of the cluster share. */
export const configPath = (home: string): string => join(home, 'config.json')
/** What is this machine's own. */
export const nodePath = (home: string): string => join(home, 'node.json')

/** There while a backup is restored into the home, and after a restore that was cut short. */
export const restoringFile = (home: string): string => join(home, 'restoring')

/** The configuration, or undefined for a home no cluster was created in. Throws when the file can't be read. */
export const readConfig = (home: string): ClusterConfig | undefined => {
  const path = configPath(home)
  if (existsSync(restoringFile(home)))
    throw new Error(
      `${home} is being restored from a backup, or a restore was cut short; run \`reckon restore\` again, which begins it anew`
    )
  if (!existsSync(path)) return undefined
  const { cluster, node } = apart(fieldsIn(path, 'It names the cluster'))
  const own = { ...(existsSync(nodePath(home)) ? fieldsIn(nodePath(home), 'It names the node') : {}), ...node }
  const faults = faultsOf({ cluster, node: own })
  for (const [file, found] of [
    [path, faults.cluster],
    [nodePath(home), faults.node]
  ] as const)
    if (found.length > 0) throw new Error(`${file} can't be used: ${found.join('; ')}. See ops/docs/settings.md.`)
  return { nodePodCIDR: '', ...cluster, ...own } as unknown as ClusterConfig
}

const fieldsIn = (path: string, what: string): Readonly<Record<string, unknown>> => {
  try {
    const fields: unknown = JSON.parse(readFileSync(path, 'utf8'))
    if (!isObject(fields)) throw new Error('it is no JSON object')
    return fields
  } catch (error) {
    throw new Error(`${path} can't be read: ${(error as Error).message}. ${what}; restore it rather than delete it.`)
  }
}

/** Brings over a home of before there were two files. */
export const upgradeConfig = (home: string, config: ClusterConfig): void => {
  if (!existsSync(nodePath(home))) writeConfig(home, config)
}

/** The configuration of Pod Security. Throws for one that has a fault: half of it in force would be a surprise in either direction. */
export const podSecurityOf = (home: string, { settings: { podSecurity } = {} }: Pick<ClusterConfig, 'settings'>): PodSecurity => {
  if (podSecurity === undefined) return NO_EXEMPTIONS
  const read = readPodSecurity(podSecurity)
  if ('configuration' in read) return read.configuration
  const faults = read.faults.map((fault) => `settings.podSecurity.${fault.field}: ${fieldErrorBody(fault)}`)
  throw new Error(`${configPath(home)} can't be used: ${faults.join('; ')}. See ops/docs/pod-security.md.`)
}

/** Reads the home's configuration, or chooses free ports and networks for a new cluster and writes it. */
export const loadOrCreateConfig = async (home: string, report: (line: string) => void): Promise<ClusterConfig> => {
  privateFolder(home)
  const existing = readConfig(home)
  if (existing !== undefined) {
    upgradeConfig(home, existing)
    return existing
  }
  const config = await chooseConfig()
  writeConfig(home, config)
  report(
    `new cluster ${config.instance} in ${home}: API port ${config.apiPort}, pods ${config.podCIDR}, services ${config.serviceCIDR}, node ports ${config.nodePortRange}`
  )
  return config
}

/** This machine's part first: with the cluster's there is a cluster in the home. */
export const writeConfig = (home: string, config: ClusterConfig): void => {
  const { cluster, node } = apart({ ...config })
  for (const [path, part] of [
    [nodePath(home), node],
    [configPath(home), cluster]
  ] as const)
    writeSecret(path, `${JSON.stringify(part, null, 2)}\n`)
}

/** A configuration nothing else on this machine is in the way of; `beside`: nor is it in the way of that one, which may not run now. */
export const chooseConfig = async (beside?: ClusterConfig): Promise<ClusterConfig> => {
  const taken = beside === undefined ? [] : [beside.podCIDR, beside.serviceCIDR].flatMap(routesOf)
  const networks = chooseNetworks([...readRoutes(), ...taken])
  const instance = Array.from({ length: 5 }, () => 'abcdefghijklmnopqrstuvwxyz0123456789'[randomInt(36)]).join('')
  return {
    name: 'reckon',
    instance,
    nodeName: nodeNameOf(hostname()),
    apiPort: await freePort(beside === undefined ? 6443 : beside.apiPort + 1),
    natsPort: await freePort(beside === undefined ? 4222 : beside.natsPort + 1),
    ...networks,
    clusterDomain: 'cluster.local',
    bridge: bridgeOf(instance)
  }
}

/** Of a cluster on one machine; clusters side by side differ in it. */
export const bridgeOf = (instance: string): string => `rk${instance}0`

/** `10.96.0.0/16` as a route; networks of IPv6 are in nobody's way here, where IPv4 ones are chosen. */
const routesOf = (cidrs: string): readonly Route[] =>
  clusterCIDRsOf({ podCIDR: cidrs }).flatMap((text): Route[] => {
    const network = parseCIDR(text)
    return network?.family === 'IPv4' ? [[Number(network.base), Number(2n ** 32n - network.size)]] : []
  })

/** A host name as a Kubernetes node name: lowercase, RFC 1123. */
export const nodeNameOf = (host: string): string => {
  const name = host
    .toLowerCase()
    .replace(/[^a-z0-9.-]+/g, '-')
    .replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, '')
  return name === '' ? 'node' : name.slice(0, 63).replace(/[^a-z0-9]+$/, '')
}

/** An IPv4 network as [address, mask], both as unsigned 32-bit numbers. */
export type Route = readonly [address: number, mask: number]

const CANDIDATES = 16

/**
 * The first set of networks no route of this machine touches. Clusters side by side differ in all of them, node ports
 * included, since those are rules of the same machine.
 */
export const chooseNetworks = (
  routes: readonly Route[]
): Pick<ClusterConfig, 'podCIDR' | 'nodePodCIDR' | 'serviceCIDR' | 'clusterDNS' | 'nodePortRange'> => {
  for (let index = 0; index < CANDIDATES; index++) {
    const pods = 244 - index
    const services = 96 + index
    if ([pods, services].some((second) => routes.some((route) => overlaps(route, network16(second))))) continue
    return {
      podCIDR: `10.${pods}.0.0/16`,
      nodePodCIDR: `10.${pods}.0.0/24`,
      serviceCIDR: `10.${services}.0.0/16`,
      clusterDNS: `10.${services}.0.10`,
      // Downwards, below the machine's ephemeral ports, which begin at 32768.
      nodePortRange: `${30000 - 2768 * (index % 8)}-${32767 - 2768 * (index % 8)}`
    }
  }
  throw new Error('every network reckon knows to use (10.229.0.0/16 to 10.244.0.0/16) is routed on this machine already')
}

const network16 = (second: number): Route => [((10 << 24) | (second << 16)) >>> 0, 0xffff0000]

/** The default route (mask 0) reaches everything and claims nothing. */
const overlaps = ([address, mask]: Route, [other, otherMask]: Route): boolean => {
  if (mask === 0) return false
  const shared = (mask & otherMask) >>> 0
  return (address & shared) >>> 0 === (other & shared) >>> 0
}

/** Parses /proc/net/route: numbers are little-endian hexadecimal. */
export const parseRoutes = (table: string): Route[] =>
  table
    .split('\n')
    .slice(1)
    .flatMap((line): Route[] => {
      const fields = line.trim().split(/\s+/)
      const address = fields[1]
      const mask = fields[7]
      return address === undefined || mask === undefined ? [] : [[littleEndian(address), littleEndian(mask)]]
    })

const littleEndian = (hex: string): number => Buffer.from(hex, 'hex').reduceRight((sum, byte) => sum * 256 + byte, 0)

const readRoutes = (): Route[] => parseRoutes(readFileSync('/proc/net/route', 'utf8'))

const PORTS_TRIED = 100

const freePort = async (first: number): Promise<number> => {
  for (let port = first; port < first + PORTS_TRIED; port++) if (await isFree(port)) return port
  throw new Error(`no free port among ${first} to ${first + PORTS_TRIED - 1}`)
}

/** A port nobody listens on now, for something that does not last. */
export const anyPort = (): Promise<number> =>
  new Promise((done, fail) => {
    const probe = createServer()
    probe.once('error', fail)
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number }
      probe.close(() => done(port))
    })
  })

export const isFree = (port: number): Promise<boolean> =>
  new Promise((done) => {
    const probe = createServer()
    probe.once('error', () => done(false))
    probe.listen({ port, host: '::', exclusive: true }, () => probe.close(() => done(true)))
  })
