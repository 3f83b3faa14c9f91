/** Who is asking: a client certificate of the cluster's CA, or a service account's token. Nobody is anonymous. */
import { createHash } from 'node:crypto'
import { NODES, PODS } from '#events/collections.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import type { Pod } from '#events/schema/generated/core.v1.ts'
import { decodeProtectedHeader, jwtVerify } from 'jose'
import type { IncomingMessage } from 'node:http'
import type { Http2Stream } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import type { UserInfo } from '#events/Intent.ts'
import { forbidden, unauthorized } from '#events/Refusal.ts'
import { authorize } from '#projections/Rbac.ts'
import type { ObjectsView } from '#projections/Objects.ts'
import type { RequestAudit } from '#services/apiserver/audit/RequestAudit.ts'
import type { SigningKeys } from '#services/apiserver/nodes/SigningKeys.ts'
import { ISSUER } from '#services/apiserver/nodes/Tokens.ts'

const AUTHENTICATED = 'system:authenticated'
const AUTHENTICATION = 'authentication.k8s.io'
/** Four parts, neither empty: anything else is a user's name like any other. */
const SERVICE_ACCOUNT = /^system:serviceaccount:([^:]+):([^:]+)$/
const EXTRA = /^impersonate-extra-(.+)$/i

interface Claims {
  readonly jti?: string
  readonly 'kubernetes.io'?: {
    readonly namespace?: string
    readonly serviceaccount?: { readonly name?: string; readonly uid?: string }
    readonly pod?: { readonly name?: string; readonly uid?: string }
  }
}

/** What somebody was known by, so that audits tell two credentials of one user apart (KEP-4193). */
const credential = (kind: 'JTI' | 'X509SHA256', id: string): Record<string, string[]> =>
  id === '' ? {} : { 'authentication.kubernetes.io/credential-id': [`${kind}=${id}`] }
const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest()

export class Authenticator {
  readonly #keys: SigningKeys
  readonly #view: ObjectsView
  /** A connection's certificate does not change: asked once. */
  readonly #certificates = new WeakMap<object, UserInfo | null>()

