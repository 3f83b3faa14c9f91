/**
 * The current objects: a fold of one stream's events into collections that gets, lists, selectors and every
 * controller read. Mutable inside for speed; still a plain function of the events it was given.
 */
import { stamp, type Event } from '#events/Event.ts'
import { objectId, resourceId, type ObjectKey, type ResourceRef } from '#events/Key.ts'
import type { IndexFunction, Indexes } from '#events/Kind.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { Heads } from './Heads.ts'
import { leanFacts } from './lean.ts'
import { Parsed, type Holder } from './Parsed.ts'
import { Sorted, type Snapshot } from './Sorted.ts'

/** An entry without its text: mostly the facts of its event. */
const OVERHEAD = 1024

/** One live object. `object` is parsed and `text` is stamped at most once, whoever asks first. */
export class Entry<Some extends KubeObject = KubeObject> implements Holder {
  readonly key: ObjectKey<Some>
  readonly id: string
  readonly sequence: number
  /** The event that made this version: id, correlation and the rest, for causes. */
  readonly facts: Omit<Event, 'object'>
  /** About what holding on to it costs when it is outdated: its text (twice as much when that is not Latin-1) and its facts. */
  readonly bytes: number
  #body: string | undefined
  #object: Some | undefined
  #text: string | undefined
  /** Where entries are that hold their object parsed; without it, it is kept as long as the entry. */
  readonly #parsed: Parsed | undefined
  #wanted = false

  constructor(facts: Omit<Event, 'object'>, body: string, object?: Some, parsed?: Parsed) {
    this.key = facts.key as ObjectKey<Some>
    this.id = objectId(facts.key.namespace, facts.key.name)
    this.sequence = facts.sequence
    this.facts = facts
    this.bytes = body.length + OVERHEAD
    this.#body = body
    this.#object = object
    this.#parsed = parsed
    if (object !== undefined) parsed?.hold(this)
  }
  /** No longer the object's present version: who still holds it keeps the text only, and parses again in the rare case. */
  outdated(): void {
    this.#object = undefined
    this.#parsed?.release(this)
  }
  letGo(): boolean {
    if (!this.#wanted) this.#object = undefined
    this.#wanted = false
    return this.#object === undefined
  }
  /** The same as the last state of an object that left its stream by itself. */
  expired(): Entry<Some> {
    const last = new Entry<Some>({ ...this.facts, deleted: true }, this.#body ?? (this.#text as string), this.#object)
    last.#text = this.#text
    return last
  }
  /** With metadata.resourceVersion. Shared: never change it in place; and not always the same one: never compare it by identity. */
  get object(): Some {
    if (this.#object !== undefined) {
      this.#wanted = true
      return this.#object
    }
    const object = JSON.parse(this.text) as Some
    this.#object = object
    this.#parsed?.hold(this)
    return object
  }
  /** The object's JSON, the same string for every reader. */
  get text(): string {
    if (this.#text === undefined) {
      this.#text = stamp(this.#body as string, this.sequence)
      this.#body = undefined
    }
    return this.#text
  }
}

export interface Change<Some extends KubeObject = KubeObject> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  /** After the change; for DELETED the last state, at the deletion's sequence. */
  readonly entry: Entry<Some>
  readonly previous: Entry<Some> | undefined
  /** No event tells it: the object's last one left its stream, which keeps entries for a time only. */
  readonly expired?: true
}

/** Which collection a change is of decides what its objects are: for who is told of all that a view follows. */
export const isChangeOf = <Some extends KubeObject>(collection: ResourceRef<Some>, change: Change): change is Change<Some> =>
  change.entry.key.resource === collection.resource && change.entry.key.group === collection.group

const labelPairs: IndexFunction = (object) => Object.entries(object.metadata.labels ?? {}).map(([key, value]) => `${key}=${value}`)
const ownerUids: IndexFunction = (object) => (object.metadata.ownerReferences ?? []).map((owner) => owner.uid)

/** What every collection has; a kind's own are in its file. */
const EVERYWHERE: Indexes = { label: labelPairs, owner: ownerUids }

/** What a collection is found by, besides labels and owners: the `Api` is one. */
export interface Indexing {
  indexesOf(ref: ResourceRef): Indexes
}

export class Collection<Some extends KubeObject = KubeObject> {
  readonly ref: ResourceRef<Some>
  readonly #byId = new Map<string, Entry<Some>>()
  readonly #order = new Sorted<Entry<Some>>()
  readonly #indexes = new Map<string, { of: IndexFunction; postings: Map<string, Map<string, Entry<Some>>> }>()
  readonly #lists = new Map<string, readonly Entry<Some>[]>()
  /** Sequence of the last change in this collection. */
  sequence = 0

