/** The fan-out, turn by turn: who joins or falls behind in the middle of one gets each change once. */
import type { ServerResponse } from 'node:http'
import { Writable } from 'node:stream'
import type { Document } from '#test/support/kinds.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Log } from '#events/Log.ts'
import { builtIns, kindNamed } from '#test/support/builtIns.ts'
import { Outlets } from '#services/apiserver/http/Outlet.ts'
import type { Representation } from '#services/apiserver/http/representation.ts'
import type { PastIndex } from '#services/platform/past/PastIndex.ts'
import { Versions } from '#services/apiserver/time-travel/Versions.ts'
import { Backlog } from '#services/apiserver/verbs/Backlog.ts'
import { Fanout } from '#services/apiserver/verbs/Fanout.ts'
import { selectionOf } from '#services/apiserver/verbs/read.ts'
import { View } from '#services/platform/View.ts'
import { accepted, startTestApi, type TestApi } from '#test/support/api.ts'
import {} from '#test/support/http.ts'
import { until } from '#test/support/until.ts'
import { VirtualClock } from '#test/simulation/VirtualClock.ts'

const KIND = kindNamed('', 'v1', 'ConfigMap')!
const NOTICE = kindNamed('', 'v1', 'Event')!

/** An answer whose client takes everything, or nothing until it is told to. */
class Answer extends Writable {
  text = ''
  taking = true
  socket = null
  #held: (() => void)[] = []
  constructor() {
    super({ highWaterMark: 1_000 })
  }
  writeHead(): void {}
  flushHeaders(): void {}
  override _write(chunk: Buffer, _: BufferEncoding, done: () => void): void {
    const take = (): void => {
      this.text += chunk.toString()
      done()
    }
    if (this.taking) take()
    else this.#held.push(take)
  }
  take(): void {
    this.taking = true
    for (const each of this.#held.splice(0)) each()
  }
  get told(): { type: string; object: Document }[] {
    return this.text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line))
  }
  get names(): (string | undefined)[] {
    return this.told.map(({ object }) => object.metadata.name)
  }
}

const start = async (
  limits = { behind: 1_000_000, together: 10_000_000, replays: 4 },
  kind = KIND
): Promise<{
  api: TestApi
  view: View
  fanout: Fanout
  turns: (() => void)[]
  turn(): void
  watch(from?: number, form?: Representation['form']): Promise<Answer>
  create(name: string, size?: number): Promise<number>
}> => {
  const clock = new VirtualClock(1)
  const api = await startTestApi(clock)
  const turns: (() => void)[] = []
  const view = kind === KIND ? api.views.of(kind) : new View('NOTICES', api.logs.NOTICES, clock, { api: builtIns, expires: true })
  if (kind !== KIND) await view.start()
  const fanout = new Fanout({
    view,
    history: api.histories.get(view.stream) as PastIndex,
    versions: new Versions(),
    clock: clock,
    outlets: new Outlets(clock, 60_000),
    backlog: new Backlog(limits),
    onError: (error) => assert.unreachable(String(error)),
    soon: (task) => void turns.push(task)
  })
  return {
    api,
    view,
    fanout,
    turns,
    turn: () => turns.shift()?.(),
    watch: async (from = view.objects.sequence, form = 'object') => {
      const answer = new Answer()
      await fanout.serve(
        {
          kind,
          namespace: 'default',
          selection: selectionOf(kind, new URLSearchParams(), ''),
          representation: { form, include: 'None' },
          from,
          initialEvents: false,
          bookmarks: false,
          timeoutSeconds: 1_000
        },
        answer as unknown as ServerResponse
      )
      return answer
    },
    create: async (name, size = 10) => {
      const annotations = { key: 'x'.repeat(size) }
      const more = kind === KIND ? {} : { involvedObject: { kind: 'Pod', namespace: 'default', name: 'p' }, reason: 'Told', type: 'Normal' }
      const sequence = Number(
        accepted(await api.create({ apiVersion: 'v1', kind: kind.kind, metadata: { name, annotations }, ...more })).metadata.resourceVersion
      )
      await view.waitFor(sequence)
      return sequence
    }
  }
}

