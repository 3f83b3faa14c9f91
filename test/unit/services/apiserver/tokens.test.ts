/** Service account tokens: good while their account, their pod and the key that signed them are. */
import { generateKeyPairSync } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { KubeObject } from '#events/KubeObject.ts'
import { SigningKeys, type KeyMaterial } from '#services/apiserver/nodes/SigningKeys.ts'
import { Tokens } from '#services/apiserver/nodes/Tokens.ts'
import { Authenticator } from '#services/apiserver/request/authenticate.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { startTestApi, type TestApi } from '#test/support/api.ts'

const tokens = suite('service account tokens')

const pair = (): { readonly private: string; readonly public: string } => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return {
    private: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    public: publicKey.export({ type: 'spki', format: 'pem' }) as string
  }
}
const material = (signing: ReturnType<typeof pair>, ...older: readonly ReturnType<typeof pair>[]): KeyMaterial => ({
  privateKey: signing.private,
  publicKeys: [signing, ...older].map((one) => one.public)
})

const [first, second] = [pair(), pair()]
let api: TestApi
let account: { namespace: string; name: string; uid: string }
tokens.before(async () => {
  api = await startTestApi()
  account = {
    namespace: 'default',
    name: 'default',
    uid: api.get({ apiVersion: 'v1', kind: 'ServiceAccount', name: 'default' })?.metadata.uid as string
  }
})

const who = async (authenticator: Authenticator, token: string): Promise<string | undefined> =>
  Promise.resolve(
    authenticator.authenticate({ headers: { authorization: `Bearer ${token}` }, rawHeaders: [] } as unknown as IncomingMessage, {
      asks: () => {}
    })
  ).then(
    ({ username }) => username,
    () => undefined
  )

tokens('go on being good when the key is replaced, until it is retired', async () => {
  const keys = new SigningKeys(material(first))
  const [issuer, authenticator] = [new Tokens(keys, systemClock), new Authenticator(keys, api.views)]
  const old = (await issuer.issue(account)).token
  assert.is(await who(authenticator, old), 'system:serviceaccount:default:default')
  keys.replace(material(second, first))
  const fresh = (await issuer.issue(account)).token
  for (const token of [old, fresh]) assert.is(await who(authenticator, token), 'system:serviceaccount:default:default')
  keys.replace(material(second))
  assert.is(await who(authenticator, old), undefined)
  assert.is(await who(authenticator, fresh), 'system:serviceaccount:default:default')
})

tokens('of another key, another account or none are not', async () => {
  const keys = new SigningKeys(material(first))
  const authenticator = new Authenticator(keys, api.views)
  const foreign = new Tokens(new SigningKeys(material(second)), systemClock)
  const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(JSON.stringify({ sub: 'x' })).toString('base64url')}.`
  for (const token of [
    (await foreign.issue(account)).token,
    (await new Tokens(keys, systemClock).issue({ ...account, uid: 'another' })).token,
    unsigned,
    'nonsense',
    'a.b.c'
  ])
    assert.is(await who(authenticator, token), undefined)
})

tokens('tell which token it is, and which pod has it on which node', async () => {
  const keys = new SigningKeys(material(first))
  const [issuer, authenticator] = [new Tokens(keys, systemClock), new Authenticator(keys, api.views)]
  const idOf = (token: string): string =>
    (JSON.parse(Buffer.from(token.split('.')[1] as string, 'base64url').toString()) as { readonly jti: string }).jti
  const of = 'authentication.kubernetes.io'
  const { token } = await issuer.issue(account)
  assert.equal((await authenticator.review(token))?.extra, { [`${of}/credential-id`]: [`JTI=${idOf(token)}`] })
  const uidOf = async (object: KubeObject): Promise<string> => {
    const result = await api.create(object)
    assert.ok(result.ok, JSON.stringify(result))
    return (result as { readonly object: KubeObject }).object.metadata.uid as string
  }
  const node = await uidOf({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' } })
  const pod = await uidOf({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'default' },
    spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'i' }] }
  })
  const bound = (await issuer.issue({ ...account, pod: { name: 'p', uid: pod } })).token
  assert.equal((await authenticator.review(bound))?.extra, {
    [`${of}/credential-id`]: [`JTI=${idOf(bound)}`],
    [`${of}/pod-name`]: ['p'],
    [`${of}/pod-uid`]: [pod],
    [`${of}/node-name`]: ['n1'],
    [`${of}/node-uid`]: [node]
  })
  const another = await issuer.issue({ ...account, pod: { name: 'p', uid: 'of-the-one-before' } })
  assert.is(await authenticator.review(another.token), undefined)
})

tokens.run()
