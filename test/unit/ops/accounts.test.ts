/** Accounts of nats-server: given a home and nodes that join and leave, what is signed, what is believed, and who is told of whom. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Account, decode, encodeAccount, type KeyPair } from '@nats-io/jwt'
import { createAccount, createOperator } from '@nats-io/nkeys'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { AlreadyAdmitted, NodeAccess } from '#ops/nats/access.ts'
import { ensureAccounts, sign, writeAccounts } from '#ops/nats/accounts.ts'
import { callsClaims, userClaims } from '#ops/nats/claims.ts'
import { type Held, type HeldAccount, servedIn, type SignedAccount } from '#ops/nats/held.ts'
import { ensureOperatorKeys } from '#ops/nats/keys.ts'
import { nodeUsers } from '#ops/nats/users.ts'

const accounts = suite('accounts')
let home = ''
accounts.before.each(() => {
  home = mkdtempSync(join(tmpdir(), 'accounts-'))
})
accounts.after.each(() => rmSync(home, { recursive: true, force: true }))

const named = (signed: readonly SignedAccount[]): string[] => signed.map(({ jwt }) => decode<Account>(jwt).name).sort()
const held = ({ key, jwt }: SignedAccount): HeldAccount => {
  const { name, nats, iat } = decode<Account>(jwt)
  return { key, name, claims: nats, since: Date.parse(nats.description ?? '') || iat * 1000 }
}

accounts('are signed once, and anew when what they may reach is not what it should be', async () => {
  const first = await ensureAccounts(home, ['n1'])
  assert.ok(
    ['CALLS', 'LOG', 'SYS', 'node-n1'].every((name) => named(first.changed).includes(name)),
    named(first.changed).join()
  )
  writeAccounts(home, first.changed)
  const second = await ensureAccounts(home, ['n1'])
  assert.equal(second.changed, [])
  assert.is(second.operator, first.operator, 'a server with another one would be started anew')
  const keys = ensureOperatorKeys(home)
  const node = first.changed.map(held).find(({ name }) => name === 'node-n1') as HeldAccount
  const less = { ...node.claims, imports: (node.claims.imports ?? []).slice(1) }
  writeAccounts(home, [await sign(node.key, { name: node.name, claims: less }, keys)])
  assert.equal(named((await ensureAccounts(home, ['n1'])).changed), ['node-n1'])
})
accounts('of another operator are believed by nobody, and go', async () => {
  const { changed } = await ensureAccounts(home, [])
  writeAccounts(home, changed)
  const [stranger, account] = [createOperator(), createAccount().getPublicKey()]
  const foreign = userClaims(nodeUsers('evil')[0] as never, 'ALOG')
  writeAccounts(home, [{ key: account, jwt: await encodeAccount(foreign.name, account, foreign.claims, { signer: stranger as KeyPair }) }])
  assert.equal((await ensureAccounts(home, [])).changed, [], 'nobody is told to call it')
  const good = createAccount().getPublicKey()
  writeAccounts(home, [await sign(good, { ...foreign, name: 'node-good' }, ensureOperatorKeys(home))])
  const [calls] = (await ensureAccounts(home, [])).changed.map(held)
  assert.equal(
    calls?.claims.imports?.map(({ account: of }) => of),
    [good]
  )
})
accounts("serve something only when they are a node's agent's", () => {
  const exports = [{ name: 'x', subject: 'node.n1.>', type: 'service' as const }]
  assert.equal(servedIn({ key: 'A', name: 'node-n1', claims: { exports } }), [{ key: 'A', subject: 'node.n1.>' }])
  for (const name of ['CALLS', 'LOG', 'dns-n1', 'kube-proxy-n1']) assert.equal(servedIn({ key: 'A', name, claims: { exports } }), [])
})
accounts.run()

/** A nats-server's list, as several API servers reach it. `before`: awaited ahead of each answer. */
class Memory {
  readonly all = new Map<string, HeldAccount>()
  before = async (): Promise<void> => {}
  async list(): Promise<readonly HeldAccount[]> {
    await this.before()
    return [...this.all.values()]
  }
  async put(account: SignedAccount): Promise<void> {
    await this.before()
    this.all.set(account.key, held(account))
  }
  async remove(keys: readonly string[]): Promise<void> {
    await this.before()
    for (const key of keys) this.all.delete(key)
  }
}
const access = suite('access of nodes')
const lab = async () => {
  const folder = mkdtempSync(join(tmpdir(), 'access-'))
  const keys = ensureOperatorKeys(folder)
  rmSync(folder, { recursive: true })
  const memory = new Memory()
  await memory.put(await sign(keys.calls.getPublicKey(), callsClaims([]), keys))
  const called = (): string[] => (memory.all.get(keys.calls.getPublicKey())?.claims.imports ?? []).map(({ subject }) => subject)
  const users = (): string[] =>
    [...memory.all.values()]
      .map(({ name }) => name)
      .filter((name) => name !== 'CALLS')
      .sort()
  return { memory, called, users, server: () => new NodeAccess(memory as unknown as Held, keys) }
}
access('is made once, listed, and ends with all that belongs to it', async () => {
  const { server, called, users } = await lab()
  const one = server()
  const files = await one.create('n1')
  assert.equal(
    Object.keys(files).sort(),
    nodeUsers('n1')
      .map(({ name }) => name)
      .sort()
  )
  await one.create('n2')
  assert.equal(
    [(await one.list()).map(({ node }) => node), called()],
    [
      ['n1', 'n2'],
      ['node.n1.>', 'node.n2.>']
    ]
  )
  assert.instance(await one.create('n1').catch((error: unknown) => error), AlreadyAdmitted)
  assert.is(users().length, 2 * nodeUsers('n1').length)
  assert.is(await one.revoke('n1'), true)
  assert.equal(
    [users(), called()],
    [
      nodeUsers('n2')
        .map(({ name }) => name)
        .sort(),
      ['node.n2.>']
    ]
  )
  assert.is(await one.revoke('n1'), false)
})
access('that two API servers make at a time is given by one of them at most; other nodes beside it are all called', async () => {
  const { memory, server, called, users } = await lab()
  memory.before = () => new Promise((resolve) => setImmediate(resolve))
  const made = await Promise.allSettled([
    server().create('same'),
    server().create('same'),
    ...['n0', 'n1'].map((node) => server().create(node))
  ])
  assert.ok(made.slice(0, 2).filter(({ status }) => status === 'fulfilled').length <= 1)
  for (const result of made.slice(0, 2)) if (result.status === 'rejected') assert.instance(result.reason, AlreadyAdmitted)
  const there = [...(made.slice(0, 2).some(({ status }) => status === 'fulfilled') ? ['same'] : []), 'n0', 'n1']
  assert.equal(users(), there.flatMap((node) => nodeUsers(node).map(({ name }) => name)).sort())
  assert.equal(called().sort(), there.map((node) => `node.${node}.>`).sort())
})
access.run()
