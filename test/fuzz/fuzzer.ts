/**
 * Sends request after request and holds the server to what it promises whatever is asked: an answer in time, never a 5xx,
 * Status or object in JSON; and what it accepted can be read, listed, watched and applied again without changing.
 */
import fc from 'fast-check'
import type { Answer, Sent } from '#test/support/server.ts'
import { Requests, type Request } from './request.ts'
import type { Document } from './document.ts'

/** The server, however it is reached. */
export interface Target {
  send(sent: Sent, ms?: number): Promise<Answer>
  /** The first lines of an answer that does not end by itself. */
  begin(sent: Sent, ms: number): Promise<Answer>
  /** Makes what requests expect to find, as far as it went. */
  renew(): Promise<void>
  /** Nobody else writes there: no controllers, no agents. */
  readonly alone: boolean
  /** What the server reported as its own mistakes since the last call; always empty from outside. */
  mistakes(): readonly unknown[]
}

export interface Failure {
  readonly index: number
  readonly why: string
  readonly request: Request
}

export interface Report {
  readonly codes: Map<number, number>
  /** By what was asked and the code. */
  readonly asked: Map<string, number>
  readonly failures: Failure[]
  readonly slowest: { readonly ms: number; readonly index: number; readonly what: string }[]
  requests: number
  /** Requests that were authenticated, routed and decoded: what came of them was decided on their content. */
  decided: number
  /** Accepted objects that were read back in every way. */
  followed: number
}

export const newReport = (): Report => ({
  codes: new Map(),
  asked: new Map(),
  failures: [],
  slowest: [],
  requests: 0,
  decided: 0,
  followed: 0
})

/** A request may take this long; everything else is a hang. */
const PATIENCE_MS = 8_000
/** Deletes would leave nothing to find after a while. */
const RENEWED = 1_000
/** Of the accepted writes every so many is read back in every way. */
const FOLLOWED = 2

const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io'

type Json = Record<string, unknown>
type KubeJson = Json & {
  readonly kind?: string
  readonly metadata?: Json & { readonly name?: string; readonly resourceVersion?: string; readonly uid?: string }
}

const parsed = (text: string): KubeJson | undefined => {
  try {
    return JSON.parse(text) as KubeJson
  } catch {
    return undefined
  }
}

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)

/** Not refused for its form: accepted, or refused for what it says about which object. */
const isDecided = ({ code, text }: Answer): boolean =>
  code < 300 ||
  code === 409 ||
  code === 410 ||
  (code === 404 && text.includes('"details":{"name"')) ||
  (code === 422 && !/Options\.meta\.k8s\.io/.test(text))

const isWatch = ({ path, method }: Sent): boolean =>
  method === 'GET' && /[?&]watch=(?!(0|false)(&|$))|^(\/at\/[^/]*)?\/apis?\/([^/?]+\/)?[^/?]+\/watch\//.test(path)
const follows = ({ path }: Sent): boolean => /\/log\?.*follow=/.test(path)

/** The faults of one answer, in words; undefined when it is as it must be. */
const faultOf = (request: Request, { code, headers, text }: Answer, alone: boolean): string | undefined => {
  // A version that is not there yet is a time-out in upstream's API as well; elsewhere an agent or the log may be away.
  if (code >= 500 && !text.includes('"ResourceVersionTooLarge"') && (alone || ![503, 504, 507].includes(code)))
    return `${code}: ${text.slice(0, 300)}`
  if (code < 200) return `the code ${code}`
  const type = String(headers['content-type'] ?? '')
  if (request.method === 'HEAD' || code === 301 || code === 304) return undefined
  if (isWatch(request) && code === 200)
    return text
      .split('\n')
      .slice(0, -1)
      .every((line) => parsed(line) !== undefined)
      ? undefined
      : `a line of the watch is no JSON: ${text.slice(0, 300)}`
  if (!type.startsWith('application/json')) return request.target === undefined ? undefined : `the answer is ${type}`
  if (headers['content-encoding'] === 'gzip') return undefined
  const body = parsed(text)
  if (body === undefined) return `the answer is no JSON: ${text.slice(0, 300)}`
  if (code < 400) return undefined
  if (body.kind !== 'Status' || body['status'] !== 'Failure' || body['code'] !== code)
    return `not a Status of ${code}: ${text.slice(0, 300)}`
  if (typeof body['message'] !== 'string' || body['message'] === '' || typeof body['reason'] !== 'string')
    return `a Status that says nothing: ${text.slice(0, 300)}`
  return undefined
}

export class Fuzzer {
  readonly #target: Target
  readonly #arbitrary: fc.Arbitrary<Request>
  readonly #seed: number
  readonly report: Report

