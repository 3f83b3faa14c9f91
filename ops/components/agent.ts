/** A node's components as scoped resources: pod network and kubelet, kube-proxy, DNS. Their end disturbs no container. */
import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import * as Effect from 'effect/Effect'
import type * as Scope from 'effect/Scope'
import { parseCIDR } from '#events/meta/cidr.ts'
import type { Family } from '#events/meta/ip.ts'
import { clusterCIDRsOf } from '#ops/configuration.ts'
import { privateFolder } from '#ops/home.ts'
import { loadNodeKeys } from '#ops/log/keys.ts'
import { PAUSE_IMAGE } from '#ops/images/images.ts'
import { Dns } from '#services/dns/Dns.ts'
import { chainHash } from '#services/kube-proxy/chainHash.ts'
import { KubeProxy } from '#services/kube-proxy/KubeProxy.ts'
import { Agent } from '#services/kubelet/Agent.ts'
import { LocalNodeCalls } from '#services/kubelet/LocalNodeCalls.ts'
import { machineFacts, type MachineFacts } from '#services/kubelet/machine.ts'
import { NatsLink } from '#services/kubelet/NatsLink.ts'
import { pulseOf } from '#services/kubelet/pulse.ts'
import { NetworkProber } from '#services/kubelet/probes/Prober.ts'
import { diskOrigin } from '#services/kubelet/strays/Allegiance.ts'
import { DiskPodFiles } from '#services/kubelet/volumes/PodFiles.ts'
import { BridgeNetwork } from '#services/network/BridgeNetwork.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { HostConntrack } from '#services/platform/Conntrack.ts'
import { DockerRuntime } from '#services/platform/Docker.ts'
import { HostIptables, type Iptables } from '#services/platform/Iptables.ts'
import { serveNodeCalls } from '#services/platform/node-calls/serve.ts'
import type { Pulse } from '#events/node/messages.ts'
import { encodeToken } from '#events/Subject.ts'
import { bridgeAddress, DNS_PORT } from './addresses.ts'
import { connection, endpointViews, type Place } from './connection.ts'
import { podCIDRs } from './podCIDRs.ts'

const DOCKER_SOCKET = '/var/run/docker.sock'

