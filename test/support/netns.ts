/** A node with pods in network namespaces of their own, and a client outside it; all of it goes away with `remove`. */
import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { execa } from 'execa'

const PROBE = join(import.meta.dirname, 'probe.ts')

const NETNS = '/run/netns'
const isMounted = (folder: string): boolean =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .some((line) => line.split(' ')[4] === folder)

export interface Probe {
  readonly results: string[]
  readonly ms: number
}

export class NodeLab {
  /** Five letters or digits, as a cluster's instance. */
  readonly instance = randomBytes(4).toString('hex').slice(0, 5)
  readonly node = `rkt${this.instance}n`
  readonly outside = `rkt${this.instance}o`
  readonly nodeIP = '198.18.0.2'
  readonly folder = mkdtempSync(join(tmpdir(), 'reckon-net-'))
  readonly #children: ChildProcess[] = []
  /** ip(8) mounts its folder on itself with the first namespace, and leaves it so after the last. */
  #ours = false

  get netns(): string {
    return `/run/netns/${this.node}`
  }
  async create(): Promise<void> {
    this.#ours = !isMounted(NETNS)
    await execa('ip', ['-batch', '-'], {
      input: [
        `netns add ${this.node}`,
        `netns add ${this.outside}`,
        `link add eth0 netns ${this.node} type veth peer name eth0 netns ${this.outside}`,
        ''
      ].join('\n')
    })
    await execa('ip', ['-n', this.node, '-batch', '-'], {
      input: `link set lo up\naddress add ${this.nodeIP}/24 dev eth0\nlink set eth0 up\nroute add default via 198.18.0.1\n`
    })
    await execa('ip', ['-n', this.outside, '-batch', '-'], {
      input: 'link set lo up\naddress add 198.18.0.1/24 dev eth0\nlink set eth0 up\n'
    })
  }
  /** A process in a network namespace of its own, as a pause container is. */
  async pause(): Promise<number> {
    const child = spawn('unshare', ['--net', 'sleep', '600'], { stdio: 'ignore' })
    this.#children.push(child)
    const pid = child.pid as number
    const ours = readlinkSync('/proc/self/ns/net')
    while (readlinkSync(`/proc/${pid}/ns/net`) === ours) await wait(2)
    return pid
  }
  /** Ends one of the processes started here. */
  async end(pid: number): Promise<void> {
    const child = this.#children.find((other) => other.pid === pid)
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }
  /** Starts the probe as a server in a namespace; resolves when it listens. */
  async serve(netns: string, ...args: readonly string[]): Promise<number> {
    const child = spawn('nsenter', [`--net=${netns}`, process.execPath, PROBE, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#children.push(child)
    await Promise.race([
      once(child.stdout, 'data'),
      once(child, 'exit').then(() => {
        throw new Error(`the probe ${args.join(' ')} ended`)
      })
    ])
    return child.pid as number
  }
  async probe(netns: string, mode: 'tcp' | 'udp', host: string, port: number, count: number, localPort = 0): Promise<Probe> {
    const { stdout } = await execa('nsenter', [
      `--net=${netns}`,
      process.execPath,
      PROBE,
      mode,
      host,
      String(port),
      String(count),
      String(localPort)
    ])
    return JSON.parse(stdout) as Probe
  }
  async remove(): Promise<void> {
    for (const { pid } of this.#children) if (pid !== undefined) await this.end(pid)
    for (const name of [this.node, this.outside]) await execa('ip', ['netns', 'delete', name], { reject: false })
    if (this.#ours && isMounted(NETNS) && readdirSync(NETNS).length === 0) {
      await execa('umount', [NETNS])
      rmdirSync(NETNS)
    }
    rmSync(this.folder, { recursive: true, force: true })
  }
}

export const podNetns = (pid: number): string => `/proc/${pid}/ns/net`
