/** A view that begins at a keyframe: the same state without what was deleted long ago, and no less is verified than without it. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { encodeEvent } from '#events/Event.ts'
import { LogDamaged, type LogEntry } from '#events/Log.ts'
import { subjectOf } from '#events/Subject.ts'
import { Integrity } from '#services/platform/ledger/Integrity.ts'
import { MemoryLedger } from '#services/platform/ledger/Ledger.ts'
import { Seal } from '#services/platform/ledger/Seal.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { MemoryLog } from '#services/platform/MemoryLog.ts'
import type { Standing } from '#services/platform/past/Keyframe.ts'
import { paysOff, type Resumable } from '#services/platform/standing.ts'
import { View } from '#services/platform/View.ts'
import { builtIns } from '#test/support/builtIns.ts'

const IDENTITY = 'this-log'
const MARK = 8
const CONFIGMAPS = { group: '', resource: 'configmaps' }
const seal = new Seal(new Map([['k1', Buffer.alloc(32, 7)]]))
const strange = new Seal(new Map([['k1', Buffer.alloc(32, 8)]]))

interface Written {
  readonly log: MemoryLog
  readonly ledger: MemoryLedger
  readonly entries: readonly LogEntry[]
  /** What stood at a sequence, as the historian would have written it down. */
  keyframe(sequence: number): Resumable
}

/** 40 objects that stay and change, and 200 names that come and go. */
const written = async (): Promise<Written> => {
  const log = new MemoryLog('EVENTS', systemClock, { identity: IDENTITY })
  const ledger = new MemoryLedger('EVENTS', IDENTITY)
  const integrity = new Integrity({ seal, ledger, whole: true, expires: false, markEvery: MARK })
  integrity.begin(await log.state())
  const entries: LogEntry[] = []
  const hashes: Uint8Array[] = []
  const put = async (name: string, value: number, deleted = false): Promise<void> => {
    const key = { ...CONFIGMAPS, namespace: 'default', name }
    const object = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, namespace: 'default', uid: name },
      data: { value: String(value) }
    }
    const record = encodeEvent({
      stream: 'EVENTS',
      key,
      id: `${name}-${value}`,
      type: `reckon.configmap.${deleted ? 'deleted' : 'updated'}.v1`,
      source: 'test',
      time: '2026-01-01T00:00:00.000Z',
      user: 'somebody',
      correlationId: 'c',
      verb: 'update',
      deleted,
      object,
      expected: entries.findLast(({ subject }) => subject === subjectOf('EVENTS', key))?.sequence ?? 0
    })
    const append = integrity.seal({ subject: subjectOf('EVENTS', key), ...record })
    await log.append([append])
    const entry = { subject: append.subject, headers: append.headers, text: append.text, sequence: entries.length + 1, time: 0 }
    entries.push(entry)
    integrity.take(entry)
    integrity.settle()
    hashes.push(integrity.place.hash as Uint8Array)
  }
  for (let n = 0; n < 200; n++) {
    await put(`gone-${n}`, n)
    await put(`stays-${n % 40}`, n)
    await put(`gone-${n}`, n, true)
  }
  const keyframe = (sequence: number): Resumable => {
    const standing = new Map<string, Standing>()
    for (const { subject, headers, sequence: version } of entries.slice(0, sequence)) {
      const name = subject.split('.').at(-1) as string
      if (headers['reckon-deleted'] === 'true') standing.delete(name)
      else standing.set(name, { collection: '/configmaps', id: `default/${name}`, version })
    }
    return { sequence, hash: hashes[sequence - 1] as Uint8Array, standing: [...standing.values()] }
  }
  return { log, ledger, entries, keyframe }
}

interface Started {
  readonly state: readonly string[]
  /** Sequences that were followed, and that were asked for one by one. */
  readonly followed: readonly number[]
  readonly asked: readonly number[]
  readonly unused: readonly string[]
  readonly view: View
}

const start = async (
  { log, ledger }: Pick<Written, 'log' | 'ledger'>,
  keyframe?: Resumable,
  tampered: (entry: LogEntry) => LogEntry | undefined = (entry) => entry
): Promise<Started> => {
  const [followed, asked, unused]: [number[], number[], string[]] = [[], [], []]
  const seen = Object.create(log, {
    follow: {
      value: (follow: Parameters<MemoryLog['follow']>[0]) =>
        log.follow({
          ...follow,
          onEntries: (entries) => {
            followed.push(...entries.map(({ sequence }) => sequence))
            follow.onEntries(entries.flatMap((entry) => tampered(entry) ?? []))
          }
        })
    },
    state: { value: () => log.state() },
    lastOn: { value: (subject: string, upTo?: number) => log.lastOn(subject, upTo) },
    get: {
      value: async (sequence: number) => {
        asked.push(sequence)
        const entry = await log.get(sequence)
        return entry && tampered(entry)
      }
    }
  }) as MemoryLog
  const view = new View('EVENTS', seen, systemClock, {
    api: builtIns,
    integrity: new Integrity({ seal, ledger, whole: true, expires: false, markEvery: MARK }),
    keyframe: (_, upTo) => Promise.resolve(keyframe !== undefined && keyframe.sequence <= upTo ? keyframe : undefined),
    onUnused: (error) => unused.push(String(error))
  })
  await view.start()
  const state = view.objects
    .collection(CONFIGMAPS)
    .list()
    .map(({ text, facts }) => `${facts.id} ${text}`)
  return { state, followed, asked, unused, view }
}
const damageOf = (starting: Promise<Started>): Promise<string> =>
  starting.then(
    () => 'none',
    (error: unknown) => (error instanceof LogDamaged ? error.damage.kind : String(error))
  )

