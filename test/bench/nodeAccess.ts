/** Nodes that come in and go, beside many others: `node test/bench/nodeAccess.ts [nodes]`. Milliseconds each. */
import { createNodeCredentials, revokeNodeCredentials, listNodeCredentials } from '#ops/nodes.ts'
import { connectNats } from '#ops/nats/connect.ts'
import { NodeAccess } from '#ops/nats/access.ts'
import { sign } from '#ops/nats/accounts.ts'
import { userClaims } from '#ops/nats/claims.ts'
import { newCredentials } from '#ops/nats/credentials.ts'
import { Held } from '#ops/nats/held.ts'
import { ensureOperatorKeys } from '#ops/nats/keys.ts'
import { ACCOUNTANT, nodeUsers } from '#ops/nats/users.ts'
import { startNats } from '#test/support/nats.ts'

const count = Number(process.argv[2] ?? 400)
const nats = await startNats()
const keys = ensureOperatorKeys(nats.home)
const connection = await connectNats(nats.home, nats.config, ACCOUNTANT.name)
const held = new Held(connection)
const begun = performance.now()
for (let n = 0; n < count; n++)
  for (const user of nodeUsers(`node-${n}`)) {
    const { account } = await newCredentials(user.name)
    await held.put(await sign(account, userClaims(user, keys.log.getPublicKey(), Date.now()), keys))
  }
process.stdout.write(`${count} nodes handed in: ${((performance.now() - begun) / count).toFixed(1)} ms each\n`)
const timed = async (what: string, work: () => Promise<unknown>): Promise<void> => {
  const at = performance.now()
  await work()
  process.stdout.write(`${what}: ${(performance.now() - at).toFixed(0)} ms\n`)
}
await timed('list', () => listNodeCredentials(nats.home, nats.config))
await timed('the first join, which tells of all', () => createNodeCredentials(nats.home, nats.config, 'first'))
await timed('join', () => createNodeCredentials(nats.home, nats.config, 'another'))
await timed('revoke', () => revokeNodeCredentials(nats.home, nats.config, 'another'))
await timed('join, connection kept', () => new NodeAccess(held, keys).create('kept'))
await timed('restart', async () => {
  await nats.halt()
  await nats.restart()
})
await connection.close()
await nats.stop()
