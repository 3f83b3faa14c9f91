/** What is noted of one HTTP request while it is served, and recorded when it has been, if it is to be recorded. */
import type { IncomingMessage } from 'node:http'
import type { UserInfo } from '#events/Intent.ts'
import { isConfidential } from '#events/confidential.ts'
import type { Status } from '#events/Refusal.ts'
import type { Clock } from '#services/platform/Clock.ts'
import { isWatch, type Target } from '#services/apiserver/http/paths.ts'
import type { Answered, Asked } from './record.ts'
import { isAudited, isConnect } from './rules.ts'

/** Where records go. */
export interface Recorder {
  record(asked: Asked, answered: Answered): void
}

const VERBS: Readonly<Record<string, string>> = { POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete', GET: 'get', HEAD: 'get' }

/** Upstream's word for what is asked (k8s.io/apiserver, RequestInfo). */
const verbOf = (method: string, target: Target): string => {
  const { resource } = target
  if (resource === undefined) return method.toLowerCase()
  const verb = VERBS[method] ?? method.toLowerCase()
  // A GET that is upgraded does what a POST does.
  if (isConnect({ object: resource })) return 'create'
  if (verb === 'get' && isWatch(target)) return 'watch'
  if (resource.name !== '') return verb
  if (verb === 'get') return 'list'
  return verb === 'delete' ? 'deletecollection' : verb
}

export class RequestAudit {
  readonly #recorder: Recorder
  readonly #clock: Clock
  #asked: Asked
  #refusal: Pick<Status, 'reason' | 'message'> = {}
  #annotations: Readonly<Record<string, string>> = {}
  #over = false

  constructor(recorder: Recorder, clock: Clock, request: IncomingMessage, id: string) {
    this.#recorder = recorder
    this.#clock = clock
    const address = request.socket?.remoteAddress
    const agent = request.headers['user-agent']
    this.#asked = {
      id,
      verb: (request.method ?? 'GET').toLowerCase(),
      requestURI: request.url ?? '/',
      ...(address === undefined ? {} : { sourceIPs: [address.replace(/^::ffff:(?=\d+\.)/, '')] }),
      ...(agent === undefined ? {} : { userAgent: agent }),
      received: clock.now()
    }
  }
  /** What is asked for. */
  targets(method: string, target: Target): void {
    const { resource } = target
    this.#asked = {
      ...this.#asked,
      verb: verbOf(method, target),
      ...(resource === undefined ? {} : { object: { ...resource } })
    }
  }
  /** The name of what is to be made, which stands in the body alone. */
  names(name: string): void {
    const { object } = this.#asked
    if (object !== undefined && (object.name ?? '') === '' && name !== '') this.#asked = { ...this.#asked, object: { ...object, name } }
  }
  /** Who asks; `as`: who they act as. */
  asks(user: UserInfo, as?: UserInfo): void {
    this.#asked = { ...this.#asked, user, ...(as === undefined ? {} : { impersonated: as }) }
  }
  refused({ reason, message }: Pick<Status, 'reason' | 'message'>): void {
    this.#refusal = { ...(reason === undefined ? {} : { reason }), ...(message === undefined ? {} : { message }) }
  }
  annotate(annotations: Readonly<Record<string, string>> = {}): void {
    this.#annotations = { ...this.#annotations, ...annotations }
  }
  /** The answer has begun and goes on for long: a watch, an exec. */
  started(code: number): void {
    this.#record('ResponseStarted', code)
  }
  /** The answer is over; said once, however often it is called. */
  over(code: number): void {
    if (this.#over) return
    this.#over = true
    this.#record('ResponseComplete', code)
  }
  #record(stage: Answered['stage'], code: number): void {
    if (!isAudited(this.#asked, code, this.#annotations)) return
    // Of a body that can't be read the words show a piece, and the trail is not sealed.
    const { reason, ...said } = this.#refusal
    const told = code === 400 && isConfidential({ group: '', resource: '', ...this.#asked.object }) ? {} : said
    this.#recorder.record(this.#asked, {
      stage,
      status: { code, ...(reason === undefined ? {} : { reason }), ...told },
      annotations: this.#annotations,
      at: this.#clock.now()
    })
  }
}
