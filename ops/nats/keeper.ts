/**
 * Keeps the cluster's log open: looks at its files, starts nats-server on them, sees that every stream is the one it must be,
 * and does it again, for ever, whenever the server has ended or hangs.
 */
import { statfsSync } from 'node:fs'
import { jetstreamManager } from '@nats-io/jetstream'
import type { Damage } from '#events/Log.ts'
import type { ClusterConfig } from '#ops/home.ts'
import { ensureKeys, ensureNodeKeys } from '#ops/log/keys.ts'
import { identify, killProcess, progressOf, type ProcessIdentity } from '#ops/setup/process.ts'
import type { Report } from '#ops/setup/project.ts'
import { Backoff } from '#ops/supervise/backoff.ts'
import { lookEvery } from '#ops/supervise/looks.ts'
import { ensureNatsServer } from './binary.ts'
import { connectNats } from './connect.ts'
import { ensureOperatorKeys } from './keys.ts'
import { removeMadeAnew } from './madeAnew.ts'
import { runningServer, stallOf, startNatsServer, stopNatsServer, type Ended, type NatsServer } from './server.ts'
import { damageOf, inspectStore, isOldLayout, setStreamAside, storeFolder } from './store.ts'
import { ensureStreams, ledgerFolder } from './streams.ts'

export interface OpenLog {
  /** Absent: it was not started, for the files' sake. */
  readonly server: NatsServer | undefined
  readonly damages: readonly Damage[]
}

/** `binary`: one that is known to be good; found otherwise. */
const openLog = async (
  home: string,
  config: ClusterConfig,
  report: Report,
  onProcess: (identity: ProcessIdentity) => void,
  binary?: string
): Promise<OpenLog> => {
  ensureKeys(home)
  ensureNodeKeys(home, config.nodeName)
  const program = binary ?? (await ensureNatsServer(report)).path
  ensureOperatorKeys(home)
  if (isOldLayout(home)) await stopNatsServer(home)
  const damaged = runningServer(home) === undefined ? await inspectStore(home, report) : []
  if (damaged.length > 0) return { server: undefined, damages: damageOf(damaged) }
  const server = await startNatsServer({ home, config, binary: program, report, onProcess })
  return { server, damages: await keepStreams(home, config, report) }
}

/** The server may end while it is asked: nothing here waits for it longer than a request does. */
const keepStreams = async (home: string, config: ClusterConfig, report: Report): Promise<readonly Damage[]> => {
  const nats = await connectNats(home, config, 'keeper', { waitOnFirstConnect: false, reconnect: false, timeout: 10_000 })
  try {
    const { blocks, bsize } = statfsSync(storeFolder(home))
    return await ensureStreams(await jetstreamManager(nats, { checkAPI: false }), ledgerFolder(home), report, {
      disk: blocks * bsize,
      putAside: (stream) => setStreamAside(home, stream, new Date())
    })
  } finally {
    await nats.close()
  }
}

const ANSWER_MS = 2_000

/** True when the server lets the keeper in, and, where a stream is named, says how it is. */
export const isAnswering = async (home: string, config: ClusterConfig, stream?: string): Promise<boolean> => {
  try {
    const nats = await connectNats(home, config, 'keeper', { waitOnFirstConnect: false, reconnect: false, timeout: ANSWER_MS })
    try {
      if (stream !== undefined) await (await jetstreamManager(nats, { checkAPI: false, timeout: ANSWER_MS })).streams.info(stream)
      return true
    } finally {
      await nats.close()
    }
  } catch {
    return false
  }
}

export interface LogKeeperOptions {
  readonly home: string
  readonly config: ClusterConfig
  readonly report: Report
  /** The log is not what it was, and nothing was started on it: nobody keeps it any more. */
  readonly onDamaged: (damage: Damage) => void
  /** Before each start: what must be so for it to have a chance. */
  readonly prepare?: () => Promise<void>
}

/** How often a server that should be at work is asked whether it is. */
const LOOK_MS = 1_000

