/** Settings that make no sense stop the start and say where: one that is passed over would be a protection that is not there. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as Effect from 'effect/Effect'
import * as Layer from 'effect/Layer'
import type * as Scope from 'effect/Scope'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { LogDisk } from '#ops/components/disk.ts'
import { Place } from '#ops/components/place.ts'
import { Damages, scrub } from '#ops/components/scrub.ts'
import type { Settings } from '#ops/home.ts'

const settings = suite('settings')
const home = mkdtempSync(join(tmpdir(), 'reckon-settings-'))
settings.after(() => rmSync(home, { recursive: true, force: true }))

const config = (given: Settings) => ({ settings: given }) as Place['Service']['config']
const refused = (given: Settings, work: Effect.Effect<unknown, Error, Place | Scope.Scope>): Promise<string> =>
  Effect.runPromise(
    work.pipe(Effect.scoped, Effect.provideService(Place, { home, config: config(given), warn: () => {}, fatal: () => {} }))
  ).then(
    () => 'accepted',
    ({ message }: Error) => message
  )

for (const [noCreates, why] of [
  ['1 GB', /settings\.disk\.noCreates: "1 GB" is neither/],
  ['150%', /settings\.disk\.noCreates: "150%"/]
] as const)
  settings(`disk.noCreates ${noCreates}`, async () => {
    const message = await refused({ disk: { noCreates } }, Layer.build(LogDisk.kept))
    assert.match(message, why)
    assert.match(message, 'See ops/docs/faults.md')
  })

for (const [given, why] of [
  [{ megabytesPerSecond: 0 }, /settings\.scrub\.megabytesPerSecond: 0 is no number above 0/],
  [{ megabytesPerSecond: '2' as never }, /"2" is no number/],
  [{ every: 'daily' }, /settings\.scrub\.every: "daily" is no duration/]
] as const)
  settings(`scrub ${JSON.stringify(given)}`, async () =>
    assert.match(await refused({ scrub: given }, scrub([]).pipe(Effect.provide(Damages.none))), why)
  )
settings.run()
