/** A node's components as layers: pod network and kubelet, kube-proxy, DNS. Their end disturbs no container. */
import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import * as Context from 'effect/Context'
import * as Effect from 'effect/Effect'
import * as Layer from 'effect/Layer'
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
import { connection, endpointViews } from './connection.ts'
import { attempt } from './errors.ts'
import { Place } from './place.ts'
import { podCIDRs } from './podCIDRs.ts'
import { inOrder, running } from './scoped.ts'

const DOCKER_SOCKET = '/var/run/docker.sock'

type Where = Place['Service']
type Config = Where['config']

/** What its pods' addresses are of. */
const familyOf = ({ nodePodCIDR, podCIDR }: Config): Family =>
  parseCIDR(nodePodCIDR)?.family ?? parseCIDR(clusterCIDRsOf({ podCIDR })[0] ?? '')?.family ?? 'IPv4'

/** The cluster's pods of that family. */
const clusterCIDR = (config: Config): string =>
  clusterCIDRsOf(config).find((cidr) => parseCIDR(cidr)?.family === familyOf(config)) ?? config.podCIDR

const OUR_BRIDGES = /^(lo|docker|br-|veth|rk)/

/** The node's address for others: the first that is not a loopback's or a bridge's of ours. */
const nodeAddress = (config: Config): string => {
  const wanted = familyOf(config)
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    if (OUR_BRIDGES.test(name)) continue
    const found = addresses?.find(({ family, address, internal }) => family === wanted && !internal && !address.startsWith('fe80:'))
    if (found !== undefined) return found.address
  }
  // Before it has a part of the pod network it has no bridge either.
  return config.nodePodCIDR === '' ? '127.0.0.1' : bridgeAddress(config)
}

export const bridgeNetwork = (
  { home, config, warn }: Pick<Where, 'home' | 'config' | 'warn'>,
  iptables: Iptables = new HostIptables(undefined, familyOf(config))
): BridgeNetwork =>
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

type Link = ConstructorParameters<typeof Agent>[0]['link']

/** The kubelet, not started; `link` is where it hears what to run. */
export const makeKubelet = async (
  { home, config, warn }: Pick<Where, 'home' | 'config' | 'warn'>,
  network: BridgeNetwork,
  link: Link
): Promise<{ agent: Agent; runtime: DockerRuntime }> => {
  const folder = privateFolder(join(home, 'kubelet'))
  const runtime = new DockerRuntime({ instance: config.instance, node: config.nodeName, socketPath: DOCKER_SOCKET })
  const dns = () => ({ clusterDNS: [config.clusterDNS], clusterDomain: config.clusterDomain, node: resolvConf() })
  const agent = new Agent({
    node: config.nodeName,
    hostIP: nodeAddress(config),
    podCIDR: config.nodePodCIDR,
    pauseImage: PAUSE_IMAGE,
    link,
    runtime,
    network,
    files: new DiskPodFiles(folder, systemClock, dns, (error) => warn('kubelet', error)),
    prober: new NetworkProber(runtime),
    machine: await machineFacts(folder),
    origin: diskOrigin(folder),
    clock: systemClock,
    onError: (error) => warn('kubelet', error)
  })
  return { agent, runtime }
}

