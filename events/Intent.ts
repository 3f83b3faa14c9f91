/**
 * The intent: a person, a controller or a node asking for one change. Imperative; it may be refused.
 * Both doors (the REST API and request/reply on NATS) turn what they receive into this shape for the one decider.
 */
import type { Term } from './coordination/term.ts'
import type { ResourceRef } from './Key.ts'
import type { KubeObject } from './KubeObject.ts'
import type { Reasons } from './Event.ts'
import type { Status } from './Refusal.ts'

export type PatchType =
  'application/json-patch+json' | 'application/merge-patch+json' | 'application/strategic-merge-patch+json' | 'application/apply-patch+yaml'

/** NATS header: the identity a component acts under; only the controller manager may name one. */
export const ACT_AS = 'Reckon-As'

export type IntentVerb = 'create' | 'update' | 'patch' | 'delete'

export interface DeleteOptions {
  readonly gracePeriodSeconds?: number
  readonly propagationPolicy?: 'Background' | 'Foreground' | 'Orphan'
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string }
}

/** Why an intent was made: the event that led to it. A person's intent has none. */
export interface Cause {
  readonly eventId: string
  /** `EVENTS:123` */
  readonly ref: string
  readonly correlationId: string
}

export interface UserInfo {
  readonly username: string
  readonly uid?: string
  readonly groups: readonly string[]
  readonly extra?: Readonly<Record<string, readonly string[]>>
}

export interface Intent {
  /** Unique; delivered twice, it is decided once. */
  readonly id: string
  /** Asked before, and the answer was lost: whether it happened is looked up in the log, should nobody remember. */
  readonly again?: true
  readonly verb: IntentVerb
  readonly ref: ResourceRef
  /** API version the client speaks, e.g. `v1`. */
  readonly version: string
  /** '' for cluster scope. */
  readonly namespace: string
  /** '' only for create with generateName or with the name in the object. */
  readonly name: string
  /** `status`, `scale`, `binding`, `eviction`, `finalize`, … */
  readonly subresource?: string
  /** create, update: the object. */
  readonly object?: KubeObject
  readonly patch?: { readonly type: PatchType; readonly body: unknown }
  readonly deleteOptions?: DeleteOptions
  readonly options?: {
    readonly fieldManager?: string
    readonly fieldValidation?: 'Strict' | 'Warn' | 'Ignore'
    readonly force?: boolean
    readonly dryRun?: boolean
  }
  readonly cause?: Cause
  readonly reasons?: Reasons
  /** Of a component that is elected: refused when its term has ended. */
  readonly term?: Term
  /** The component asking, e.g. `kubectl`, `scheduler`. */
  readonly source: string
  readonly command?: string
}

export type IntentResult =
  | {
      readonly ok: true
      /** 200 or 201. */
      readonly code: number
      /** The object after the change (with resourceVersion), or a Status for a finished delete. */
      readonly object: KubeObject
      /** Sequence of the last event the intent made in its stream; of the object's present event when nothing changed. */
      readonly sequence: number
      /** The object's JSON, when it is at hand: saves serializing it again. */
      readonly text?: string
      /** True when the intent made no event: everything was so already. */
      readonly unchanged?: true
      readonly warnings?: readonly string[]
    }
  | { readonly ok: false; readonly status: Status }

/** Nobody answered an intent: it may have been decided, or not. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer'
}

/** Where shells send intents. Twins: in the API server's own process, over NATS, and the simulation's lossy one. */
export interface Intents {
  /** Resolves with the decision; rejects with NoAnswer, and only when the outcome is unknown (time-out, lost connection). */
  submit(intent: Intent): Promise<IntentResult>
}
