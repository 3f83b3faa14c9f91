/** get, list and watch over HTTP, at present or at a moment of the past. */
import { DEFINITIONS, NAMESPACES } from '#events/collections.ts'
import type { Api } from '#events/Api.ts'
import { specOf } from '#events/apiextensions/definition.ts'
import type { UserInfo } from '#events/Intent.ts'
import { objectId, resourceId } from '#events/Key.ts'
import { collectionOf, type Kind } from '#events/Kind.ts'
import type { Subscription } from '#events/Log.ts'
import { same } from '#events/meta/faults.ts'
import { badRequest, expired, methodNotAllowed, notFound, Refusal } from '#events/Refusal.ts'
import type { Attributes } from '#projections/Attributes.ts'
import type { Change } from '#projections/Objects.ts'
import type { PastIndex } from '#services/platform/past/PastIndex.ts'
import type { View } from '#services/platform/View.ts'
import { listOptionsOf } from '#services/apiserver/request/listOptions.ts'
import { presented } from '#services/apiserver/request/present.ts'
import { scaleOf } from '#services/apiserver/subresources/scale.ts'
import {
  authorizePast,
  LATELY_MS,
  otherNamespace,
  readsWholeCluster,
  stillThere,
  type PastRight
} from '#services/apiserver/time-travel/authorizePast.ts'
import { Lately, type Recent } from '#services/apiserver/time-travel/Lately.ts'
import { Pages } from '#services/apiserver/time-travel/Pages.ts'
import { PastApis } from '#services/apiserver/time-travel/PastApis.ts'
import { momentOf, pastReader, presentReader, settled, type Past, type Reader } from '#services/apiserver/time-travel/Reader.ts'
import type { Versions } from '#services/apiserver/time-travel/Versions.ts'
import { Backlog } from '#services/apiserver/verbs/Backlog.ts'
import { Fanout } from '#services/apiserver/verbs/Fanout.ts'
import { getObject, listObjects, selectionOf, waitForVersion, type Selection } from '#services/apiserver/verbs/read.ts'
import { bookmarkText, lineText, timeoutMs, watchOptionsOf } from '#services/apiserver/verbs/watch.ts'
import { CHANNELS, sendLog } from './channels.ts'
import type { ApiDeps } from './deps.ts'
import { wantsBody, type Exchange } from './exchange.ts'
import type { Limits } from './limits.ts'
import type { Outlets } from './Outlet.ts'
import { checkPathName, isWatch, type ResourcePath, type Target } from './paths.ts'
import { permit } from './permit.ts'
import { listFrame, objectText, representationOf, type Representation } from './representation.ts'
import { sendJson, sendSlices, sendText } from './respond.ts'
import { listingSlices } from './slices.ts'

/** A watch of the past is over after this. */
const PAST_MS = 1_800_000

export class Reads {
  readonly #deps: ApiDeps
  readonly #past: Past
  readonly #pages = new Pages()
  readonly #pastApis: PastApis
  readonly #lately: Lately
  readonly #fanouts: ReadonlyMap<string, Fanout>
  readonly #definitions: Subscription

