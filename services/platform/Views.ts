/** The views of a process as one, and what they say is served. */
import { DEFINITIONS } from '#events/collections.ts'
import type { Api } from '#events/Api.ts'
import { customKind } from '#events/apiextensions/customKind.ts'
import type { Kind } from '#events/Kind.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import type { ObjectKey, ResourceRef } from '#events/Key.ts'
import type { Collection, Entry, Objects, ObjectsView } from '#projections/Objects.ts'
import type { View } from './View.ts'

/** Each kind is read from the stream (or the part of one) it lives in. */
export class Views implements ObjectsView {
  /** By name: the stream's, unless a view follows only a part of one. */
  readonly byStream: ReadonlyMap<string, View>
  /** What is served whatever definitions there are. */
  readonly builtIn: Api
  readonly #nameOf: (ref: ResourceRef) => string
  #api: Api
  /** Where definitions are; undefined in a process that sees none. */
  readonly #defined: Objects | undefined
  readonly #made = new WeakMap<Entry, Kind>()

  constructor(views: readonly View[], api: Api, nameOf: (ref: ResourceRef) => string = (ref) => api.streamOf(ref)) {
    this.builtIn = api
    this.#api = api
    this.byStream = new Map(views.map((view) => [view.name, view]))
    this.#nameOf = nameOf
    this.#defined = this.byStream.get(nameOf(DEFINITIONS))?.objects
  }
  of(ref: ResourceRef): View {
    const name = this.#nameOf(ref)
    const view = this.byStream.get(name)
    if (view === undefined) throw new Error(`this process does not follow ${name}, where ${ref.resource} live`)
    return view
  }
  /** What the cluster serves: folded anew when a CustomResourceDefinition has changed since it was last asked for. */
  get api(): Api {
    // Asked several times for each write.
    const objects = this.#defined
    if (objects === undefined || objects.loading) return this.#api
    const definitions = objects.collection(DEFINITIONS)
    if (definitions.sequence === this.#api.version) return this.#api
    return (this.#api = this.builtIn.withKinds(
      definitions.list().flatMap((entry) => this.#kindBy(entry) ?? []),
      definitions.sequence
    ))
  }
  /** Made once for each version of a definition: parsing hundreds of them again for one that has changed takes a second. */
  #kindBy(entry: Entry): Kind | undefined {
    const known = this.#made.get(entry)
    if (known !== undefined) return known
    const kind = customKind(entry.object)
    if (kind !== undefined) this.#made.set(entry, kind)
    return kind
  }
  get<Some extends KubeObject>(key: ObjectKey<Some>): Entry<Some> | undefined {
    return this.of(key).objects.get(key)
  }
  collection<Some extends KubeObject>(ref: ResourceRef<Some>): Collection<Some> {
    return this.of(ref).objects.collection(ref)
  }
}
