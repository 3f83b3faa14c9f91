/** What the command line needs from outside: where the cluster is, how to reach it, how to start and stop it. */
import type { NatsConnection } from '@nats-io/transport-node'

export interface StrangeEntry {
  readonly stream: string
  readonly sequence: number
  readonly subject: string
  readonly stored: string
  readonly why: string
  readonly quarantined: boolean
}

export interface LogVerdict {
  readonly stream: string
  readonly entries: number
  readonly first: number
  readonly last: number
  readonly hash: string
  readonly strange: readonly { readonly sequence: number }[]
  readonly losses: readonly { readonly first: number; readonly last: number }[]
  readonly damages: readonly { readonly detail: string }[]
}

export interface Environment {
  readonly version: string
  readonly home: string
  /** The kubeconfig's path; throws when there is no cluster in the home. */
  kubeconfig(): string
  /** GET at the API server as the administrator; `moment` reads the past. */
  read(path: string, options?: { readonly accept?: string; readonly moment?: string }): Promise<{ readonly status: number; readonly body: string }>
  /** Connected as the administrator; the caller closes. */
  connect(): Promise<NatsConnection>
  up(options: { readonly demo: boolean; readonly acceptLoss: boolean; readonly report: (line: string) => void }): Promise<void>
  /** The log itself: read whole, and entries put aside. */
  readonly log: {
    verify(report: (line: string) => void): Promise<readonly LogVerdict[]>
    strange(report: (line: string) => void): Promise<readonly StrangeEntry[]>
    quarantine(stream: string, sequences: readonly number[], report: (line: string) => void): Promise<void>
  }
  down(options: { readonly report: (line: string) => void }): Promise<void>
  status(): Promise<unknown>
  /** Runs components in this process until it is told to end. */
  run(components: readonly string[]): Promise<void>
}

/** A mistake of the person's, or a refusal: its message is all there is to say. */
export class CliError extends Error {
  override readonly name = 'CliError'
}