  constructor(deps: ApiDeps, limits: Limits, outlets: Outlets, versions: Versions) {
    const { views, clock, histories, onError } = deps
    const backlog = new Backlog({ ...limits.watch, replays: limits.replays })
    this.#deps = deps
    this.#past = { views, histories, versions }
    this.#pastApis = new PastApis(this.#past, clock)
    this.#lately = new Lately(views, clock)
    this.#fanouts = new Map(
      [...views.byStream.values()].map((view) => [
        view.stream,
        new Fanout({ view, history: histories.get(view.stream) as PastIndex, versions, clock, outlets, backlog, onError })
      ])
    )
    this.#definitions = views
      .of(DEFINITIONS)
      .subscribe((change) => resourceId(change.entry.key) === resourceId(DEFINITIONS) && this.#onDefinition(change))
  }
  /** A kind that is no longer what it was is watched anew, as upstream has it; one that is gone, no more. */
  #onDefinition({ type, entry: { object }, previous }: Change): void {
    const { group = '', names } = specOf(object)
    if (type === 'ADDED' || names === undefined) return
    const goesOn = type === 'MODIFIED' && previous !== undefined && same(specOf(object), specOf(previous.object))
    if (!goesOn) for (const fanout of this.#fanouts.values()) fanout.end({ group, resource: names.plural })
  }
  /** What was served at a moment of the past. */
  apiAt(moment: string): Promise<Api> {
    return this.#pastApis.at(moment)
  }
  /** The same, for who may read there what is asked for: to find it out may take reading every definition. */
  readableApiAt(moment: string, { user, target }: Pick<Exchange, 'user' | 'target'>, path: ResourcePath): Promise<Api> {
    const { views } = this.#deps
    const { group, resource, subresource, namespace, name } = path
    const verb = CHANNELS.has(subresource) ? 'create' : isWatch(target) ? 'watch' : name === '' ? 'list' : 'get'
    const attributes = { verb, group, resource, subresource, namespace, name }
    permit(views, user, attributes)
    if (!CHANNELS.has(subresource)) authorizePast(views, user, attributes)
    return this.#pastApis.at(moment)
  }
  /** Ends every watch. */
  close(): void {
    this.#lately.close()
    this.#definitions.close()
    for (const fanout of this.#fanouts.values()) fanout.close()
  }
  async read(exchange: Exchange, kind: Kind, path: ResourcePath): Promise<void> {
    const { request, target, user } = exchange
    const { query, moment } = target
    const watching = isWatch(target)
    const verb = watching ? 'watch' : path.name === '' ? 'list' : 'get'
    const attributes = {
      verb,
      group: kind.group,
      resource: kind.resource,
      subresource: path.subresource,
      namespace: path.namespace,
      name: path.name
    }
    const { views, clock } = this.#deps
    // exec and attach by GET (WebSocket) do what POST does, and need what POST needs.
    permit(views, user, CHANNELS.has(path.subresource) ? { ...attributes, verb: 'create' } : attributes)
    checkPathName(path.name)
    const representation = representationOf(request.headers.accept, query)
    if (representation === undefined && path.subresource === '')
      throw new Refusal(406, 'NotAcceptable', 'only the following media types are accepted: application/json', {})
    const now = clock.now()
    const at = moment === undefined ? undefined : await momentOf(moment, this.#past, now)
    const reader: Reader = at === undefined ? presentReader(views, this.#past.versions, now) : pastReader(this.#past, at.sequences, at.time)
    const right = at === undefined || CHANNELS.has(path.subresource) ? undefined : await this.#permitPast(user, attributes, reader)
    const shown = representation ?? { form: 'object', include: 'Metadata' }
    if (watching)
      return right === undefined
        ? this.#watch(exchange, kind, path, shown)
        : this.#watchPast(exchange, kind, path, shown, reader, this.#shownWith(right, selectionOf(kind, query, path.name)))
    if (path.name === '') listOptionsOf(query, false)
    const view = views.of(kind)
    if (at === undefined) await waitForVersion(view, query.get('resourceVersion'))
    if (at === undefined && (query.get('resourceVersion') ?? '') === '') await this.#deps.upToDate?.(view)
    if (path.name !== '') {
      const entry = await getObject(kind, path.namespace, path.name, reader)
      if (right !== undefined && !stillThere(views, right, entry)) throw notFound(kind, path.name)
      if (path.subresource === 'log') return sendLog(this.#deps, exchange, entry)
      if (CHANNELS.has(path.subresource)) throw badRequest('Upgrade request required')
      if (path.subresource === 'scale') return sendJson(exchange, 200, scaleOf(kind, presented(kind, entry).object))
      if (path.subresource !== '' && path.subresource !== 'status') throw methodNotAllowed()
      return sendText(exchange, 200, objectText(kind, entry, shown, reader.now))
    }
    const exact = query.get('resourceVersionMatch') === 'Exact' && at === undefined
    const readerAt = async (sequence: number): Promise<Reader> => {
      if (right === undefined && view.objects.collection(collectionOf(kind)).sequence <= sequence)
        return presentReader(views, this.#past.versions, now)
      if (right === undefined) this.#checkLately(view, user, attributes, sequence)
      await settled(this.#past.histories.get(view.stream) as PastIndex, sequence)
      const old = pastReader(this.#past, this.#momentOf(view, sequence), reader.now)
      // The next page of a list of the past: what its token says is the client's word.
      if (right !== undefined) await this.#permitPast(user, attributes, old)
      return old
    }
    const source = exact ? await readerAt(Number(query.get('resourceVersion'))) : reader
    const selection = this.#shownWith(right, selectionOf(kind, query, ''))
    const page = await listObjects({
      kind,
      namespace: namespaceOf(kind, path),
      selection,
      query,
      reader: source,
      readerAt,
      pages: this.#pages,
      now
    })
    const frame = listFrame(kind, page.metadata, shown, reader.now, page.first)
    return sendSlices(exchange, listingSlices(page, { ...frame, between: ',' }, clock), this.#deps.onError)
  }
  /** 403 for who has no right to the past, or not to that of the namespace's earlier tenant. */
  async #permitPast(user: UserInfo, attributes: Attributes, reader: Reader): Promise<PastRight> {
    const { views } = this.#deps
    const right = authorizePast(views, user, attributes)
    const then = attributes.namespace === '' ? undefined : await reader.get(NAMESPACES, '', attributes.namespace)
    const refusal = otherNamespace(views, right, attributes, then)
    if (refusal !== undefined) throw refusal
    return right
  }
  /**
   * 410 for a version of long ago, whose right is asked for at `/at/`, and for one from before the namespace's last tenant left;
   * to who sees the whole cluster's past no version is too old.
   */
  #checkLately(view: View, user: UserInfo, attributes: Attributes, sequence: number): void {
    const { views } = this.#deps
    const { oldest, moved } =
      this.#lately.of(view.stream, sequence, attributes.namespace) ?? this.#before(view, attributes.namespace, sequence)
    if ((sequence < oldest || moved) && !readsWholeCluster(views, user, attributes))
      throw expired(`too old resource version: ${sequence} (${moved ? view.objects.sequence : oldest})`)
  }
  /** The same of a version from before this process began: from the index; what that does not tell yet is too old. */
  #before(view: View, namespace: string, sequence: number): Recent {
    const { clock, histories } = this.#deps
    const [history, events] = [histories.get(view.stream), histories.get('EVENTS')] as [PastIndex, PastIndex]
    const tells = ({ stream, lastSequence, begins = 0 }: PastIndex): boolean => lastSequence >= this.#lately.begins(stream) && begins === 0
    if (!tells(history) || !tells(events)) return { oldest: this.#lately.begins(view.stream), moved: false }
    const moved =
      namespace !== '' &&
      (events.deletedSince(NAMESPACES, objectId('', namespace), this.#momentOf(view, sequence).get('EVENTS') ?? 0) ||
        this.#lately.isGoneSince(namespace))
    return { oldest: history.sequenceAt(clock.now() - LATELY_MS), moved }
  }
  #shownWith(right: PastRight | undefined, selection: Selection): Selection {
    if (right === undefined || right.wholeCluster) return selection
    return { ...selection, all: false, matches: (entry) => selection.matches(entry) && stillThere(this.#deps.views, right, entry) }
  }
  /** The place of a stream's sequence in each stream. */
  #momentOf(view: View, sequence: number): ReadonlyMap<string, number> {
    const { histories } = this.#deps
    const time = histories.get(view.stream)?.timeOf(sequence) ?? 0
    return new Map([...histories].map(([stream, history]) => [stream, stream === view.stream ? sequence : history.sequenceAt(time)]))
  }
  async #watch(
    { target: { query }, response, ...exchange }: Exchange,
    kind: Kind,
    path: ResourcePath,
    representation: Representation
  ): Promise<void> {
    const options = watchOptionsOf(query)
    const selection = selectionOf(kind, query, path.name)
    const view = this.#deps.views.of(kind)
    if (options.from !== undefined) await waitForVersion(view, String(options.from))
    if (options.from !== undefined && !options.initialEvents)
      this.#checkLately(
        view,
        exchange.user,
        { verb: 'watch', group: kind.group, resource: kind.resource, subresource: '', namespace: path.namespace, name: path.name },
        options.from
      )
    if (!wantsBody({ response, ...exchange })) return void response.writeHead(200, { 'content-type': 'application/json' }).end()
    exchange.audit.started(200)
    await (this.#fanouts.get(view.stream) as Fanout).serve(
      { kind, namespace: namespaceOf(kind, path), selection, representation, ...options },
      response
    )
  }
  /** The past does not change: what was there, and then silence. */
  async #watchPast(
    { target: { query }, response, outlets, audit }: Exchange,
    kind: Kind,
    path: ResourcePath,
    representation: Representation,
    reader: Reader,
    selection: Selection
  ): Promise<void> {
    const { clock, onError } = this.#deps
    const { from, initialEvents, timeoutSeconds } = watchOptionsOf(query)
    const lasts = timeoutMs(timeoutSeconds, PAST_MS)
    const listing = await reader.list(collectionOf(kind), namespaceOf(kind, path), selection.narrow)
    const outlet = outlets.open(response)
    const timer = clock.after(lasts, () => outlet.end())
    outlet.onOver = () => timer.cancel()
    audit.started(200)
    outlet.begin(200, { 'content-type': 'application/json' })
    // Who listed first and goes on from there has it all.
    const part = { listing, from: 0, to: from === undefined || initialEvents ? listing.size : 0, matches: selection.matches }
    const tail = initialEvents ? bookmarkText(kind, reader.sequence(kind), representation, true) : ''
    let columns = true
    const item = (entry: Parameters<typeof lineText>[2]): string => {
      const text = lineText(kind, 'ADDED', entry, representation, columns, reader.now)
      columns = false
      return text
    }
    await outlet.pour(listingSlices(part, { head: '', between: '', tail, item }, clock)).catch((error: unknown) => {
      outlet.cut()
      onError(error)
    })
  }
}

const namespaceOf = (kind: Kind, path: ResourcePath): string | undefined =>
  kind.namespaced && path.namespace !== '' ? path.namespace : undefined
