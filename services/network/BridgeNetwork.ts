/**
 * The pod network of one node: a bridge with the node's range, and for every pod a pair of interfaces between it and
 * the pod's namespace. What is in use is read from a file per pod and from the interfaces themselves.
 */
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import type { PodNetwork, PodNetworkTarget } from '#services/kubelet/PodNetwork.ts'
import type { Iptables } from '#services/platform/Iptables.ts'
import type { Subscription } from '#events/Log.ts'
import type { Clock } from '#services/platform/Clock.ts'
import { RuleKeeper, type Wanted } from '#services/platform/iptables/RuleKeeper.ts'
import { jumpIsThere, parseSave, parseTables, removalText } from '#services/platform/iptables/text.ts'
import { nextAddress, parseRange, type PodRange } from './addresses.ts'
import {
  networkJumps,
  networkNames,
  parseAlias,
  renderBridge,
  renderBridgeAddress,
  renderNodeSide,
  renderPodSide,
  renderRules,
  sysctls,
  type NetworkNames,
  type RuleInputs
} from './render.ts'

export interface BridgeNetworkOptions {
  /** Five lowercase letters or digits: in the names of interfaces and chains. */
  readonly instance: string
  /** This node's pods. The first address is the bridge's. */
  readonly nodePodCIDR: string
  /** The whole cluster's pods. */
  readonly podCIDR: string
  readonly serviceCIDR: string
  /** Where the file per pod is: `$RECKON_HOME/network`. */
  readonly folder: string
  readonly iptables: Iptables
  /** Bytes; 1500 unless told. */
  readonly mtu?: number
  /** The node's network namespace when it is not this process's own: a path. */
  readonly netns?: string
  readonly onWarning?: (message: string) => void
}

/** A pod could not be given an interface, or the bridge could not be made. */
class NetworkFailed extends Error {
  override readonly name = 'NetworkFailed'
}

interface Lease {
  readonly podUid: string
  readonly namespace: string
  readonly name: string
  readonly ip: string
}

const DEFAULT_MTU = 1500
const TIMEOUT_MS = 20_000
const VETH_HASH = 8

export class BridgeNetwork implements PodNetwork {
  readonly gateway: string
  readonly bridge: string
  readonly #options: BridgeNetworkOptions
  readonly #names: NetworkNames
  readonly #range: PodRange
  readonly #mtu: number
  readonly #rules: RuleInputs
  readonly #pods: string
  #writes = 0
  #leases: Map<string, Lease> | undefined
  #last: string | undefined
  /** By pod uid: what is being done for a pod; one thing at a time. */
  readonly #turns = new Map<string, Promise<unknown>>()

