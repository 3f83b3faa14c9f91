/**
 * What reckon knows of a kind in the version it is stored in, and in the other versions it is served in: one definition per kind,
 * one file per definition, collected in `scheme.ts`. Adding a kind is adding a file; CustomResourceDefinitions make the same.
 * Everything here is a plain function of its arguments.
 */
import type { FieldError } from './Refusal.ts'
import type { ResourceRef } from './Key.ts'
import type { KubeObject } from './KubeObject.ts'
import type { FieldSchema } from './schema/Schema.ts'
import type { StreamName } from './Subject.ts'

export type Verb = 'create' | 'delete' | 'deletecollection' | 'get' | 'list' | 'patch' | 'update' | 'watch'

export interface Subresource {
  readonly name: string
  /** Of the body, when it is another kind than the parent: Scale, Eviction, Binding, TokenRequest. */
  readonly group?: string
  readonly version?: string
  readonly kind?: string
  readonly verbs: readonly string[]
}

/** Column of a printed table; priority 1 shows with `-o wide` only. */
export interface Column {
  readonly name: string
  readonly type: 'string' | 'integer' | 'number' | 'boolean' | 'date'
  readonly format?: string
  readonly priority?: 0 | 1
  readonly description?: string
}

/** The values under which an object of a collection is found. */
export type IndexFunction<Some extends KubeObject = KubeObject> = Asking<Some, readonly string[]>
/** By name: `node` of pods. */
export type Indexes<Some extends KubeObject = KubeObject> = Readonly<Record<string, IndexFunction<Some>>>

/** What is asked of objects of the kind only, whoever asks: as a method, so that every kind is a `Kind`. */
type Asking<Some, Answer> = { of(object: Some): Answer }['of']

export interface PrepareContext {
  /** RFC 3339, seconds, UTC. */
  readonly now: string
}

export interface Kind<Some extends KubeObject = KubeObject> {
  readonly group: string
  readonly version: string
  readonly kind: string
  /** `<kind>List` when it is not named. */
  readonly listKind?: string
  readonly resource: string
  readonly singular: string
  readonly namespaced: boolean
  readonly shortNames?: readonly string[]
  readonly categories?: readonly string[]
  readonly verbs: readonly Verb[]
  readonly subresources?: readonly Subresource[]
  readonly stream: StreamName
  /** Objects are those of this collection of another group, in other words (Events): the kind has no place of its own. */
  readonly stored?: ResourceRef
  /**
   * The same kind as it is served in other versions, each whole; objects are stored in the version this definition has. What
   * generic code is given is one version of a kind: it reads through `fromStorage` and writes through `toStorage`.
   */
  readonly versions?: readonly Kind[]
  /** Objects are stored in this version, and nobody can ask for it. */
  readonly unserved?: true
  /** Said to who uses this version: `example.com/v1beta1 Widget is deprecated`. */
  readonly deprecation?: string
  /** A stored object, perhaps of an older definition, as this version has it; the very same when there is nothing to change. */
  fromStorage?(object: KubeObject): Some
  /** An object of this version as it is stored. */
  toStorage?(object: Some): KubeObject
  /** Of a custom kind: what its definition says of its objects. Built-in types are found by name. */
  readonly schema?: FieldSchema
  /** Why nobody may create such an object now; a definition that is going is still read and emptied. */
  readonly createRefusal?: string
  /** True when the object has spec/status halves: status writes go through /status, spec changes bump generation. */
  readonly hasStatus?: boolean
  /** True when metadata.generation is kept (spec-bearing kinds). */
  readonly hasGeneration?: boolean
  /** Annotations count as spec: a change of theirs raises the generation (Deployments, whose ReplicaSets get them). */
  readonly generationCountsAnnotations?: true
  /** Fills absent fields in place, on every write (create and update), as upstream's defaulting does. */
  default?(object: Some): void
  /** Create strategy: clears what a client may not set (status), sets initial values, in place, before defaulting. */
  prepareForCreate?(object: Some, context: PrepareContext): void
  /** Update strategy: carries over what may not change (status on a spec write), in place. `subresource` '' = main. */
  prepareForUpdate?(object: Some, old: Some, subresource: string, context: PrepareContext): void
  /**
   * Delete strategy, when an object is first asked to go and does not go at once: what it shows of that, and who has to let go of it. In
   * place.
   */
  prepareForDelete?(object: Some, context: PrepareContext): void
  /** A delete that is done answers the object as it last was, as of upstream's older kinds; other kinds answer a Status. */
  readonly returnsDeleted?: true
  /** True while something of the object's own, besides finalizers, keeps one that is going. */
  isKept?(object: Some): boolean
  /** Faults of an object to be stored, metadata aside (that is checked for every kind); `old`: what it takes the place of. */
  validate?(object: Some, old?: Some): FieldError[]
  /** What who writes the object should know, though it is valid. */
  warnings?(object: Some): readonly string[]
  /** Faults of a new object, besides. */
  validateCreate?(object: Some): FieldError[]
  /** Faults of a change: immutable fields and the like. */
  validateUpdate?(object: Some, old: Some, subresource: string): FieldError[]
  /** Finalizers need no domain in front: upstream asks for one in the groups it compiles in. */
  readonly anyFinalizer?: true
  /** How the name is checked: default 'subdomain' (RFC 1123 subdomain, 253). */
  readonly nameRule?: 'subdomain' | 'label' | 'label1035' | 'path' | 'ip'
  /** Field selectors beyond metadata.name and metadata.namespace: label → value ('' when unset). */
  readonly fields?: Readonly<Record<string, Asking<Some, string>>>
  /** Those of them whose values are hardly ever another object's: the index of the past leaves them out. */
  readonly ownFields?: readonly string[]
  /** What objects are found by in memory, besides labels and owners. */
  readonly indexes?: Indexes<Some>
  /** Default graceful deletion period; only pods have one. */
  gracePeriodSeconds?(object: Some): number
  /** The past-tense domain fact of a change: `reckon.pod.scheduled.v1`. Undefined: created, updated, deleted by verb. */
  eventType?(change: {
    readonly before: Some | undefined
    readonly after: Some
    readonly deleted: boolean
    readonly subresource: string
  }): string | undefined
  readonly columns?: readonly Column[]
  /** Cells of a table row, in the order of `columns`. `now` in milliseconds. */
  row?(object: Some, now: number): readonly (string | number | boolean | null)[]
  /** Row conditions: pods mark Completed and Failed. */
  rowConditions?(object: Some): readonly { type: string; status: string; reason?: string; message?: string }[] | undefined
  /** The scale subresource: where replicas and the selector live. */
  readonly scale?: { readonly specReplicas: string; readonly statusReplicas: string; selector(object: Some): string }
}

/** Where a kind's objects are: the collection they are found in, written to and watched in. Who may do what goes by the kind's own name. */
export const collectionOf = ({ stored, group, resource }: Pick<Kind, 'stored' | 'group' | 'resource'>): ResourceRef =>
  stored ?? { group, resource }
