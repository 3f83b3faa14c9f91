/** What opens a session with an agent: `node.<node>.call`, answered with acceptance or a Status. */
import type { Status } from '#events/Refusal.ts'
import type { ContainerRef, ExecOptions, LogOptions } from '#services/platform/NodeLink.ts'

export type Call = { readonly session: string; readonly container: ContainerRef } & (
  | { readonly what: 'logs'; readonly options: LogOptions }
  | { readonly what: 'exec'; readonly options: ExecOptions }
  | { readonly what: 'attach'; readonly options: Omit<ExecOptions, 'command'> }
)

export type Accepted = { readonly ok: true } | { readonly ok: false; readonly status: Status }

export type Exit = { readonly code: number } | { readonly error: string }
