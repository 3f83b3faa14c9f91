/** How a process is put together: in which order its parts begin and end, and what a start can fail of. */
import * as Context from 'effect/Context'
import * as Effect from 'effect/Effect'
import * as Exit from 'effect/Exit'
import * as Layer from 'effect/Layer'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { LogDamaged } from '#events/Log.ts'
import { attempt, NotStarted, reading, usable } from '#ops/components/errors.ts'
import { inOrder } from '#ops/components/scoped.ts'

const layers = suite('layers')

const DAMAGE = { stream: 'EVENTS', kind: 'hole', ranges: [], verified: 3, detail: 'EVENTS: 4 is not there' } as const

class Base extends Context.Service<Base, string>()('test/Base') {}

/** Begins after a while, and tells when it begins and ends. */
const part = (told: string[], name: string, fails = false) =>
  Effect.gen(function* () {
    yield* Effect.sleep('1 millis')
    if (fails) return yield* new NotStarted({ message: name })
    told.push(`+${name}`)
    yield* Effect.addFinalizer(() => Effect.sync(() => void told.push(`-${name}`)))
    return name
  })

layers('what begins first ends last, though nobody asks for it', async () => {
  const told: string[] = []
  const process = inOrder(['a', 'b', 'c'].map((name) => Layer.effectDiscard(part(told, name)))).pipe(
    Layer.provide(Layer.effect(Base, part(told, 'base')))
  )
  await Effect.runPromise(
    Effect.scoped(
      Effect.andThen(
        Layer.build(process),
        Effect.sync(() => void told.push('runs'))
      )
    )
  )
  assert.equal(told, ['+base', '+a', '+b', '+c', 'runs', '-c', '-b', '-a', '-base'])
})
layers('what had begun before one failed ends, and nothing begins after it', async () => {
  const told: string[] = []
  const process = inOrder([part(told, 'a'), part(told, 'b', true), part(told, 'c')].map((one) => Layer.effectDiscard(one)))
  const exit = await Effect.runPromiseExit(Effect.scoped(Layer.build(process)))
  assert.ok(Exit.isFailure(exit))
  assert.equal(told, ['+a', '-a'])
})
layers('a damaged log is known by its tag: what began with it ends, and what it stands on goes on', async () => {
  const told: string[] = []
  const opening = reading(() => Promise.reject(new LogDamaged(DAMAGE)))
  const process = inOrder([part(told, 'notes'), opening].map((one) => Layer.effectDiscard(one))).pipe(
    Layer.catchTag('DamagedLog', ({ message, damages }) => {
      assert.is(message, DAMAGE.detail)
      assert.equal(damages, [DAMAGE])
      return Layer.effectDiscard(part(told, 'damaged'))
    }),
    Layer.provide(Layer.effect(Base, part(told, 'keeper')))
  )
  await Effect.runPromise(
    Effect.scoped(
      Effect.andThen(
        Layer.build(process),
        Effect.sync(() => void told.push('runs'))
      )
    )
  )
  assert.equal(told, ['+keeper', '+notes', '-notes', '+damaged', 'runs', '-damaged', '-keeper'])
})
layers('other failures keep their words', async () => {
  const fails = (): Promise<never> => Promise.reject(new Error('no such port'))
  const messages = await Promise.all(
    [
      attempt('the kubelet', fails),
      reading(fails),
      usable(
        () => JSON.parse('{') as never,
        () => 'config.json: no JSON'
      )
    ].map((one) => Effect.runPromise(Effect.flip(one as Effect.Effect<never, Error>)).then(({ message }) => message))
  )
  assert.equal(messages, ['the kubelet: no such port', 'no such port', 'config.json: no JSON'])
})
layers.run()
