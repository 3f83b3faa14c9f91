/** All events of one object: from where the index of the past says they are, and else from the whole log; the same either way. */
import { jetstreamManager } from '@nats-io/jetstream'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { encodeEvent } from '#events/Event.ts'
import { subjectOf } from '#events/Subject.ts'
import { serveFollows } from '#services/apiserver/door/follow.ts'
import { placesOf } from '#services/apiserver/time-travel/places.ts'
import { eventsOf } from '#services/historian/read.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { askToFollow } from '#services/platform/jetstream/consumers.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { MemoryPast } from '#services/platform/past/MemoryPast.ts'
import { View } from '#services/platform/View.ts'
import { Views } from '#services/platform/Views.ts'
import { builtIns } from '#test/support/builtIns.ts'
import { startNats } from '#test/support/nats.ts'
import { until } from '#test/support/until.ts'

const keyOf = (name: string) => ({ group: '', resource: 'configmaps', namespace: 'default', name })

const history = suite("an object's history")
history('is read where the index says it is, and from the whole log where none does', async () => {
  const nats = await startNats()
  try {
    const own = await nats.as('apiserver')
    const log = new JetStreamLog(own, 'EVENTS')
    const index = new MemoryPast('EVENTS', systemClock)
    index.begin('id')
    for (let n = 0; n < 30; n++) {
      const key = keyOf(`c-${n % 3}`)
      const record = encodeEvent({
        stream: 'EVENTS',
        key,
        id: `id-${n}`,
        type: 'reckon.configmap.updated.v1',
        source: 'test',
        time: '2026-01-01T00:00:00.000Z',
        user: 'somebody',
        correlationId: 'c',
        verb: 'update',
        deleted: n === 13,
        object: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: key.name, namespace: 'default' }, data: { n: String(n) } },
        expected: 0
      })
      await log.append([{ subject: subjectOf('EVENTS', key), ...record }])
    }
    for await (const entries of log.read({ from: 1, to: 30 }))
      index.take(
        entries.map((entry) => ({ entry, event: true })),
        { sequence: entries.at(-1)?.sequence as number }
      )
    const view = new View('EVENTS', log, systemClock, { api: builtIns })
    await view.start()
    const past = { views: new Views([view], builtIns), histories: new Map([['EVENTS' as const, index]]) }
    let knows = true
    const door = serveFollows({
      connection: await nats.as('apiserver'),
      places: (stream, key) => (knows ? placesOf(past, stream, key) : Promise.resolve(undefined)),
      onError: (error) => assert.unreachable(String(error))
    })
    const admin = await nats.as('admin')
    const jsm = await jetstreamManager(await nats.as('keeper'), { checkAPI: false })
    const consumers = async (): Promise<number> => (await jsm.consumers.list('EVENTS').next()).length
    const before = await consumers()
    const indexed = await eventsOf(admin, 'EVENTS', keyOf('c-1'))
    assert.equal(
      indexed.map(({ sequence }) => sequence),
      [2, 5, 8, 11, 14, 17, 20, 23, 26, 29]
    )
    assert.equal([indexed[4]?.deleted, await consumers()], [true, before], 'nothing was followed')
    assert.equal(await eventsOf(admin, 'EVENTS', keyOf('never')), [])
    knows = false
    assert.equal(await eventsOf(admin, 'EVENTS', keyOf('c-1')), indexed)
    knows = true
    // One that says the wrong place is not believed.
    index.placesOf = () => [2, 6]
    assert.equal(await eventsOf(admin, 'EVENTS', keyOf('c-1')), indexed)
    // One that is behind the view does not tell, and says so in time.
    const { places } = await askToFollow(admin, 'admin', { what: 'places', part: 'EVENTS', subject: subjectOf('EVENTS', keyOf('c-1')) })
    assert.equal(places, [2, 6])
    await log.append([{ subject: 'ev.core.configmaps.default.c-9', headers: {}, text: '{}' }])
    await until('the view has it', () => view.objects.sequence === 31)
    const late = await askToFollow(admin, 'admin', { what: 'places', part: 'EVENTS', subject: subjectOf('EVENTS', keyOf('c-1')) })
    assert.is(late.places, undefined)
    const refused = await askToFollow(await nats.as('scheduler'), 'scheduler', {
      what: 'places',
      part: 'events',
      subject: 'ev.core.pods.a.b'
    }).catch(String)
    assert.match(String(refused), 'may not follow it')
    view.close()
    await door.close()
  } finally {
    await nats.stop()
  }
})
history.run()