  constructor(target: Target, document: Document, seed: number, report: Report = newReport()) {
    this.#target = target
    this.#arbitrary = new Requests(document).whatever()
    this.#seed = seed
    this.report = report
  }
  /** The request of this place in the run: the same for the same seed, whatever came before. */
  request(index: number): Request {
    return fc.sample(this.#arbitrary, { seed: this.#seedOf(index), numRuns: 1 })[0] as Request
  }
  #seedOf(index: number): number {
    return (Math.imul(this.#seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b)) | 0
  }
  async step(index: number): Promise<void> {
    if (index % RENEWED === RENEWED - 1) await this.#target.renew()
    const request = this.request(index)
    const began = performance.now()
    const why = await this.#ask(request, index % FOLLOWED === 0, true)
    this.#time(performance.now() - began, index, request)
    this.report.requests += 1
    if (why !== undefined) this.report.failures.push({ index, why, request })
  }
  #time(ms: number, index: number, { what }: Request): void {
    const { slowest } = this.report
    slowest.push({ ms, index, what })
    slowest.sort((a, b) => b.ms - a.ms)
    slowest.length = Math.min(slowest.length, 5)
  }
  /** The smallest request found that fails like the one at `index`, within some seconds. */
  async shrink({ index, request }: Failure): Promise<Request> {
    let smallest = request
    await fc.check(
      fc.asyncProperty(this.#arbitrary, async (candidate) => {
        const why = await this.#ask(candidate, true, false)
        if (why !== undefined && sizeOf(candidate) <= sizeOf(smallest)) smallest = candidate
        return why === undefined
      }),
      { seed: this.#seedOf(index), numRuns: 1, interruptAfterTimeLimit: 5_000 }
    )
    return smallest
  }
  /** Sends it and what follows from it; says what is wrong. */
  async #ask(request: Request, follow: boolean, count: boolean): Promise<string | undefined> {
    let answer: Answer
    try {
      answer = await (isWatch(request) || follows(request) ? this.#target.begin(request, 25) : this.#target.send(request, PATIENCE_MS))
    } catch (error) {
      // A line the parser refuses has no answer to look at; the next request has, if the server lives.
      if (/invalid|unescaped/i.test(String(error)) && String(error).includes('header')) return undefined
      return `no answer: ${String(error)}`
    }
    if (count) {
      this.report.codes.set(answer.code, (this.report.codes.get(answer.code) ?? 0) + 1)
      const key = `${request.what} ${answer.code}`
      if (isDecided(answer)) this.report.decided += 1
      this.report.asked.set(key, (this.report.asked.get(key) ?? 0) + 1)
    }
    const faults = [faultOf(request, answer, this.#target.alone), this.#mistakes()]
    if (faults[0] === undefined && faults[1] === undefined && follow) faults.push(await this.#follow(request, answer), this.#mistakes())
    const said = faults.filter((fault) => fault !== undefined)
    return said.length === 0 ? undefined : said.join('\n')
  }
  #mistakes(): string | undefined {
    const [first] = this.#target.mistakes()
    return first === undefined ? undefined : `the server reported ${first instanceof Error ? first.stack : String(first)}`
  }
  /** What was accepted is there for everybody, and stays as it is when it is said again. */
  async #follow({ target, dryRun, method }: Request, { code, text, headers }: Answer): Promise<string | undefined> {
    if (
      target === undefined ||
      dryRun ||
      (code !== 200 && code !== 201) ||
      !['POST', 'PUT', 'PATCH'].includes(method) ||
      headers['content-encoding'] === 'gzip'
    )
      return undefined
    const object = parsed(text)
    const { name, resourceVersion } = object?.metadata ?? {}
    if (object === undefined || object.kind === 'Status' || name === undefined || resourceVersion === undefined) return undefined
    const own = new Set([resourceVersion])
    const fault = await this.#readBack(target.collection, object, name, resourceVersion, own)
    if (fault === undefined || this.#target.alone) return fault
    const now = await this.#get(`${target.collection}/${encodeURIComponent(name)}`)
    return own.has(now?.metadata?.resourceVersion ?? '') ? fault : undefined
  }
  async #get(path: string): Promise<KubeJson | undefined> {
    return parsed((await this.#target.send({ method: 'GET', path }, PATIENCE_MS)).text)
  }
  /** Adds the versions written on the way to `own`. */
  async #readBack(
    collection: string,
    object: KubeJson,
    name: string,
    resourceVersion: string,
    own: Set<string>
  ): Promise<string | undefined> {
    const path = `${collection}/${encodeURIComponent(name)}`
    const read = await this.#get(path)
    // The last finalizer of what was deleted before: the write was its end.
    if (object.metadata?.['deletionTimestamp'] !== undefined && read?.['code'] === 404) return undefined
    if (read?.metadata?.resourceVersion !== resourceVersion)
      return `accepted as ${resourceVersion}, read as ${JSON.stringify(read).slice(0, 300)}`
    if (object.kind === read.kind && !same(object, read))
      return `accepted ${JSON.stringify(object).slice(0, 600)}, read ${JSON.stringify(read).slice(0, 600)}`
    const selector = `fieldSelector=metadata.name%3D${encodeURIComponent(name)}`
    const list = (await this.#get(`${collection}?${selector}`)) as { readonly items?: readonly unknown[] } | undefined
    if (!/[,=\\]/.test(name) && (list?.items?.length !== 1 || !same(list.items[0], read)))
      return `listed as ${JSON.stringify(list).slice(0, 600)}`
    const table = await this.#target.send({ method: 'GET', path, headers: { accept: TABLE } }, PATIENCE_MS)
    if (table.code !== 200 || !table.text.includes('"kind":"Table"')) return `as a table it is ${table.code} ${table.text.slice(0, 600)}`
    const before = Number(resourceVersion) - 1
    if (before > 0 && !/[,=\\]/.test(name)) {
      const watched = await this.#target.begin(
        { method: 'GET', path: `${collection}?watch=true&resourceVersion=${before}&${selector}` },
        2_000
      )
      const event = parsed(watched.text.split('\n')[0] ?? '') as { readonly object?: unknown } | undefined
      if (!same(event?.object, read)) return `watched as ${watched.code} ${watched.text.slice(0, 600)}`
    }
    const then = await this.#get(`/at/${resourceVersion}${path}`)
    if (Number.isInteger(before) && read.kind !== 'Event' && read.kind !== 'Lease' && !same(then, read))
      return `in the past ${JSON.stringify(then).slice(0, 600)}, now ${JSON.stringify(read).slice(0, 600)}`
    this.report.followed += 1
    return this.#again(path, read, resourceVersion, own)
  }
  async #again(path: string, read: KubeJson, resourceVersion: string, own: Set<string>): Promise<string | undefined> {
    const put = async (
      method: string,
      at: string,
      contentType: string,
      body: unknown
    ): Promise<readonly [number, KubeJson | undefined, string]> => {
      const { code, text } = await this.#target.send(
        { method, path: at, headers: { 'content-type': contentType }, body: JSON.stringify(body) },
        PATIENCE_MS
      )
      return [code, parsed(text), text]
    }
    const [code, updated, text] = await put('PUT', path, 'application/json', read)
    if (code !== 200 || updated?.metadata?.resourceVersion !== resourceVersion)
      return `the update with what was read (${JSON.stringify(read).slice(0, 1500)}) is ${code} ${text.slice(0, 1500)}`
    const { managedFields: _, resourceVersion: __, ...metadata } = (read.metadata ?? {}) as Json
    const apply = (): ReturnType<typeof put> =>
      put('PATCH', `${path}?fieldManager=again&force=true`, 'application/apply-patch+yaml', { ...read, metadata })
    const [first, applied] = await apply()
    if (first >= 500) return `the apply of what was read is ${first}`
    if (first !== 200) return undefined
    own.add(applied?.metadata?.resourceVersion ?? '')
    const [second, twice] = await apply()
    if (second !== 200 || twice?.metadata?.resourceVersion !== applied?.metadata?.resourceVersion)
      return `the same apply a second time is ${second} ${JSON.stringify(twice).slice(0, 600)}, after ${JSON.stringify(applied).slice(0, 600)}`
    return undefined
  }
}

const sizeOf = ({ path, headers, body }: Request): number => path.length + JSON.stringify(headers ?? {}).length + (body?.length ?? 0)

/** The request as one would type it. */
export const curlOf = ({ method, path, headers = {}, body }: Sent): string => {
  const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`
  const lines = [
    `curl -X ${method} ${quoted(path)}`,
    ...Object.entries(headers).flatMap(([key, value]) => [value].flat().map((one) => `-H ${quoted(`${key}: ${String(one)}`)}`))
  ]
  if (typeof body === 'string')
    lines.push(`--data-binary ${quoted(body.length > 2_000 ? `${body.slice(0, 2_000)}… (${body.length} characters)` : body)}`)
  else if (body !== undefined) lines.push(`--data-binary @<(echo ${Buffer.from(body).toString('base64')} | base64 -d)`)
  return lines.join(' \\\n  ')
}