export class LogKeeper {
  readonly #options: LogKeeperOptions
  readonly #backoff = new Backoff()
  #binary: string | undefined
  #server: NatsServer | undefined
  /** The newest one, from the moment it is a process. */
  #process: ProcessIdentity | undefined
  #abandoned = false
  #stopped = false
  #wake = (): void => {}
  /** Times it was started again, and why the last time. */
  restarts = 0
  lastReason: string | undefined

  constructor(options: LogKeeperOptions) {
    this.#options = options
  }
  /** Opens the log; rejects when it can't be opened now. Without damage it is kept open until `stop`. */
  async open(): Promise<readonly Damage[]> {
    const { server, damages } = await this.#open()
    if (server !== undefined && damages.length === 0) void this.#keep(server)
    return damages
  }
  /** Leaves the server alone from now on; it goes on by itself. */
  stop(): void {
    this.#stopped = true
    this.#wake()
  }
  /**
   * Its files are gone: nobody keeps it any more, and it ends at once. In order it would write, perhaps into a new home at the same path.
   */
  async abandon(): Promise<void> {
    const first = !this.#abandoned
    this.#abandoned = true
    this.stop()
    if (this.#process === undefined) return
    if (first) this.#options.report(`nats-server (process ${this.#process.pid}) is ended: its files are gone`)
    await killProcess(this.#process)
    removeMadeAnew(this.#options.home)
  }
  /** Ends the server as a crash would: it loses nothing that was acknowledged, and is started again at once. */
  async restart(why: string): Promise<void> {
    const identity = this.#server === undefined ? undefined : identify(this.#server.pid)
    // One that somebody has stopped goes on when somebody lets it.
    if (identity === undefined || progressOf(identity)?.state === 'T') return
    this.#options.report(`nats-server is ended and started again: ${why}`)
    await killProcess(identity)
  }
  async #open(): Promise<OpenLog> {
    const { home, config, report, prepare } = this.#options
    await prepare?.()
    this.#binary ??= (await ensureNatsServer(report)).path
    try {
      return await openLog(home, config, report, (identity) => this.#began(identity), this.#binary)
    } catch (error) {
      // The next try looks for the program anew: perhaps it is the program that was at fault.
      this.#binary = undefined
      throw error
    }
  }
  #began(identity: ProcessIdentity): void {
    this.#process = identity
    if (this.#abandoned) void killProcess(identity)
  }
  async #keep(first: NatsServer): Promise<void> {
    let server = first
    while (!this.#stopped) {
      this.#server = server
      const began = performance.now()
      let { reason, killed } = await this.#end(server)
      let lived = performance.now() - began
      this.#server = undefined
      for (let next: NatsServer | undefined; next === undefined;) {
        if (this.#stopped) return
        const pause = this.#backoff.after({ lived, killed })
        this.#options.report(`nats-server is gone: ${reason}; it is started again${pause === 0 ? '' : ` in ${pause / 1000} s`}`)
        this.restarts += 1
        this.lastReason = reason
        await this.#rest(pause)
        if (this.#stopped) return
        try {
          const opened = await this.#open()
          const [damage] = opened.damages
          if (damage !== undefined) return this.#options.onDamaged(damage)
          next = server = opened.server as NatsServer
        } catch (error) {
          reason = error instanceof Error ? error.message : String(error)
          ;[lived, killed] = [0, false]
        }
      }
      this.#options.report('nats-server answers again')
    }
  }
  /** Resolves when the server is gone, with the reason. One that hangs is made to be gone. */
  async #end(server: NatsServer): Promise<Ended> {
    const identity = identify(server.pid)
    if (identity === undefined) return server.exited
    const hangs = stallOf(identity, LOOK_MS)
    const { home, config, report } = this.#options
    let hung = false
    // Looked at the cheap way first: what did something since the last look does not hang.
    const look = async (): Promise<void> => {
      hung = hangs() && !(await isAnswering(home, config))
      if (hung) await killProcess(identity)
    }
    const looks = lookEvery(LOOK_MS, look, (error) =>
      report(`nats-server can't be looked after: ${error instanceof Error ? error.message : String(error)}`)
    )
    const ended = await server.exited
    looks.stop()
    return hung ? { reason: 'it hung, and was killed', killed: false } : ended
  }
  #rest(ms: number): Promise<void> {
    if (ms === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
