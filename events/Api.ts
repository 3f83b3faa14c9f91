/**
 * What a cluster serves: the API as a value, folded from definitions of kinds. It is passed to whoever has to know a kind,
 * never imported: a registry that is a global can't differ between two moments of one process, as it does when a
 * CustomResourceDefinition comes or goes, nor between two clusters in one test.
 */
import { customKind } from './apiextensions/customKind.ts'
import type { Indexes, Kind } from './Kind.ts'
import type { KubeObject } from './KubeObject.ts'
import { resourceId, type ResourceRef } from './Key.ts'
import { typeNamed, typeOfKind, type TypeSchema } from './schema/Schema.ts'
import type { StreamName } from './Subject.ts'

const NO_INDEXES: Indexes = {}

const versionOf = (kind: Kind | undefined, version: string | undefined): Kind | undefined => {
  if (kind === undefined || version === undefined) return kind
  if (kind.version === version) return kind.unserved === true ? undefined : kind
  return kind.versions?.find((other) => other.version === version && other.unserved !== true)
}

export class Api {
  /** Two values with the same number, of one process, serve the same. */
  readonly version: number
  /** One per collection, in the version its objects are stored in, in the order discovery lists them. */
  readonly kinds: readonly Kind[]
  /** Those that show another's objects. */
  readonly #views: readonly Kind[]
  /** One per version that can be asked for. */
  readonly served: readonly Kind[]
  readonly #byResource: ReadonlyMap<string, Kind>
  readonly #byName: ReadonlyMap<string, Kind>

  constructor(kinds: readonly Kind[], version = 0) {
    this.version = version
    this.kinds = kinds.filter(({ stored }) => stored === undefined)
    this.#views = kinds.filter(({ stored }) => stored !== undefined)
    this.served = kinds.flatMap((kind) => [kind, ...(kind.versions ?? [])]).filter(({ unserved }) => unserved !== true)
    this.#byResource = new Map(kinds.map((kind) => [resourceId(kind), kind]))
    this.#byName = new Map(kinds.map((kind) => [`${kind.group}/${kind.kind}`, kind]))
  }
  /** This API and what CustomResourceDefinitions add to it. */
  with(definitions: Iterable<KubeObject>, version: number): Api {
    return this.withKinds(
      [...definitions].flatMap((definition) => customKind(definition) ?? []),
      version
    )
  }
  /** The same for who remembers what the definitions made. */
  withKinds(kinds: readonly Kind[], version: number): Api {
    // What is built in can't be taken over.
    const custom = kinds.filter((kind) => this.kindOf(kind) === undefined)
    return new Api([...this.kinds, ...custom, ...this.#views], version)
  }
  /** The kind of a collection: as it is stored, or as it is served in a version. */
  kindOf(ref: ResourceRef, version?: string): Kind | undefined {
    return versionOf(this.#byResource.get(resourceId(ref)), version)
  }
  /** Where what a name stands for is stored: mostly under that name. */
  collectionOf(ref: ResourceRef): ResourceRef {
    return this.#byResource.get(resourceId(ref))?.stored ?? ref
  }
  /** A version of the kind that may be asked for, where the one it is stored in may not. */
  preferred(kind: Kind): Kind {
    return kind.unserved === true ? (kind.versions?.find(({ unserved }) => unserved !== true) ?? kind) : kind
  }
  /** The kind of an object by its `kind` and API group; any version when `version` is undefined. */
  kindNamed(group: string, version: string | undefined, kind: string): Kind | undefined {
    return versionOf(this.#byName.get(`${group}/${kind}`), version)
  }
  /** The same by what an object says of itself: `apps/v1` and `Deployment`. */
  kindOfObject({ apiVersion, kind }: { readonly apiVersion: string; readonly kind: string }): Kind | undefined {
    const slash = apiVersion.indexOf('/')
    return this.kindNamed(slash < 0 ? '' : apiVersion.slice(0, slash), apiVersion.slice(slash + 1), kind)
  }
  /** The stream that holds a collection; what is not served lives in EVENTS. */
  streamOf(ref: ResourceRef): StreamName {
    return this.kindOf(ref)?.stream ?? 'EVENTS'
  }
  /** What a collection is found by, besides labels and owners. */
  indexesOf(ref: ResourceRef): Indexes {
    return this.kindOf(ref)?.indexes ?? NO_INDEXES
  }
  /** The type of a kind of object or body; undefined when there is none. */
  typeOfKind(group: string, version: string, kind: string): TypeSchema | undefined {
    return typeOfKind(group, version, kind)
  }
  /** Throws when there is none. */
  typeNamed(name: string): TypeSchema {
    return typeNamed(name)
  }
}