const starts = suite('a view that begins at a keyframe')

starts('has the state it would have without, and reads what stood there and what came since', async () => {
  const made = await written()
  const whole = await start(made)
  assert.is(whole.state.length, 40)
  const last = made.entries.length
  for (const sequence of [120, 400, 401, last - 40, last - 3, last]) {
    const began = await start(made, made.keyframe(sequence))
    assert.equal([began.unused, began.state], [[], whole.state], `at ${sequence}`)
    assert.is(began.asked.length, made.keyframe(sequence).standing.length)
    // What was written last is read whole in any case, from the mark that is far enough before the end.
    const first = Math.min(sequence, last - (last % MARK) - MARK) + 1
    assert.equal(
      began.followed,
      Array.from({ length: last - first + 1 }, (_, at) => first + at),
      `at ${sequence}`
    )
    assert.is(began.view.objects.sequence, last)
    began.view.close()
  }
  assert.ok(whole.followed.length > 200, 'without it each name that ever was costs an entry')
})
starts('goes on with what is written then, also under a name it has not heard of', async () => {
  const made = await written()
  const { view } = await start(made, made.keyframe(500))
  const key = { ...CONFIGMAPS, namespace: 'default', name: 'gone-7' }
  assert.is(view.objects.head(key), 0)
  assert.is(await view.headOf(key), 24, 'the log has its last event')
  view.close()
})
starts('believes none whose hash the chain does not come to', async () => {
  const made = await written()
  const whole = await start(made)
  for (const sequence of [400, 404, made.entries.length - 2]) {
    const wrong = { ...made.keyframe(sequence), hash: new Uint8Array(32) }
    const began = await start(made, wrong)
    assert.is(began.unused.length, 1, `at ${sequence}`)
    assert.equal([began.state, began.followed.slice(-1)], [whole.state, [made.entries.length]])
    assert.is(began.view.failed, undefined)
    began.view.close()
  }
})
starts('goes on without it when an object does not stand where it says', async () => {
  const made = await written()
  const whole = await start(made)
  const keyframe = made.keyframe(500)
  const [first, ...rest] = keyframe.standing as [Standing, ...Standing[]]
  for (const version of [first.version + 1, 100_000]) {
    const began = await start(made, { ...keyframe, standing: [{ ...first, version }, ...rest] })
    assert.equal([began.unused.length, began.state], [1, whole.state])
    began.view.close()
  }
})
starts('passes over what others wrote in the place of an object, as without it', async () => {
  const made = await written()
  const keyframe = made.keyframe(500)
  const forged = keyframe.standing[5]?.version as number
  const tampered = (entry: LogEntry): LogEntry =>
    entry.sequence === forged ? { ...entry, ...strange.seal('EVENTS', { ...entry, text: entry.text }, undefined), text: '{}' } : entry
  const [with_, without] = [await start(made, keyframe, tampered), await start(made, undefined, tampered)]
  assert.equal([with_.unused.length, with_.state], [1, without.state])
})
starts('tells of damage behind it, and of what was written last', async () => {
  const made = await written()
  const last = made.entries.length
  for (const sequence of [420, 500, last - 5])
    for (const keyframe of [made.keyframe(400), made.keyframe(last - 2), undefined]) {
      if (sequence < last - 2 * MARK && keyframe?.sequence !== 400) continue
      const changed = await damageOf(start(made, keyframe, (entry) => (entry.sequence === sequence ? { ...entry, text: '{}' } : entry)))
      // What is far behind is not looked at by a start that reads the newest; the keyframe's chain goes by it.
      if (sequence >= last - 2 * MARK) assert.is(changed, 'altered', `${sequence} with ${keyframe?.sequence}`)
    }
  const shorter = new MemoryLedger('EVENTS', IDENTITY)
  for (const mark of made.ledger.marks()) shorter.mark(mark)
  shorter.remember({ sequence: last + 5, hash: new Uint8Array(32) })
  assert.is(await damageOf(start({ log: made.log, ledger: shorter }, made.keyframe(400))), 'shorter')
})
starts('is worth it where there are many names and few objects, and not too much came since', () => {
  const at = (subjects: number, standing: number, behind: number): boolean =>
    paysOff({ subjects, last: 1_000_000 } as Parameters<typeof paysOff>[0], {
      sequence: 1_000_000 - behind,
      standing: Array.from({ length: standing }) as Standing[]
    })
  assert.equal(
    [at(520_000, 20_000, 50_000), at(40_000, 20_000, 10), at(520_000, 200_000, 10), at(200_000, 20_000, 400_000)],
    [true, false, false, false]
  )
})
starts.run()
