/** The node's condition, kept as the log's disk is. */
import * as Effect from 'effect/Effect'
import * as Layer from 'effect/Layer'
import * as Schedule from 'effect/Schedule'
import type { Intent } from '#events/Intent.ts'
import { timestamp } from '#events/meta/time.ts'
import { tell } from '#services/apiserver/room/tell.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { wordsOf } from '#services/platform/disk/decide.ts'
import { ApiServer } from './apiserver.ts'
import { LogDisk } from './disk.ts'
import { Place } from './place.ts'

const TELL_EVERY = '2 seconds'
const USER = { username: 'system:apiserver', groups: ['system:masters', 'system:authenticated'] }

/** What could not be told, for want of a log that takes it, is told later. */
export const diskCondition = Layer.effectDiscard(
  Effect.gen(function* () {
    const { config, warn } = yield* Place
    const disk = yield* LogDisk
    const { views, decider } = yield* ApiServer
    let telling = false
    const tellNow = async (): Promise<void> => {
      const { state } = disk.watch
      // Before the first shortage, or without room for a word, there is nothing to tell.
      if (telling || state === undefined || state.room === 'none') return
      telling = true
      try {
        const now = timestamp(systemClock.now())
        const words = wordsOf(state.room, state.thresholds)
        for (const draft of tell(views, config.nodeName, { room: state.room, words }, now)) {
          const intent: Intent = { ...draft, id: systemClock.uuid(), source: 'apiserver' }
          const result = await decider.submit(intent, USER)
          if (!result.ok) warn('the disk', result.status.message)
        }
      } catch (error) {
        warn('the disk', error)
      } finally {
        telling = false
      }
    }
    disk.watch.onChange(() => void tellNow())
    yield* Effect.forkScoped(Effect.sync(() => void tellNow()).pipe(Effect.schedule(Schedule.spaced(TELL_EVERY))))
  })
)