const turns = suite('turns')
turns('who joins while changes wait for their turn has had them already', async () => {
  const { fanout, watch, create, turn } = await start()
  const early = await watch()
  const before = await create('a')
  const late = await watch(before - 1)
  assert.equal([early.names, late.names], [[], ['a']])
  turn()
  await create('b')
  turn()
  assert.equal(
    [early.names, late.names],
    [
      ['a', 'b'],
      ['a', 'b']
    ]
  )
  fanout.close()
})
turns('what comes while a round goes on reaches those at its beginning, too', async () => {
  const { fanout, watch, create, turn, turns: waiting } = await start()
  const answers = await Promise.all(Array.from({ length: 1_100 }, () => watch()))
  await create('a')
  turn()
  const reached = (): number => answers.filter(({ text }) => text !== '').length
  assert.ok(reached() > 0 && reached() < 1_100, 'one turn does not serve them all')
  await create('b')
  while (waiting.length > 0) turn()
  assert.equal([...new Set(answers.map(({ names }) => names.join()))], ['a,b'])
  fanout.close()
})
turns('several changes of a turn travel together', async () => {
  const { fanout, watch, create, turn } = await start()
  const answer = await watch()
  const writes: number[] = []
  const { _write } = answer
  answer._write = (chunk, encoding, done) => {
    writes.push(chunk.length)
    _write.call(answer, chunk, encoding, done)
  }
  for (const name of ['a', 'b', 'c']) await create(name)
  turn()
  assert.is(writes.length, 1)
  assert.equal(answer.names, ['a', 'b', 'c'])
  fanout.close()
})
turns("a table's watcher who falls behind has its columns", async () => {
  const { fanout, watch, create, turn } = await start({ behind: 1_000, together: 10_000_000, replays: 4 })
  const answer = await watch(undefined, 'table')
  answer.taking = false
  for (let n = 0; n < 20; n++) {
    await create(`c-${String(n).padStart(2, '0')}`)
    turn()
  }
  answer.take()
  while (answer.told.length < 20) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(
    answer.told.map(({ object }) => object.rows[0]?.cells[0]),
    Array.from({ length: 20 }, (_, n) => `c-${String(n).padStart(2, '0')}`)
  )
  assert.equal(
    answer.told.map(({ object }) => object.columnDefinitions.length),
    [3, ...Array.from({ length: 19 }, () => 0)]
  )
  fanout.close()
})

const leaving = suite('what expires')
/** Everything up to a sequence leaves the stream by itself. */
const expire = async (view: View, last: number): Promise<void> => {
  const log: Log = view.log
  const now = await log.state()
  log.state = async () => ({ ...now, first: last + 1 })
  await view.expire()
}
const summary = ({ told }: Answer): string[] => told.map(({ type, object }) => `${type} ${object.metadata?.name ?? object['code']}`)
leaving("is told as it last was, and nobody's place goes back for it", async () => {
  const { view, fanout, watch, create, turn } = await start({ behind: 3_000, together: 10_000_000, replays: 4 }, NOTICE)
  const a = await create('a', 1_500)
  const answer = await watch()
  const b = await create('b')
  turn()
  answer.taking = false
  await expire(view, a)
  turn()
  for (const name of ['c', 'd', 'e']) {
    await create(name, 2_000)
    turn()
  }
  answer.take()
  await until('5 lines', () => answer.told.length >= 5)
  assert.equal(summary(answer), ['ADDED b', 'DELETED a', 'ADDED c', 'ADDED d', 'ADDED e'])
  assert.is(answer.told[1]?.object.metadata.annotations?.['key']?.length, 1_500)
  await expire(view, b)
  turn()
  const last = answer.text.trimEnd().split('\n').at(-1) as string
  assert.match(last, /^{"type":"DELETED".*"name":"b"/)
  assert.is(last.match(/"resourceVersion"/g)?.length, 1)
  fanout.close()
})
leaving('meanwhile is told to who catches up, once', async () => {
  const { view, fanout, watch, create, turn } = await start({ behind: 3_000, together: 10_000_000, replays: 4 }, NOTICE)
  await create('a')
  const answer = await watch()
  answer.taking = false
  for (const name of ['b', 'c', 'd', 'e']) {
    await create(name, 2_000)
    turn()
  }
  await expire(view, view.objects.sequence)
  turn()
  answer.take()
  await until('9 lines', () => answer.told.length >= 9)
  await create('f')
  turn()
  await until('10 lines', () => answer.told.length >= 10)
  assert.equal(summary(answer), [
    'ADDED b',
    'ADDED c',
    'ADDED d',
    'ADDED e',
    ...['a', 'b', 'c', 'd', 'e'].map((name) => `DELETED ${name}`),
    'ADDED f'
  ])
  fanout.close()
})
leaving('in such numbers that they are not kept makes the client list again', async () => {
  const { view, fanout, watch, create, turn } = await start({ behind: 3_000, together: 10_000_000, replays: 4 }, NOTICE)
  for (let n = 0; n < 4_200; n++) await create(`n-${n}`)
  const answer = await watch()
  answer.taking = false
  for (const name of ['b', 'c', 'd']) {
    await create(name, 2_000)
    turn()
  }
  await expire(view, view.objects.sequence)
  turn()
  answer.take()
  await until('the end', () => answer.writableFinished)
  assert.is(summary(answer).at(-1), 'ERROR 410')
  fanout.close()
})
turns.run()
leaving.run()
