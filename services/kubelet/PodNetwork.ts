/** What the kubelet needs of the pod network: an address for a pod's namespace, and the giving back of it. */

export interface PodNetworkTarget {
  readonly podUid: string
  readonly namespace: string
  readonly name: string
  /** Process id of the pause container, whose network namespace gets the interface. */
  readonly pausePid: number
}

export interface PodNetwork {
  /**
   * Gives the namespace an interface and an IPv4 address. Called again for a pod that has one (a restarted agent, a
   * new pause container), it keeps the pod's address. Rejects when there is none left.
   */
  setup(target: PodNetworkTarget): Promise<{ readonly ip: string }>
  /** Gives address and interface back. Does nothing for a pod that has none. */
  teardown(podUid: string): Promise<void>
  /** Addresses in use on this node, by pod uid; known again after a restart of the agent. */
  used(): Promise<ReadonlyMap<string, string>>
}

/** In memory: hands out 10.x.y.2 and up, the lowest free first. */
export class SimulatedPodNetwork implements PodNetwork {
  readonly #prefix: string
  readonly #used = new Map<string, string>()

  /** `prefix`: the first three bytes, `10.244.0`. */
  constructor(prefix = '10.244.0') {
    this.#prefix = prefix
  }
  async setup({ podUid }: PodNetworkTarget): Promise<{ readonly ip: string }> {
    const known = this.#used.get(podUid)
    if (known !== undefined) return { ip: known }
    const taken = new Set(this.#used.values())
    for (let last = 2; last < 255; last++) {
      const ip = `${this.#prefix}.${last}`
      if (taken.has(ip)) continue
      this.#used.set(podUid, ip)
      return { ip }
    }
    throw new Error(`no address left in ${this.#prefix}.0/24`)
  }
  async teardown(podUid: string): Promise<void> {
    this.#used.delete(podUid)
  }
  async used(): Promise<ReadonlyMap<string, string>> {
    return new Map(this.#used)
  }
}
