/** A whole cluster of a test's own on this machine: real nats-server, Docker, iptables; and the real kubectl to drive it. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { execa } from 'execa'
import { readConfig, type ClusterConfig } from '#ops/home.ts'
import { runningCluster } from '#ops/running.ts'
import { down, up } from '#ops/up.ts'
import { kubectls } from './kubectls.ts'

export interface Answer {
  readonly code: number
  readonly out: string
  readonly err: string
}

export interface TestCluster {
  readonly home: string
  readonly config: ClusterConfig
  /** Runs kubectl as the administrator; never throws for its exit code. */
  kubectl(
    args: readonly string[],
    options?: {
      readonly input?: string
      readonly program?: string
      readonly at?: string
      readonly env?: Record<string, string>
      readonly timeout?: number
    }
  ): Promise<Answer>
  /** kubectl that must succeed; its output. */
  ok(...args: string[]): Promise<string>
  /** Asks until the answer is right; the test fails after `ms`. */
  until(what: string, check: () => Promise<boolean>, ms?: number): Promise<void>
  restart(): Promise<void>
  pid(): number
  stop(): Promise<void>
}

export const startCluster = async (): Promise<TestCluster> => {
  const home = mkdtempSync(join(tmpdir(), 'reckon-e2e-'))
  const report = (): void => {}
  await up({ home, demo: false, report })
  const config = readConfig(home) as ClusterConfig
  const program = (await kubectls()).at(-1)?.path as string
  const kubectl: TestCluster['kubectl'] = async (args, options = {}) => {
    const server = options.at === undefined ? [] : ['--server', `https://127.0.0.1:${config.apiPort}/at/${options.at}`]
    const done = await execa(
      options.program ?? program,
      [`--kubeconfig=${join(home, 'kubeconfig')}`, `--cache-dir=${join(home, 'kubectl-cache')}`, ...server, ...args],
      {
        reject: false,
        timeout: options.timeout ?? 60_000,
        ...(options.input === undefined ? { stdin: 'ignore' as const } : { input: options.input }),
        ...(options.env === undefined ? {} : { env: options.env })
      }
    )
    return {
      code: done.exitCode ?? 1,
      out: done.stdout,
      err: done.stderr
        .split('\n')
        .filter((line) => !line.includes('exceeds the supported minor version skew'))
        .join('\n')
    }
  }
  return {
    home,
    config,
    kubectl,
    ok: async (...args) => {
      const { code, out, err } = await kubectl(args)
      if (code !== 0) throw new Error(`kubectl ${args.join(' ')} ended with ${code}: ${err}`)
      return out
    },
    until: async (what, check, ms = 60_000) => {
      const deadline = Date.now() + ms
      while (!(await check())) {
        if (Date.now() > deadline)
          throw new Error(`not within ${ms} ms: ${what}\n${(await kubectl(['get', 'pods,deploy,events', '-A'])).out}\n${logTail(home)}`)
        await wait(200)
      }
    },
    restart: () => up({ home, demo: false, report }),
    pid: () => runningCluster(home)?.pid ?? 0,
    stop: async () => {
      await down({ home, report })
      rmSync(home, { recursive: true, force: true })
    }
  }
}

const logTail = (home: string): string => {
  const path = join(home, 'log/reckon.log')
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(-20).join('\n') : ''
}
