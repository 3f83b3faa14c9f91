/**
 * Hears from the kernel who changes rules: xtables-monitor(8), of the iptables package, prints every rule that comes or goes,
 * and at the end of each change the process that made it. It sleeps while nothing happens.
 *
 * Reading all rules every few seconds would be simpler; it costs a tenth of a second of work each time on a node with a
 * thousand Services, and is only done where there is nothing to listen to: the legacy tables tell nobody.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { execa } from 'execa'
import type { Family } from '#events/meta/ip.ts'
import type { Subscription } from '#events/Log.ts'

/** How often watchers are told to look when the kernel can't be heard. */
const POLL_MS = 4_000
const RESTART_MS = 1_000
/** A monitor that ends before that has not worked. */
const WORKED_MS = 10_000
/** So often in a row: it is not tried again. */
const FAILURES = 3

export interface RuleMonitorOptions {
  /** What a command begins with to run in the right network namespace. */
  readonly enter: readonly string[]
  /** Whose rules; IPv4 unless told. */
  readonly family?: Family
  /** Whether a process is one of our own. */
  readonly isOurs: (pid: number) => boolean
  readonly pollMs?: number
  readonly restartMs?: number
}

interface Watcher {
  readonly prefix: string
  readonly onTouched: () => void
  /** Named in the change that is being told. */
  touched: boolean
}

export class RuleMonitor {
  readonly #options: RuleMonitorOptions
  readonly #watchers = new Set<Watcher>()
  #running: { stop(): void } | undefined

  constructor(options: RuleMonitorOptions) {
    this.#options = options
  }
  /** Calls back when somebody else changed a rule that names a chain with this prefix. */
  watch(prefix: string, onTouched: () => void): Subscription {
    const watcher: Watcher = { prefix, onTouched, touched: false }
    this.#watchers.add(watcher)
    this.#running ??= this.#run()
    return {
      close: () => {
        this.#watchers.delete(watcher)
        if (this.#watchers.size > 0) return
        this.#running?.stop()
        this.#running = undefined
      }
    }
  }
  #tellAll(): void {
    for (const { onTouched } of this.#watchers) onTouched()
  }
  #run(): { stop(): void } {
    let stopped = false
    let child: ChildProcess | undefined
    let timer: NodeJS.Timeout | undefined
    let failures = 0
    const poll = (): void => {
      timer = setInterval(() => this.#tellAll(), this.#options.pollMs ?? POLL_MS).unref()
    }
    const listen = (): void => {
      if (stopped) return
      const began = performance.now()
      const heard = (next: ChildProcess): void => {
        child = next
        let ended = false
        const end = (): void => {
          if (stopped || ended) return
          ended = true
          failures = performance.now() - began > WORKED_MS ? 0 : failures + 1
          // What happened meanwhile was not heard.
          this.#tellAll()
          if (failures >= FAILURES) poll()
          else timer = setTimeout(listen, this.#options.restartMs ?? RESTART_MS).unref()
        }
        next.once('error', end)
        next.once('exit', end)
        next.unref()
        if (next.stdout !== null) createInterface({ input: next.stdout }).on('line', (line) => this.#line(line))
      }
      // Line by line: into a pipe it would wait for its buffer to be full.
      const [file = '', ...args] = [
        ...this.#options.enter,
        'stdbuf',
        '-oL',
        'xtables-monitor',
        this.#options.family === 'IPv6' ? '-6' : '-4',
        '--event'
      ]
      heard(spawn(file, args, { stdio: ['ignore', 'pipe', 'ignore'] }))
    }
    void this.#isLegacy().then((legacy) => {
      if (stopped) return
      if (legacy) poll()
      else listen()
    })
    return {
      stop: () => {
        stopped = true
        clearTimeout(timer)
        child?.kill()
      }
    }
  }
  async #isLegacy(): Promise<boolean> {
    const { stdout } = await execa('iptables', ['--version'], { reject: false, stdin: 'ignore' })
    return !String(stdout).includes('nf_tables')
  }
  /** `EVENT: -4 -t nat -D RK-…`, one for each rule or chain, then `NEWGEN: GENID=12 PID=2218 NAME=iptables`. */
  #line(line: string): void {
    const pid = /^NEWGEN:.* PID=(\d+)/.exec(line)?.[1]
    if (pid === undefined) {
      for (const watcher of this.#watchers) if (!watcher.touched && line.includes(watcher.prefix)) watcher.touched = true
      return
    }
    const ours = this.#options.isOurs(Number(pid))
    for (const watcher of this.#watchers) {
      const { touched } = watcher
      watcher.touched = false
      if (touched && !ours) watcher.onTouched()
    }
  }
}
