/** What the command line needs from outside: where the cluster is, how to reach it, how to start and stop it. */
import type { NatsConnection } from '@nats-io/transport-node'

export interface Environment {
  readonly version: string
  readonly home: string
  /** The kubeconfig's path; throws when there is no cluster in the home. */
  kubeconfig(): string
  /** GET at the API server as the administrator; `moment` reads the past. */
  read(path: string, options?: { readonly accept?: string; readonly moment?: string }): Promise<{ readonly status: number; readonly body: string }>
  /** Connected as the administrator; the caller closes. */
  connect(): Promise<NatsConnection>
  up(options: { readonly demo: boolean; readonly report: (line: string) => void }): Promise<void>
  down(options: { readonly report: (line: string) => void }): Promise<void>
  status(): Promise<unknown>
  /** Runs components in this process until it is told to end. */
  run(components: readonly string[]): Promise<void>
}

/** A mistake of the person's, or a refusal: its message is all there is to say. */
export class CliError extends Error {
  override readonly name = 'CliError'
}
