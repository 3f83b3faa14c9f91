/** Whether the home is the one it was: by its folders, which are held, and by what config.json says. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as Deferred from 'effect/Deferred'
import * as Effect from 'effect/Effect'
import * as Layer from 'effect/Layer'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Refusal } from '#events/Refusal.ts'
import { ApiServer } from '#ops/components/apiserver.ts'
import { HomeWatch, OwnHome } from '#ops/components/ownHome.ts'
import { Place } from '#ops/components/place.ts'
import { renewal } from '#ops/components/renew.ts'
import type { ClusterConfig } from '#ops/home.ts'
import { storeFolder } from '#ops/nats/store.ts'

const own = suite('own home')
const CONFIG = { instance: 'abcde', nodeName: 'n1', serviceCIDR: '10.96.0.0/16', clusterDomain: 'cluster.local' } as ClusterConfig
const base = mkdtempSync(join(tmpdir(), 'reckon-own-'))
own.after(() => rmSync(base, { recursive: true, force: true }))

interface Scene {
  readonly home: string
  readonly watch: HomeWatch
  /** Times it was said to be gone. */
  told(): number
  config(text: string): void
  pass(ms: number): void
}

let scenes = 0
const scene =
  (work: (scene: Scene) => Promise<void>): (() => Promise<void>) =>
  async () => {
    const home = join(base, `home-${scenes++}`)
    mkdirSync(storeFolder(home), { recursive: true })
    const config = (text: string): void => {
      writeFileSync(join(home, 'config.new'), text)
      renameSync(join(home, 'config.new'), join(home, 'config.json'))
    }
    config('{"instance": "abcde"}')
    let now = 0
    let told = 0
    const watch = new HomeWatch({ home, config: { instance: 'abcde' }, store: true, report: () => {}, now: () => now })
    watch.onGone(() => void (told += 1))
    try {
      await watch.look()
      assert.is(watch.closed(), undefined)
      await work({ home, watch, told: () => told, config, pass: (ms) => void (now += ms) })
    } finally {
      watch.stop()
    }
  }

const gone = async ({ watch, told }: Scene, why: RegExp): Promise<void> => {
  await watch.look()
  const { status } = watch.closed() as Refusal
  const { message = '' } = status
  assert.is(status.code, 503)
  assert.is(status.reason, 'ServiceUnavailable')
  assert.match(message, /^the home \S+ is gone: /)
  assert.match(message, why)
  assert.throws(() => watch.check.check(), why)
  await watch.look()
  assert.is(told(), 1)
}

const there = async ({ watch, told }: Scene): Promise<void> => {
  await watch.look()
  assert.is(watch.closed(), undefined)
  watch.check.check()
  assert.is(told(), 0)
}

own(
  'removed',
  scene(async (at) => {
    rmSync(at.home, { recursive: true })
    await gone(at, /home-\d+ is not there any more/)
    // It is not this one that comes back.
    mkdirSync(storeFolder(at.home), { recursive: true })
    at.config('{"instance": "abcde"}')
    await gone(at, /not there any more/)
    let late = 0
    at.watch.onGone(() => void (late += 1))
    assert.is(late, 1)
  })
)
own(
  'removed as far as the log',
  scene(async (at) => {
    rmSync(storeFolder(at.home), { recursive: true })
    await gone(at, /home-\d+\/nats\/store is not there any more\. Nothing is written/)
    rmSync(at.home, { recursive: true })
    await gone(at, /nats\/store is not there any more\./)
  })
)
own(
  'only the log, and an empty folder in its place at once: the number may be the same, the folder is not',
  scene(async (at) => {
    rmSync(storeFolder(at.home), { recursive: true })
    mkdirSync(storeFolder(at.home))
    await gone(at, /\S+nats\/store is not there any more, and another folder is in its place\./)
  })
)
own(
  'moved, and a copy in its place',
  scene(async (at) => {
    renameSync(at.home, `${at.home}-moved`)
    cpSync(`${at.home}-moved`, at.home, { recursive: true })
    await gone(at, /home-\d+ is not there any more, and another folder is in its place\./)
  })
)
own(
  'settings are changed, by whatever editor',
  scene(async (at) => {
    at.config('{"instance": "abcde", "settings": {}}')
    await there(at)
    writeFileSync(join(at.home, 'config.json'), '{"insta')
    await there(at)
    rmSync(join(at.home, 'config.json'))
    await there(at)
    at.pass(1_000)
    await there(at)
    at.config('{"instance": "abcde"}')
    at.pass(1_000)
    await there(at)
    // Counted from the last time it went.
    rmSync(join(at.home, 'config.json'))
    await there(at)
  })
)
own(
  'config.json does not come back',
  scene(async (at) => {
    rmSync(join(at.home, 'config.json'))
    await there(at)
    at.pass(1_500)
    await gone(at, /config\.json is not there any more/)
  })
)
own(
  "another cluster's config.json",
  scene(async (at) => {
    at.config('{"instance": "zzzzz"}')
    await gone(at, /config\.json is of another cluster \(zzzzz\)/)
  })
)
own(
  'what can not be looked at is not gone',
  scene(async (at) => {
    renameSync(at.home, `${at.home}-moved`)
    symlinkSync(at.home, at.home)
    await at.watch.look().then(
      () => assert.unreachable('it could be looked at'),
      ({ code }: NodeJS.ErrnoException) => assert.is(code, 'ELOOP')
    )
    rmSync(at.home)
    renameSync(`${at.home}-moved`, at.home)
    await there(at)
  })
)
own('a process without the log has no need of its folder', async () => {
  const home = join(base, 'agent')
  mkdirSync(home)
  writeFileSync(join(home, 'config.json'), '{"instance": "abcde"}')
  const watch = new HomeWatch({ home, config: { instance: 'abcde' }, store: false, report: () => {} })
  await watch.look()
  assert.is(watch.closed(), undefined)
  watch.stop()
  await watch.look()
})
own(
  'certificates are not renewed in one that is gone: it would be another authority, perhaps in a new home',
  scene(async (at) => {
    const looked = at.watch.look.bind(at.watch)
    rmSync(at.home, { recursive: true })
    await Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const seen = yield* Deferred.make<void>()
          at.watch.look = () => looked().finally(() => Effect.runFork(Deferred.succeed(seen, undefined)))
          yield* Layer.build(renewal).pipe(
            Effect.provideService(Place, { home: at.home, config: CONFIG, warn: () => {}, fatal: () => {} }),
            Effect.provideService(ApiServer, {} as ApiServer['Service']),
            Effect.provideService(OwnHome, at.watch)
          )
          yield* Deferred.await(seen)
          // Its folder would be made within this time.
          yield* Effect.sleep('100 millis')
        })
      )
    )
    assert.not(existsSync(at.home))
  })
)
own.run()