  constructor(keys: SigningKeys, view: ObjectsView) {
    this.#keys = keys
    this.#view = view
  }
  /** Throws 401 for who is unknown, 403 for who may not impersonate. Synchronous for certificates, the common case. */
  authenticate(request: IncomingMessage, audit: Pick<RequestAudit, 'asks'>): UserInfo | Promise<UserInfo> {
    const token = bearerOf(request.headers.authorization)
    if (token !== undefined) return this.#byToken(token).then((user) => this.#impersonated(user, request, audit))
    const user = this.#byCertificate(connectionOf(request))
    if (user === undefined) throw unauthorized()
    return this.#impersonated(user, request, audit)
  }
  #byCertificate(socket: TLSSocket): UserInfo | undefined {
    const known = this.#certificates.get(socket)
    if (known !== undefined) return known ?? undefined
    let user: UserInfo | null = null
    if (socket.authorized) {
      const { subject, raw } = socket.getPeerCertificate()
      const name = one(subject?.CN)
      if (name !== undefined && name !== '')
        user = { username: name, groups: [...many(subject.O), AUTHENTICATED], extra: credential('X509SHA256', sha256(raw).toString('hex')) }
    }
    this.#certificates.set(socket, user)
    return user ?? undefined
  }
  async #byToken(token: string): Promise<UserInfo> {
    return (await this.review(token)) ?? Promise.reject(unauthorized())
  }
  /** The user of a token, or undefined when it is not good: expired, forged, or of an account or pod that is gone. */
  async review(token: string, audiences: readonly string[] = [ISSUER]): Promise<UserInfo | undefined> {
    try {
      const payload = await this.#verified(token, audiences)
      if (payload === undefined) return undefined
      const { namespace = '', serviceaccount, pod } = payload['kubernetes.io'] ?? {}
      const name = serviceaccount?.name ?? ''
      const account = this.#view.get({ group: '', resource: 'serviceaccounts', namespace, name })
      if (account === undefined || account.object.metadata.uid !== serviceaccount?.uid) return undefined
      const bound = pod?.name === undefined ? undefined : this.#view.get({ ...PODS, namespace, name: pod.name })?.object
      if (pod?.name !== undefined && bound?.metadata.uid !== pod.uid) return undefined
      return {
        username: `system:serviceaccount:${namespace}:${name}`,
        uid: serviceaccount?.uid as string,
        groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, AUTHENTICATED],
        extra: { ...credential('JTI', payload.jti ?? ''), ...(bound === undefined ? {} : this.#placeOf(bound)) }
      }
    } catch {
      return undefined
    }
  }
  /** Which pod has a token, and on which node it is (KEP-4193). */
  #placeOf({ metadata, spec }: Pod): Record<string, string[]> {
    const of = (what: string, { name = '', uid = '' }: KubeObject['metadata']): Record<string, string[]> => ({
      [`authentication.kubernetes.io/${what}-name`]: [name],
      [`authentication.kubernetes.io/${what}-uid`]: [uid]
    })
    const node = this.#view.get({ ...NODES, namespace: '', name: spec?.nodeName ?? '' })?.object
    return { ...of('pod', metadata), ...(node === undefined ? {} : of('node', node.metadata)) }
  }
  /** The claims of a token that one of our keys signed; undefined for every other. */
  async #verified(token: string, audiences: readonly string[]): Promise<Claims | undefined> {
    const { kid } = decodeProtectedHeader(token)
    for (const { key, algorithm } of await this.#keys.verifying(kid)) {
      const found = await jwtVerify<Claims>(token, key, { issuer: ISSUER, audience: [...audiences], algorithms: [algorithm] }).catch(
        () => undefined
      )
      if (found !== undefined) return found.payload
    }
    return undefined
  }
  #impersonated(user: UserInfo, request: IncomingMessage, audit: Pick<RequestAudit, 'asks'>): UserInfo {
    audit.asks(user)
    const as = valuesOf(request, 'impersonate-user')[0] || undefined
    const groups = valuesOf(request, 'impersonate-group')
    const uid = valuesOf(request, 'impersonate-uid')[0] || undefined
    const extra = extraOf(request)
    if (as === undefined) {
      if (groups.length > 0 || uid !== undefined || Object.keys(extra).length > 0)
        throw forbidden({ group: '', resource: 'users' }, '', 'requested groups, a uid or extra information without impersonating a user')
      return user
    }
    const account = SERVICE_ACCOUNT.exec(as)
    if (account === null) this.#mayImpersonate(user, { resource: 'users', name: as })
    else this.#mayImpersonate(user, { resource: 'serviceaccounts', namespace: account[1] as string, name: account[2] as string })
    for (const group of groups) this.#mayImpersonate(user, { resource: 'groups', name: group })
    if (uid !== undefined) this.#mayImpersonate(user, { group: AUTHENTICATION, resource: 'uids', name: uid })
    for (const [key, values] of Object.entries(extra))
      for (const value of values)
        this.#mayImpersonate(user, { group: AUTHENTICATION, resource: 'userextras', subresource: key, name: value })
    const own = account !== null && groups.length === 0 ? ['system:serviceaccounts', `system:serviceaccounts:${account[1]}`] : []
    const acting = {
      username: as,
      groups: [...new Set([...groups, ...own, AUTHENTICATED])],
      ...(uid === undefined ? {} : { uid }),
      ...(Object.keys(extra).length === 0 ? {} : { extra })
    }
    audit.asks(user, acting)
    return acting
  }
  #mayImpersonate(
    user: UserInfo,
    asked: {
      readonly group?: string
      readonly resource: string
      readonly subresource?: string
      readonly namespace?: string
      readonly name: string
    }
  ): void {
    const { group = '', resource, subresource = '', namespace = '', name } = asked
    const { allowed } = authorize(this.#view, user, { verb: 'impersonate', group, resource, subresource, namespace, name })
    const where = namespace === '' ? 'at the cluster scope' : `in the namespace "${namespace}"`
    if (!allowed)
      throw forbidden(
        { group, resource },
        name,
        `User "${user.username}" cannot impersonate resource "${resource}${subresource === '' ? '' : `/${subresource}`}" in API group "${group}" ${where}`
      )
  }
}

/** The connection a request came on: of an HTTP/2 request, its session's (the request's own socket is one per stream). */
const connectionOf = (request: IncomingMessage): TLSSocket => {
  const { stream } = request as unknown as { readonly stream?: Http2Stream }
  return (stream?.session?.socket ?? request.socket) as TLSSocket
}

/** `Impersonate-Extra-<key>`: keys are lower case, percent-encoded (k8s.io/apiserver, pkg/endpoints/filters). */
const extraOf = ({ rawHeaders }: IncomingMessage): Record<string, string[]> => {
  const extra: Record<string, string[]> = Object.create(null) as Record<string, string[]>
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const key = EXTRA.exec(rawHeaders[at] as string)?.[1]
    if (key !== undefined) (extra[unescaped(key.toLowerCase())] ??= []).push(rawHeaders[at + 1] as string)
  }
  return { ...extra }
}

const unescaped = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** Each value of a header that may come several times. */
const valuesOf = ({ rawHeaders }: IncomingMessage, name: string): string[] =>
  rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === name)

const bearerOf = (header: string | undefined): string | undefined =>
  header === undefined ? undefined : /^Bearer\s+(\S+)$/i.exec(header)?.[1]
const one = (value: string | string[] | undefined): string | undefined => (Array.isArray(value) ? value[0] : value)
const many = (value: unknown): string[] => (value === undefined ? [] : Array.isArray(value) ? (value as string[]) : [String(value)])