const attempt = <Value>(what: string, run: () => Promise<Value>): Effect.Effect<Value, Error> =>
  Effect.tryPromise({ try: run, catch: (cause) => new Error(`${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause }) })

/** What its pods' addresses are of. */
const familyOf = ({ nodePodCIDR, podCIDR }: Place['config']): Family => parseCIDR(nodePodCIDR)?.family ?? parseCIDR(clusterCIDRsOf({ podCIDR })[0] ?? '')?.family ?? 'IPv4'

/** The cluster's pods of that family. */
const clusterCIDR = (config: Place['config']): string => clusterCIDRsOf(config).find((cidr) => parseCIDR(cidr)?.family === familyOf(config)) ?? config.podCIDR

/** The node's address for others: the first that is not a loopback's or a bridge's of ours. */
const nodeAddress = (place: Pick<Place, 'config'>): string => {
  const wanted = familyOf(place.config)
  for (const [name, addresses] of Object.entries(networkInterfaces()))
    if (!/^(lo|docker|br-|veth|rk)/.test(name)) for (const { family, address, internal } of addresses ?? []) if (family === wanted && !internal && !address.startsWith('fe80:')) return address
  // Before it has a part of the pod network it has no bridge either.
  return place.config.nodePodCIDR === '' ? '127.0.0.1' : bridgeAddress(place.config)
}

export const bridgeNetwork = ({ home, config, warn }: Pick<Place, 'home' | 'config' | 'warn'>, iptables: Iptables = new HostIptables(undefined, familyOf(config))): BridgeNetwork =>
  new BridgeNetwork({
    instance: config.instance,
    nodePodCIDR: config.nodePodCIDR,
    podCIDR: clusterCIDR(config),
    serviceCIDR: config.serviceCIDR,
    folder: join(home, 'network'),
    iptables,
    onWarning: (message) => warn('network', new Error(message))
  })

const resolvConf = (): string => {
  try {
    return readFileSync('/etc/resolv.conf', 'utf8')
  } catch {
    return ''
  }
}

/** The kubelet, not started; `link` is where it hears what to run. */
export const makeKubelet = async (place: Place, network: BridgeNetwork, link: ConstructorParameters<typeof Agent>[0]['link']): Promise<{ agent: Agent; runtime: DockerRuntime }> => {
  const { home, config, warn } = place
  const folder = privateFolder(join(home, 'kubelet'))
  const runtime = new DockerRuntime({ instance: config.instance, node: config.nodeName, socketPath: DOCKER_SOCKET })
  const agent = new Agent({
    node: config.nodeName,
    hostIP: nodeAddress(place),
    podCIDR: config.nodePodCIDR,
    pauseImage: PAUSE_IMAGE,
    link,
    runtime,
    network,
    files: new DiskPodFiles(folder, systemClock, () => ({ clusterDNS: [config.clusterDNS], clusterDomain: config.clusterDomain, node: resolvConf() }), (error) => warn('kubelet', error)),
    prober: new NetworkProber(runtime),
    machine: await machineFacts(folder),
    origin: diskOrigin(folder),
    clock: systemClock,
    onError: (error) => warn('kubelet', error)
  })
  return { agent, runtime }
}

const kubelet = (place: Place, network: BridgeNetwork): Effect.Effect<void, Error, Scope.Scope> =>
  Effect.gen(function* () {
    const { nodeName } = place.config
    const nats = yield* connection(place, `node-${encodeToken(nodeName)}`)
    const { agent, runtime } = yield* attempt('the kubelet', () => makeKubelet(place, network, new NatsLink(nats, nodeName, loadNodeKeys(place.home, nodeName), (error) => place.warn('kubelet', error))))
    yield* Effect.acquireRelease(
      Effect.sync(() => serveNodeCalls(nats, nodeName, new LocalNodeCalls(agent, runtime), (error) => place.warn('kubelet', error))),
      (calls) => Effect.sync(() => calls.close())
    )
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        // Waiting for Docker or the link is the agent's own business: the process starts meanwhile.
        agent.start().catch((error: unknown) => place.warn('kubelet', error))
        return agent
      }),
      (running) => Effect.sync(() => running.stop())
    )
  })

const kubeProxy = (place: Place, iptables: Iptables): Effect.Effect<void, Error, Scope.Scope> =>
  Effect.gen(function* () {
    const { config } = place
    const user = `kube-proxy-${encodeToken(config.nodeName)}`
    const nats = yield* connection(place, user)
    const source = yield* endpointViews(place, 'kube-proxy', user, nats)
    yield* Effect.acquireRelease(
      attempt('kube-proxy', async () => {
        const proxy = new KubeProxy({
          source,
          clock: systemClock,
          iptables,
          conntrack: new HostConntrack(),
          config: { instance: config.instance, nodeName: config.nodeName, family: familyOf(config), clusterCIDR: clusterCIDR(config), masqueradeMark: MARK, hash: chainHash },
          onError: (error) => place.warn('kube-proxy', error)
        })
        await proxy.start()
        return proxy
      }),
      (proxy) => Effect.promise(() => proxy.stop())
    )
  })

/** Upstream's masquerade bit: the clusters of a machine may share it, it only says "masquerade". */
const MARK = 0x4000

const dns = (place: Place): Effect.Effect<void, Error, Scope.Scope> =>
  Effect.gen(function* () {
    const { config } = place
    const user = `dns-${encodeToken(config.nodeName)}`
    const nats = yield* connection(place, user)
    const source = yield* endpointViews(place, 'dns', user, nats)
    yield* Effect.acquireRelease(
      attempt('dns', async () => {
        const server = new Dns({
          source,
          clock: systemClock,
          address: bridgeAddress(config),
          port: DNS_PORT,
          config: { domain: config.clusterDomain, clusterDNS: config.clusterDNS, reverse: [config.serviceCIDR, ...clusterCIDRsOf(config)] },
          onError: (error) => place.warn('dns', error)
        })
        await server.start()
        return server
      }),
      (server) => Effect.promise(() => server.stop())
    )
  })

/** What a node says of itself while it waits for its part of the pod network. */
const waiting = (place: Place, machine: MachineFacts) => (): Pulse =>
  pulseOf({
    node: place.config.nodeName,
    hostIP: nodeAddress(place),
    podCIDR: '',
    labels: {},
    machine,
    runtime: undefined,
    known: undefined,
    problem: 'the cluster has not given the node a part of the pod network yet',
    conditions: [],
    images: [],
    time: new Date().toISOString().replace('Z', '000Z')
  })

export const agent = (joined: Place, components: readonly string[]): Effect.Effect<void, Error, Scope.Scope> =>
  Effect.gen(function* () {
    const machine = yield* attempt('the machine', () => machineFacts(privateFolder(join(joined.home, 'kubelet'))))
    const [nodePodCIDR = ''] = yield* podCIDRs(joined, waiting(joined, machine))
    const place: Place = { ...joined, config: { ...joined.config, nodePodCIDR } }
    // One for both: it hears once what the kernel tells.
    const iptables = new HostIptables(undefined, familyOf(place.config))
    const network = bridgeNetwork(place, iptables)
    // The bridge is where pods, and their DNS, live: it comes first, whoever of the three is to run here.
    yield* attempt('the pod network', () => network.start())
    // The network outlives the agent: pods keep theirs while it is away.
    yield* Effect.acquireRelease(
      Effect.sync(() => network.keepRules(systemClock)),
      (kept) => Effect.sync(() => kept.close())
    )
    if (components.includes('kube-proxy')) yield* kubeProxy(place, iptables)
    if (components.includes('dns')) yield* dns(place)
    if (components.includes('kubelet')) yield* kubelet(place, network)
  })