  constructor(options: BridgeNetworkOptions) {
    this.#options = options
    this.#names = networkNames(options.instance)
    this.#range = parseRange(options.nodePodCIDR)
    this.#mtu = options.mtu ?? DEFAULT_MTU
    this.#rules = { names: this.#names, nodePodCIDR: options.nodePodCIDR, podCIDR: options.podCIDR, serviceCIDR: options.serviceCIDR }
    this.#pods = join(options.folder, 'pods')
    this.gateway = this.#range.gateway
    this.bridge = this.#names.bridge
  }
  /** Makes what is missing: bridge, settings, rules. Called on every start of the agent; disturbs no pod. */
  async start(): Promise<void> {
    await mkdir(this.#pods, { recursive: true, mode: 0o700 })
    const there = (await this.#links()).some((link) => link.name === this.bridge)
    await this.#batch(there ? renderBridgeAddress(this.bridge, this.#range).join('\n') : renderBridge(this.bridge, this.#range, this.#mtu))
    await this.#applySysctls()
    await this.#writeRules()
    this.#leases = await this.#readLeases()
  }
  /** Writes the rules, and the jumps to them where they are missing. */
  async #writeRules(): Promise<void> {
    const { iptables } = this.#options
    this.#writes++
    const missing = []
    for (const table of ['nat', 'filter'] as const) {
      const present = parseSave(await iptables.save(table))
      for (const jump of networkJumps(this.#rules))
        if (jump.table === table && !jumpIsThere(present.get(jump.chain) ?? [], jump.rule)) missing.push(jump)
    }
    await iptables.restore(renderRules(this.#rules, missing)).finally(() => this.#writes++)
  }
  /** Has the rules written again when somebody else changed them. */
  keepRules(clock: Clock): Subscription {
    const { iptables, onWarning } = this.#options
    const wanted: Wanted = { chains: parseTables(renderRules(this.#rules, [])), jumps: networkJumps(this.#rules) }
    const keeper = new RuleKeeper({
      iptables,
      clock,
      prefix: this.#names.chains,
      idle: () => Promise.resolve(),
      version: () => this.#writes,
      wanted: () => wanted,
      write: () => this.#writeRules(),
      onMended: () =>
        onWarning?.('the rules of the pod network were not as they were written, and are written again; somebody else changed them'),
      onError: (error) =>
        onWarning?.(`the rules of the pod network could not be checked: ${error instanceof Error ? error.message : String(error)}`)
    })
    keeper.start()
    return { close: () => keeper.stop() }
  }
  async setup(target: PodNetworkTarget): Promise<{ readonly ip: string }> {
    // It becomes part of a batch for ip(8).
    if (!/^[\w.-]{1,128}$/.test(target.podUid)) throw new NetworkFailed(`${JSON.stringify(target.podUid)} is no pod uid`)
    return this.#inTurn(target.podUid, async () => {
      const fresh = !(await this.#known()).has(target.podUid)
      const { ip } = await this.#lease(target)
      const veth = this.#veth(target.podUid)
      const link = { veth, ip, podUid: target.podUid, pausePid: target.pausePid }
      if (!fresh) {
        if (await this.#isPlumbed(link)) return { ip }
        await this.#run(['ip', 'link', 'delete', 'dev', veth])
      }
      await this.#batch(renderNodeSide(link, this.bridge, this.#mtu))
      await this.#batch(renderPodSide(ip, this.#range), target.pausePid)
      return { ip }
    })
  }
  teardown(podUid: string): Promise<void> {
    return this.#inTurn(podUid, async () => {
      await this.#run(['ip', 'link', 'delete', 'dev', this.#veth(podUid)])
      await rm(this.#file(podUid), { force: true })
      ;(await this.#known()).delete(podUid)
    })
  }
  async used(): Promise<ReadonlyMap<string, string>> {
    return new Map([...(await this.#known())].map(([podUid, { ip }]) => [podUid, ip]))
  }
  /** Takes away bridge, interfaces, rules and files: nothing of this cluster's network is left on the node. */
  async removeEverything(): Promise<void> {
    const { iptables } = this.#options
    const own = (await this.#links()).filter(
      ({ name, alias }) => name === this.bridge || (name.startsWith(this.#names.veth) && parseAlias(alias) !== undefined)
    )
    if (own.length > 0) await this.#batch(own.map(({ name }) => `link delete dev ${name}`).join('\n'), undefined, ['-force'])
    for (const table of ['nat', 'filter'] as const) {
      const text = removalText(table, await iptables.save(table), this.#names.chains)
      if (text !== '') await iptables.restore(text)
    }
    await rm(this.#options.folder, { recursive: true, force: true })
    this.#leases = undefined
  }

  async #known(): Promise<Map<string, Lease>> {
    this.#leases ??= await this.#readLeases()
    return this.#leases
  }
  /** Files first; interfaces fill in what a lost file would hide, so that no address in use is given twice. */
  async #readLeases(): Promise<Map<string, Lease>> {
    const leases = new Map<string, Lease>()
    for (const file of await readdir(this.#pods).catch(() => [])) {
      if (!file.endsWith('.json')) continue
      try {
        const lease = JSON.parse(await readFile(join(this.#pods, file), 'utf8')) as Lease
        leases.set(lease.podUid, lease)
      } catch (error) {
        this.#options.onWarning?.(`${join(this.#pods, file)} can't be read and is ignored: ${(error as Error).message}`)
      }
    }
    for (const link of await this.#links()) {
      const owner = link.name.startsWith(this.#names.veth) ? parseAlias(link.alias) : undefined
      if (owner !== undefined && !leases.has(owner.podUid)) leases.set(owner.podUid, { ...owner, namespace: '', name: '' })
    }
    return leases
  }
  async #lease(target: PodNetworkTarget): Promise<Lease> {
    const leases = await this.#known()
    const present = leases.get(target.podUid)
    if (present !== undefined) return present
    const taken = new Set([...leases.values()].map(({ ip }) => ip))
    let ip = nextAddress(this.#range, taken, this.#last)
    if (ip === undefined) {
      await this.#reclaim(leases)
      ip = nextAddress(this.#range, new Set([...leases.values()].map((lease) => lease.ip)), this.#last)
    }
    if (ip === undefined) throw new NetworkFailed(`no address left for pods in ${this.#options.nodePodCIDR}`)
    // From here to the set nothing waits: two pods can't be given the same address.
    const lease = { podUid: target.podUid, namespace: target.namespace, name: target.name, ip }
    this.#last = ip
    leases.set(target.podUid, lease)
    const file = this.#file(target.podUid)
    try {
      await writeFile(`${file}.new`, JSON.stringify(lease), { mode: 0o600 })
      await rename(`${file}.new`, file)
    } catch (error) {
      leases.delete(target.podUid)
      throw error
    }
    return lease
  }
  /** Leases whose interface is gone, when addresses run out: their pods' namespaces ended without a teardown. */
  async #reclaim(leases: Map<string, Lease>): Promise<void> {
    const alive = new Set((await this.#links()).map(({ name }) => name))
    for (const podUid of [...leases.keys()]) {
      if (alive.has(this.#veth(podUid)) || this.#turns.has(podUid)) continue
      leases.delete(podUid)
      await rm(this.#file(podUid), { force: true })
    }
  }
  /** Whether the pair exists and its far end is in this pause container's namespace. */
  async #isPlumbed({ veth, ip, pausePid }: { veth: string; ip: string; pausePid: number }): Promise<boolean> {
    const near = await this.#run(['ip', '-json', 'link', 'show', 'dev', veth])
    if (near.failed) return false
    const far = await this.#run(['ip', '-json', 'address', 'show', 'dev', 'eth0'], { pid: pausePid })
    if (far.failed) return false
    const [nearLink] = JSON.parse(near.stdout) as { ifindex: number; link_index?: number }[]
    const [farLink] = JSON.parse(far.stdout) as { ifindex: number; link_index?: number; flags: string[]; addr_info: { local: string }[] }[]
    return (
      nearLink !== undefined &&
      farLink !== undefined &&
      nearLink.link_index === farLink.ifindex &&
      farLink.link_index === nearLink.ifindex &&
      farLink.flags.includes('UP') &&
      farLink.addr_info.some(({ local }) => local === ip)
    )
  }
  async #applySysctls(): Promise<void> {
    const settings = sysctls(this.bridge, this.#range.family)
    // The module can't be loaded on kernels that have it built in, and need not be.
    const script = [
      'modprobe -q br_netfilter 2>/dev/null',
      ...settings.map(({ path, value }) => `echo ${value} >/proc/sys/${path} 2>/dev/null || echo ${path}`)
    ].join('\n')
    const done = await this.#run(['sh', '-c', script])
    const refused = new Set(done.stdout.split('\n'))
    for (const { path, value, needed } of settings) {
      if (needed && refused.has(path))
        this.#options.onWarning?.(
          `${path.replaceAll('/', '.')} could not be set to ${value}: Services may not be reachable between pods of this node`
        )
    }
  }
  async #links(): Promise<readonly { readonly name: string; readonly alias: string }[]> {
    const done = await this.#run(['ip', '-json', 'link', 'show'])
    if (done.failed) throw new NetworkFailed(`the interfaces can't be listed: ${done.stderr}`)
    return (JSON.parse(done.stdout === '' ? '[]' : done.stdout) as { ifname: string; ifalias?: string }[]).map(({ ifname, ifalias }) => ({
      name: ifname,
      alias: ifalias ?? ''
    }))
  }
  #veth(podUid: string): string {
    return `${this.#names.veth}${createHash('sha256').update(podUid).digest('hex').slice(0, VETH_HASH)}`
  }
  #file(podUid: string): string {
    return join(this.#pods, `${encodeURIComponent(podUid)}.json`)
  }
  #inTurn<T>(podUid: string, task: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(podUid) ?? Promise.resolve()
    const turn = before.then(task, task)
    this.#turns.set(podUid, turn)
    const end = (): void => {
      if (this.#turns.get(podUid) === turn) this.#turns.delete(podUid)
    }
    turn.then(end, end)
    return turn
  }
  async #batch(lines: string, pid?: number, flags: readonly string[] = []): Promise<void> {
    const done = await this.#run(['ip', ...flags, '-batch', '-'], { input: `${lines}\n`, ...(pid === undefined ? {} : { pid }) })
    if (done.failed && !flags.includes('-force')) throw new NetworkFailed(`ip: ${done.stderr === '' ? done.shortMessage : done.stderr}`)
  }
  #run(command: readonly string[], { input, pid }: { input?: string; pid?: number } = {}) {
    const { netns } = this.#options
    const enter = pid !== undefined ? ['nsenter', `--net=/proc/${pid}/ns/net`] : netns !== undefined ? ['nsenter', `--net=${netns}`] : []
    const [file, ...args] = [...enter, ...command]
    return execa(file as string, args, {
      reject: false,
      timeout: TIMEOUT_MS,
      ...(input === undefined ? { stdin: 'ignore' as const } : { input })
    })
  }
}