/** What a node says of itself while it waits for its part of the pod network. */
const waiting = (config: Config, machine: MachineFacts) => (): Pulse =>
  pulseOf({
    node: config.nodeName,
    hostIP: nodeAddress(config),
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

/** The place, with the node's part of the pod network: what a machine that joined brings along may have none. */
const placed = Layer.effect(
  Place,
  Effect.gen(function* () {
    const place = yield* Place
    const machine = yield* attempt('the machine', () => machineFacts(privateFolder(join(place.home, 'kubelet'))))
    const [nodePodCIDR = ''] = yield* podCIDRs(waiting(place.config, machine))
    return { ...place, config: { ...place.config, nodePodCIDR } }
  })
)

/** The bridge is where pods, and their DNS, live: it comes first, whoever of the three is to run here. */
class PodNetwork extends Context.Service<
  PodNetwork,
  {
    readonly network: BridgeNetwork
    /** One for all: it hears once what the kernel tells. */
    readonly iptables: Iptables
  }
>()('reckon/ops/PodNetwork') {
  static readonly layer = Layer.effect(
    PodNetwork,
    Effect.gen(function* () {
      const place = yield* Place
      const iptables = new HostIptables(undefined, familyOf(place.config))
      const network = bridgeNetwork(place, iptables)
      yield* attempt('the pod network', () => network.start())
      // The network outlives the agent: pods keep theirs while it is away.
      yield* Effect.acquireRelease(
        Effect.sync(() => network.keepRules(systemClock)),
        (kept) => Effect.sync(() => kept.close())
      )
      return { network, iptables }
    })
  )
}

const kubelet = Layer.effectDiscard(
  Effect.gen(function* () {
    const place = yield* Place
    const { network } = yield* PodNetwork
    const { nodeName } = place.config
    const onError = (error: unknown): void => place.warn('kubelet', error)
    const nats = yield* connection(`node-${encodeToken(nodeName)}`)
    const { agent, runtime } = yield* attempt('the kubelet', () =>
      makeKubelet(place, network, new NatsLink(nats, nodeName, loadNodeKeys(place.home, nodeName), onError))
    )
    yield* Effect.acquireRelease(
      Effect.sync(() => serveNodeCalls(nats, nodeName, new LocalNodeCalls(agent, runtime), onError)),
      (calls) => Effect.sync(() => calls.close())
    )
    yield* running(() => {
      // Waiting for Docker or the link is the agent's own business: the process starts meanwhile.
      agent.start().catch(onError)
      return agent
    })
  })
)

/** Upstream's masquerade bit: the clusters of a machine may share it, it only says "masquerade". */
const MARK = 0x4000

const kubeProxy = Layer.effectDiscard(
  Effect.gen(function* () {
    const { config, warn } = yield* Place
    const { iptables } = yield* PodNetwork
    const { instance, nodeName } = config
    const user = `kube-proxy-${encodeToken(nodeName)}`
    const source = yield* endpointViews('kube-proxy', user, yield* connection(user))
    yield* Effect.acquireRelease(
      attempt('kube-proxy', async () => {
        const proxy = new KubeProxy({
          source,
          clock: systemClock,
          iptables,
          conntrack: new HostConntrack(),
          config: { instance, nodeName, family: familyOf(config), clusterCIDR: clusterCIDR(config), masqueradeMark: MARK, hash: chainHash },
          onError: (error) => warn('kube-proxy', error)
        })
        await proxy.start()
        return proxy
      }),
      (proxy) => Effect.promise(() => proxy.stop())
    )
  })
)

const dns = Layer.effectDiscard(
  Effect.gen(function* () {
    const { config, warn } = yield* Place
    const { clusterDomain: domain, clusterDNS } = config
    const user = `dns-${encodeToken(config.nodeName)}`
    const source = yield* endpointViews('dns', user, yield* connection(user))
    yield* Effect.acquireRelease(
      attempt('dns', async () => {
        const server = new Dns({
          source,
          clock: systemClock,
          address: bridgeAddress(config),
          port: DNS_PORT,
          config: { domain, clusterDNS, reverse: [config.serviceCIDR, ...clusterCIDRsOf(config)] },
          onError: (error) => warn('dns', error)
        })
        await server.start()
        return server
      }),
      (server) => Effect.promise(() => server.stop())
    )
  })
)

/** In the order they begin. */
const PARTS = { 'kube-proxy': kubeProxy, dns, kubelet }

/** Those of the components that a node has. */
export const agent = (components: readonly string[]) =>
  inOrder(Object.entries(PARTS).flatMap(([name, part]) => (components.includes(name) ? [part] : []))).pipe(
    Layer.provide(PodNetwork.layer),
    Layer.provide(placed)
  )
