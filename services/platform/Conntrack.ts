/** Connection tracking as a port: forgetting flows. `HostConntrack` needs the `conntrack` program and does without when it is missing. */
import { execa } from 'execa'

export interface Flow {
  /** The address the client used; absent: any. */
  readonly to?: string
  readonly port: number
  /** The endpoint it was translated to; absent: any. */
  readonly endpoint?: string
}

export interface Conntrack {
  /** Resolves also when there was no such flow. */
  forgetUdp(flow: Flow): Promise<void>
}

export class HostConntrack implements Conntrack {
  readonly #enter: readonly string[]
  #absent = false

  constructor(netns?: string) {
    this.#enter = netns === undefined ? [] : ['nsenter', `--net=${netns}`]
  }
  async forgetUdp(flow: Flow): Promise<void> {
    if (this.#absent) return
    const [file, ...args] = [
      ...this.#enter,
      ...['conntrack', '-D', '-p', 'udp', '--orig-port-dst', String(flow.port)],
      ...(flow.to === undefined ? [] : ['--orig-dst', flow.to]),
      ...(flow.endpoint === undefined ? [] : ['--dst-nat', flow.endpoint])
    ]
    const done = await execa(file as string, args, { reject: false, stdin: 'ignore', timeout: 10_000 })
    // 127: nsenter did not find it. Exit code 1 only says that nothing matched.
    if (done.failed && (done.code === 'ENOENT' || done.exitCode === 127)) this.#absent = true
  }
}
