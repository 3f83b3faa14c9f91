/** What an API server beside the home's own leaves in the home: nothing of its ledger, and nothing at all once the cluster is stopped. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as Effect from 'effect/Effect'
import * as Layer from 'effect/Layer'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { besideLog, removeBeside } from '#ops/components/beside.ts'
import { OpenLog } from '#ops/components/openLog.ts'
import { Place } from '#ops/components/place.ts'
import { demoObjects } from '#ops/demo/demo.ts'
import { anyPort } from '#ops/home.ts'
import { ledgerFolder } from '#ops/nats/streams.ts'

const beside = suite('an API server beside the first')
let home: string
beside.before.each(() => {
  home = mkdtempSync(join(tmpdir(), 'reckon-beside-'))
  for (const folder of [ledgerFolder(home), join(home, 'run')]) mkdirSync(folder, { recursive: true })
  writeFileSync(join(ledgerFolder(home), 'EVENTS.json'), '{}')
})
beside.after.each(() => rmSync(home, { recursive: true, force: true }))

beside('has a ledger of its own as long as it runs', async () => {
  const port = await anyPort()
  const place = { home, config: {}, warn: () => {}, fatal: () => {} } as unknown as Place['Service']
  const ledgers = await Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const open = yield* OpenLog
        assert.equal(readdirSync(open.ledgers), ['EVENTS.json'])
        return open.ledgers
      }).pipe(Effect.provide(besideLog(port)), Effect.provide(Layer.succeed(Place, place)))
    )
  )
  assert.is(ledgers, join(home, 'run', `ledger-${port}`))
  assert.equal(readdirSync(join(home, 'run')), [`history-${port}`])
})
beside('that was killed leaves what is taken away when the cluster is stopped; one that runs keeps what it has', async () => {
  const listening = createServer()
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve))
  const taken = (listening.address() as AddressInfo).port
  const free = await anyPort()
  for (const name of [`ledger-${free}`, `history-${free}`, `ledger-${taken}`, `history-${taken}`, 'history-of-mine'])
    mkdirSync(join(home, 'run', name))
  await removeBeside(home)
  assert.equal(readdirSync(join(home, 'run')), ['history-of-mine', `history-${taken}`, `ledger-${taken}`].sort())
  listening.close()
  rmSync(join(home, 'run'), { recursive: true })
  await removeBeside(home)
  assert.not.ok(existsSync(join(home, 'run')))
})
beside.run()

const demo = suite('the demo')
demo('names the API server as it is reached, whatever its port', () => {
  for (const port of [6443, 6451]) {
    const text = JSON.stringify(demoObjects(port))
    assert.equal([...new Set([...text.matchAll(/https:\/\/127\.0\.0\.1:(\d+)/g)].map(([, one]) => one))], [String(port)])
  }
})
demo.run()