  constructor(ref: ResourceRef<Some>, indexes: Indexes) {
    this.ref = ref
    for (const [name, of] of Object.entries({ ...EVERYWHERE, ...indexes })) this.#indexes.set(name, { of, postings: new Map() })
  }
  get size(): number {
    return this.#byId.size
  }
  get(namespace: string, name: string): Entry<Some> | undefined {
    return this.#byId.get(objectId(namespace, name))
  }
  values(): IterableIterator<Entry<Some>> {
    return this.#byId.values()
  }
  /** In the order lists show: by namespace, then name, as byte strings. Made once until the namespace changes. */
  list(namespace?: string): readonly Entry<Some>[] {
    const slot = namespace ?? '*'
    const known = this.#lists.get(slot)
    if (known !== undefined) return known
    const made = this.snapshot(namespace).toArray()
    this.#lists.set(slot, made)
    return made
  }
  /** The same without an array of its own: for readers who take their time. */
  snapshot(namespace?: string): Snapshot<Entry<Some>> {
    const all = this.#order.snapshot()
    return namespace === undefined ? all : all.within(namespace)
  }
  /** Objects under an index value, in no particular order. */
  indexed(index: string, value: string): Iterable<Entry<Some>> {
    return this.#indexes.get(index)?.postings.get(value)?.values() ?? []
  }
  /** Replaying a long log, only the last version of an object is worth parsing: until `index`, none is. */
  load(entry: Entry<Some>): void {
    this.#byId.set(entry.id, entry)
  }
  unload(entry: Entry<Some>): void {
    this.#byId.delete(entry.id)
  }
  /** Makes what was loaded searchable. */
  index(): void {
    const loaded = [...this.#byId.values()]
    this.#byId.clear()
    for (const entry of loaded) this.#put(entry)
    this.#order.fill(loaded)
    this.#lists.clear()
  }
  put(entry: Entry<Some>): Entry<Some> | undefined {
    const previous = this.#put(entry)
    this.#order.put(entry)
    this.#touched(entry)
    return previous
  }
  #put(entry: Entry<Some>): Entry<Some> | undefined {
    const previous = this.#byId.get(entry.id)
    if (previous !== undefined) this.#unindex(previous)
    this.#byId.set(entry.id, entry)
    for (const { of, postings } of this.#indexes.values())
      for (const value of of(entry.object)) {
        let posting = postings.get(value)
        if (posting === undefined) postings.set(value, (posting = new Map()))
        posting.set(entry.id, entry)
      }
    return previous
  }
  remove(entry: Entry<Some>): Entry<Some> | undefined {
    const previous = this.#byId.get(entry.id)
    this.sequence = Math.max(this.sequence, entry.sequence)
    if (previous === undefined) return undefined
    this.#unindex(previous)
    this.#byId.delete(entry.id)
    this.#order.remove(entry.id)
    this.#touched(entry)
    return previous
  }
  #touched(entry: Entry<Some>): void {
    this.sequence = Math.max(this.sequence, entry.sequence)
    this.#lists.delete('*')
    this.#lists.delete(entry.key.namespace)
  }
  #unindex(entry: Entry<Some>): void {
    for (const { of, postings } of this.#indexes.values())
      for (const value of of(entry.object)) {
        const posting = postings.get(value)
        posting?.delete(entry.id)
        if (posting?.size === 0) postings.delete(value)
      }
  }
}

/** What readers (deciders, controllers, verbs) see: the state, without the means to change it. */
export interface ObjectsView {
  get<Some extends KubeObject>(key: ObjectKey<Some>): Entry<Some> | undefined
  collection<Some extends KubeObject>(ref: ResourceRef<Some>): Collection<Some>
}

const subjectId = (key: ObjectKey): string => `${resourceId(key)}/${objectId(key.namespace, key.name)}`

export class Objects implements ObjectsView {
  sequence = 0
  readonly #collections = new Map<string, Collection>()
  /** Of deleted objects, and of entries that were passed over, which stand in the log all the same. */
  readonly #heads: Heads
  readonly #parsed: Parsed
  readonly #indexing: Indexing
  #loading = false

