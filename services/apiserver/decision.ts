/**
 * What deciding is about, in types: what a decision may know, what it comes to, what it may have to ask first, and what an
 * admission plugin is. Everything that decides imports this file, and this file imports nothing that decides.
 */
import type { Api } from '#events/Api.ts'
import type { NewEvent } from '#events/Event.ts'
import type { Intent, UserInfo } from '#events/Intent.ts'
import type { Guard } from '#events/guard.ts'
import type { Kind } from '#events/Kind.ts'
import type { ObjectKey } from '#events/Key.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import type { Refusal, Status } from '#events/Refusal.ts'
import type { PodSecurity } from '#events/core/pod/security/configuration.ts'
import type { Entry, ObjectsView } from '#projections/Objects.ts'

export interface Settings {
  /** `10.96.0.0/16` */
  readonly serviceCIDR: string
  /** Inclusive. */
  readonly nodePorts: readonly [number, number]
  /** The cluster's pod networks, which nodes have parts of: one, or one of each family. Absent: a part may be any network. */
  readonly podCIDRs?: readonly string[]
  /** What namespaces without labels hold their pods to, and who is exempt; absent: anything goes, and nobody. */
  readonly podSecurity?: PodSecurity
}

/** Something a decision needs from outside before it can be made. */
export interface Need {
  /** What is asked, in 43 characters: the same question has the same id, in every round and on every server. */
  readonly id: string
  /** Who answers such: `webhook`, `conversion` … */
  readonly kind: string
  /** Whom of them: the name of a webhook. */
  readonly name: string
  /** JSON. */
  readonly request: unknown
  /** How long whoever asks waits for it; less than what the shell allows at most. */
  readonly timeoutMs?: number
}

/** What came back. That nothing did is an answer too: what it means is for who asked (a webhook's failurePolicy). */
export type Answer = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly error: string }

/** An answer with what it is one to, as it is kept and recorded. */
export interface Answered {
  readonly kind: string
  readonly name: string
  readonly answer: Answer
}

/** Said instead of a decision: ask these, all of them at once, and decide again with the answers. */
export interface Needs {
  readonly needs: readonly Need[]
}

/** Ends the making of a decision that can't go on without an answer; `decide` turns it into `Needs`. Not an error: it is no fault. */
export class Unanswered {
  readonly needs: readonly Need[]
  constructor(needs: readonly Need[]) {
    this.needs = needs
  }
}

/** What a decision may know besides the intent. */
export interface DecideContext {
  /** What the cluster serves. */
  readonly api: Api
  readonly view: ObjectsView
  /** Sequence of the last event on an object's subject, 0 when there is none. */
  head(key: ObjectKey): number
  readonly user: UserInfo
  /** Milliseconds since the epoch. */
  readonly now: number
  random(): number
  /** Chance for the letters of a made-up name, where it has to come out the same when it is asked again; otherwise `random`. */
  letters?(): number
  uuid(): string
  /** True while another decision of this API server holds the object: what is in the view of it is about to change. */
  busy(key: ObjectKey): boolean
  readonly settings: Settings
  /** The admission plugins, in order; absent: those every cluster has. */
  readonly plugins?: readonly AdmissionPlugin[]
  /** SHA-256 of a text, base64url: what is asked outside is known by it. Absent where nothing can be asked. */
  digest?(text: string): string
  /** What was answered in earlier rounds, by the need's id. */
  readonly answers?: Pick<ReadonlyMap<string, Answered>, 'get'>
}

export interface Decided {
  /**
   * Stored together or not at all, each only on the version of its object it was decided on; empty when the intent changes
   * nothing (or is a dry run). The last one is the intent's own; before it, what it takes and gives back elsewhere.
   */
  readonly events: readonly NewEvent[]
  /** What else must not have changed when they are stored. */
  readonly guards?: readonly Guard[]
  readonly code: 200 | 201
  /** What the client gets: without resourceVersion when an event makes it, as it is in the view otherwise. */
  readonly object: KubeObject
  /** The object as it stands, when nothing changes. */
  readonly entry?: Entry
  /** Answered instead of the object: a finished delete. */
  readonly status?: Status
  readonly warnings: readonly string[]
  /** Annotations for the audit trail, by key (`pod-security.kubernetes.io/audit-violations`); those of a refusal are on the Refusal. */
  readonly audit?: Readonly<Record<string, string>>
  /** The answer is a view of the object: the Scale of a deployment. */
  readonly present?: (object: KubeObject) => KubeObject
}

export type Operation = 'CREATE' | 'UPDATE' | 'DELETE'

/** A write as admission sees it (upstream's `admission.Attributes`). */
export interface Write {
  readonly operation: Operation
  readonly kind: Kind
  /** '' for the object itself. */
  readonly subresource: string
  readonly intent: Intent
  readonly namespace: string
  /** '' when the server is to make it up. */
  readonly name: string
  /**
   * In `admit` as the client means it, to be changed in place; in `validate` as it is to be stored. Absent in deletes, and where the write
   * is not of the object itself.
   */
  readonly object?: KubeObject
  /** As it is stored; absent in creates. */
  readonly old?: KubeObject
}

/** Another object as it is to be after the write: a quota that counts it, a budget that allows it. Decided on the version in the view. */
export interface Accompanying {
  readonly key: ObjectKey
  /** The whole object. */
  readonly object: KubeObject
  /** A past-tense fact: `reckon.resourcequota.used.v1`. */
  readonly type: string
}

/** What there is to say about a write. */
export interface Admitted {
  /** Stored with the write or not at all; left out when nothing is stored. Of an object that is in it already, the last one counts. */
  readonly accompanying?: readonly Accompanying[]
  /** What must be as it is when the write is stored. */
  readonly guards?: readonly Guard[]
  readonly refusal?: Refusal
  /** For who asked. */
  readonly warnings: readonly string[]
  /** Audit annotations, by key. */
  readonly audit: Readonly<Record<string, string>>
}

/** What a plugin that changes objects may do besides. */
export interface Admitting {
  readonly context: DecideContext
  /** True the second time: somebody outside has changed the object after this plugin saw it. */
  readonly again: boolean
  /** The answer to a question; without one the decision ends here, and is made again when the answer is there. */
  ask(question: Question): Answer
  /** For who asked. */
  warn(warning: string): void
  /** For the audit trail. */
  note(key: string, value: string): void
  /** What a plugin wants to remember of this decision until it sees the object again, by whatever it likes. */
  readonly notes: Map<unknown, unknown>
  /** Says that somebody outside changed the object: all plugins look at it once more, as upstream's reinvocation does. */
  changed(): void
}

export type Question = Omit<Need, 'id'>

/** What a plugin that only judges may do besides: it names all its questions before it needs the first answer. */
export interface Judging {
  readonly context: DecideContext
  /** Answers in the order of the questions. What is missing of them, and of what other plugins ask, is asked for at once. */
  askAll(questions: readonly Question[]): readonly Answer[]
}

/**
 * One thing that has a say in writes, besides what a kind itself asks. Both halves are plain functions. They throw `Refusal`, and
 * see a write in upstream's order: `admit` before the server adds what is its own, `validate` when everything else is decided.
 */
export interface AdmissionPlugin {
  /** Upstream's: `NamespaceLifecycle`. */
  readonly name: string
  handles(operation: Operation, kind: Kind, subresource: string): boolean
  admit?(write: Write, admitting: Admitting): void
  validate?(write: Write, judging: Judging): Admitted
}

/** Nothing to say. */
export const NOTHING: Admitted = { warnings: [], audit: {} }
