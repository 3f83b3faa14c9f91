/** What the command line needs from outside: where the cluster is, how to reach it, how to start and stop it. */
import type { NatsConnection } from '@nats-io/transport-node'
import * as Context from 'effect/Context'
import * as Data from 'effect/Data'
import type * as Effect from 'effect/Effect'
import type { Api } from '#events/Api.ts'
import type { Component } from '#services/platform/components.ts'

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

/** Size and number of files. */
interface Amount {
  readonly files: number
  readonly bytes: number
}

export interface BackupRequest {
  readonly folder: string
  readonly encrypt: boolean
  readonly passphraseFile: string | undefined
}

export interface BackupResult {
  readonly folder: string
  readonly encrypted: boolean
  /** RFC 3339: everything is of this moment. */
  readonly taken: string
  /** The resourceVersion history goes up to. */
  readonly last: number
  /** Events that were not in the backup before. */
  readonly added: number
  readonly entries: number
  readonly written: Amount
  readonly total: Amount
  readonly milliseconds: number
}

interface StreamVerdict {
  readonly stream: string
  readonly entries: number
  readonly first: number
  readonly last: number
  readonly files: number
  readonly bytes: number
  readonly notSealed: number
}

export interface BackupVerdict {
  readonly folder: string
  readonly taken: string
  readonly encrypted: boolean
  readonly streams: readonly StreamVerdict[]
  readonly hash: string
  readonly problems: readonly string[]
}

export interface RestoreRequest extends BackupRequest {
  readonly home: string
  readonly to: string | undefined
  readonly skip: number
  readonly asCopy: boolean
}

export interface Restored {
  readonly home: string
  readonly taken: string
  readonly upTo: { readonly sequence: number; readonly time: number }
  readonly leftOut: number
  readonly next: number
  readonly entries: number
  readonly config: {
    readonly instance: string
    readonly apiPort: number
    readonly natsPort: number
    readonly serviceCIDR: string
    readonly podCIDR: string
  }
  readonly milliseconds: number
}

/** What of history would go, or went. */
export interface Compacted {
  readonly done: boolean
  /** The resourceVersion history is whole from, and when that was (RFC 3339). */
  readonly floor: number
  readonly time: string
  readonly entries: number
  readonly gone: number
  /** Before compression. */
  readonly goneBytes: number
  readonly kept: number
  readonly milliseconds: number
}

/** All a machine needs to be a node. It holds keys: who has it is that node. */
export interface NodeBundle {
  /** The part of config.json that all machines share. */
  readonly cluster: Readonly<Record<string, unknown>>
  readonly node: { readonly nodeName: string; readonly natsURLs: readonly string[]; readonly caPin: string }
  /** The cluster's authority, PEM. */
  readonly ca: string
  /** What its bindings are sealed with, by name, base64. */
  readonly keys: Readonly<Record<string, string>>
  /** A credentials file per NATS user. */
  readonly credentials: Readonly<Record<string, string>>
}

export class Environment extends Context.Service<
  Environment,
  {
    readonly version: string
    readonly home: string
    /** The kubeconfig's path; throws when there is no cluster in the home. */
    kubeconfig(): string
    /** What the cluster serves, or served at a moment. */
    api(moment?: string): Promise<Api>
    /** GET at the API server as the administrator; `moment` reads the past. */
    read(
      path: string,
      options?: { readonly accept?: string; readonly moment?: string }
    ): Promise<{ readonly status: number; readonly body: string }>
    /** Connected as the administrator; the caller closes. `patient`: once lost, the connection is waited for as long as it takes. */
    connect(options?: { readonly patient?: boolean }): Promise<NatsConnection>
    up(options: { readonly demo: boolean; readonly acceptLoss: boolean; readonly report: (line: string) => void }): Promise<void>
    /** The log itself: read whole, and entries put aside. */
    readonly log: {
      verify(report: (line: string) => void): Promise<readonly LogVerdict[]>
      strange(report: (line: string) => void): Promise<readonly StrangeEntry[]>
      quarantine(stream: string, sequences: readonly number[], report: (line: string) => void): Promise<void>
      /** Undefined when nothing is old enough. */
      compact(
        request: { readonly before: string | undefined; readonly dryRun: boolean },
        report: (line: string) => void
      ): Promise<Compacted | undefined>
    }
    readonly backup: {
      take(request: BackupRequest, report: (line: string) => void): Promise<BackupResult>
      /** Reads a backup whole; needs no cluster. */
      verify(request: BackupRequest, report: (line: string) => void): Promise<BackupVerdict>
      restore(request: RestoreRequest, report: (line: string) => void): Promise<Restored>
    }
    /** What nodes need to come in; on the machine with the cluster's authority. */
    readonly nodes: {
      create(node: string): Promise<NodeBundle>
      /** False when it had no credentials. */
      revoke(node: string): Promise<boolean>
      list(): Promise<readonly { readonly node: string; readonly since: number }[]>
    }
    down(options: { readonly report: (line: string) => void }): Promise<void>
    status(): Promise<unknown>
    /** Runs components in this process until it is told to end. No promise: who is interrupted closes what it has opened. */
    run(components: readonly Component[], options?: RunOptions): Effect.Effect<void, unknown>
  }
>()('reckon/cli/Environment') {}

export interface RunOptions {
  /** An API server beside the home's own, on this port. */
  readonly securePort?: number
}

/** A mistake of the person's, or a refusal: its message is all there is to say. Plain functions throw it, too. */
export class CliError extends Data.TaggedError('CliError')<{ readonly message: string }> {
  constructor(message: string) {
    super({ message })
  }
}