  /** `parsedBytes`: of text whose objects are held parsed. `names`: how many of objects that are gone are remembered. */
  constructor(indexing: Indexing, parsedBytes?: number, names?: number) {
    this.#indexing = indexing
    this.#parsed = new Parsed(parsedBytes)
    this.#heads = new Heads(names)
  }
  /** How many names of objects that are gone are remembered. */
  get names(): number {
    return this.#heads.size
  }
  get<Some extends KubeObject>(key: ObjectKey<Some>): Entry<Some> | undefined {
    return this.#collections.get(resourceId(key))?.get(key.namespace, key.name) as Entry<Some> | undefined
  }
  collection<Some extends KubeObject>(ref: ResourceRef<Some>): Collection<Some> {
    const id = resourceId(ref)
    let found = this.#collections.get(id)
    if (found === undefined)
      this.#collections.set(id, (found = new Collection({ group: ref.group, resource: ref.resource }, this.#indexing.indexesOf(ref))))
    return found as unknown as Collection<Some>
  }
  collections(): IterableIterator<Collection> {
    return this.#collections.values()
  }
  /**
   * The sequence of the last entry on the object's subject, which the next write must expect; 0 when it never had one, or lost it
   * so long ago that its name is forgotten here.
   */
  head(key: ObjectKey): number {
    return Math.max(this.get(key)?.sequence ?? 0, this.#heads.get(subjectId(key)) ?? 0)
  }
  /** What the log has on the subject of an object that is not here. */
  learn(key: ObjectKey, sequence: number): void {
    this.#heads.set(subjectId(key), sequence)
  }
  /** An entry that is no event: the fold goes on behind it. `key`: the object it claims to be of. */
  pass(sequence: number, key?: ObjectKey): void {
    this.sequence = Math.max(this.sequence, sequence)
    if (key !== undefined) this.#heads.set(subjectId(key), sequence)
  }
  /** The subjects of objects that are gone since before `first` are empty: nothing needs to be known of them. */
  forget(first: number): void {
    this.#heads.forget(first)
  }
  /** What stood before `first` has left the stream by itself, and leaves here as well; of these objects, or all. */
  expire(first: number, keys?: readonly ObjectKey[]): readonly Change[] {
    const changes: Change[] = []
    const old =
      keys === undefined
        ? [...this.#collections.values()].flatMap((collection) => [...collection.values()])
        : keys.map((key) => this.get(key))
    for (const previous of old) {
      if (previous === undefined || previous.sequence >= first) continue
      this.collection(previous.key).remove(previous)
      changes.push({ type: 'DELETED', entry: previous.expired(), previous, expired: true })
    }
    this.forget(first)
    return changes
  }
  get loading(): boolean {
    return this.#loading
  }
  /** From here to `endLoad` events are only collected: nobody may look. */
  beginLoad(): void {
    this.#loading = true
    this.#collections.clear()
    this.#heads.clear()
    this.sequence = 0
  }
  /** While events are collected: an object's newest version, which stands before what was collected already, and was not among it. */
  restore(entry: Entry): void {
    const collection = this.collection(entry.key)
    collection.sequence = Math.max(collection.sequence, entry.sequence)
    if (!entry.facts.deleted && collection.get(entry.key.namespace, entry.key.name) === undefined) collection.load(entry)
  }
  endLoad(): void {
    this.#loading = false
    for (const collection of this.#collections.values()) collection.index()
  }
  /** Folds one event. `object`, when the caller has it parsed already (with resourceVersion), is not parsed again. */
  apply(facts: Omit<Event, 'object'>, body: string, object?: KubeObject): Change | undefined {
    if (facts.sequence <= this.sequence) return undefined
    this.sequence = facts.sequence
    const collection = this.collection(facts.key)
    const entry = new Entry(leanFacts(facts), body, object, this.#parsed)
    const subject = subjectId(facts.key)
    if (this.#loading) {
      collection.sequence = facts.sequence
      if (facts.deleted) {
        this.#heads.set(subject, facts.sequence)
        collection.unload(entry)
      } else {
        this.#heads.delete(subject)
        collection.load(entry)
      }
      return undefined
    }
    if (facts.deleted) {
      this.#heads.set(subject, facts.sequence)
      const previous = collection.remove(entry)
      return previous === undefined ? undefined : { type: 'DELETED', entry, previous }
    }
    this.#heads.delete(subject)
    const previous = collection.put(entry)
    return { type: previous === undefined ? 'ADDED' : 'MODIFIED', entry, previous }
  }
}
