/** The NATS door: whatever a component sends is looked at in every field before it is decided on, and answered at once. */
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { encodeEvent, UnencodableEvent, type NewEvent } from '#events/Event.ts'
import type { Intent, IntentResult } from '#events/Intent.ts'
import { Refusal } from '#events/Refusal.ts'
import { intentOf } from '#services/apiserver/door/check.ts'
import { answerIntents, userOf } from '#services/apiserver/door/door.ts'
import { startTestApi, type TestApi } from '#test/support/api.ts'

type Json = Record<string, unknown>

const GOOD = {
  id: 'an-intent',
  verb: 'create',
  ref: { group: '', resource: 'configmaps' },
  version: 'v1',
  namespace: 'default',
  name: 'made',
  object: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'made' } },
  options: { fieldManager: 'test', fieldValidation: 'Strict' },
  cause: { eventId: 'an-event', ref: 'EVENTS:7', correlationId: 'a-root' },
  reasons: { because: ['of', { this: 1 }] },
  source: 'kubelet/node-1',
  command: 'reckon apply'
} satisfies Json

const door = suite('the NATS door')
let api: TestApi
let errors: unknown[]

door.before.each(async () => {
  api = await startTestApi()
  errors = []
})

const send = async (text: string | Uint8Array, token = 'admin'): Promise<readonly IntentResult[]> =>
  JSON.parse(
    await answerIntents(token, undefined, typeof text === 'string' ? Buffer.from(text) : text, api.decider, (error) => errors.push(error))
  ) as IntentResult[]

const ask = async (intent: unknown, token?: string): Promise<string> => {
  const [result] = await send(JSON.stringify(intent), token)
  if (result === undefined) return 'nothing'
  return result.ok ? String(result.code) : `${result.status.code} ${result.status.message}`
}

door('takes an intent that says everything, and keeps what it says', async () => {
  assert.is(await ask(GOOD), '201')
  const entry = await api.logs.EVENTS.lastOn('ev.core.configmaps.default.made')
  assert.equal(
    ['ce-id', 'ce-source', 'ce-correlationid', 'ce-causationid', 'reckon-cause', 'reckon-command'].map((name) => entry?.headers[name]),
    ['an-intent', 'kubelet/node-1', 'a-root', 'an-event', 'EVENTS:7', 'reckon apply']
  )
})

const { id: _, ...NO_ID } = GOOD
const { object: __, ...NO_OBJECT } = GOOD
const HALF = 'a\ud800b'

/** What is wrong, and what the answer must say of it. */
const BAD: readonly (readonly [what: string, intent: unknown, message: RegExp])[] = [
  ['no object', 5, /not a JSON object/],
  ['a list in a list', [[]], /not a JSON object/],
  ['no id', NO_ID, /id must be a string/],
  ['an empty id', { ...GOOD, id: '' }, /id must be visible ASCII/],
  ['a long id', { ...GOOD, id: 'x'.repeat(129) }, /id may not be more than 128 characters/],
  ['an id of two lines', { ...GOOD, id: 'a\r\nce-authid: root' }, /id must be visible ASCII/],
  ['an id that is an object', { ...GOOD, id: { toString: 'x' } }, /id must be a string/],
  ['again that is no', { ...GOOD, again: false }, /again must be true, or absent/],
  ['an unknown verb', { ...GOOD, verb: 'get' }, /verb must be one of/],
  ['no ref', { ...GOOD, ref: undefined }, /ref must be a JSON object/],
  ['more in the ref', { ...GOOD, ref: { group: '', resource: 'pods', name: 'x' } }, /unknown field "ref\.name"/],
  ['a resource that is none', { ...GOOD, ref: { group: '', resource: 'ev.>' } }, /ref\.resource must be a resource/],
  ['a group that is none', { ...GOOD, ref: { group: 'a b', resource: 'pods' } }, /ref\.group must be an API group/],
  ['a version that is a number', { ...GOOD, version: 1 }, /version must be a string/],
  ['a namespace of two lines', { ...GOOD, namespace: 'a\nb' }, /namespace must be a name/],
  ['a name with half a character', { ...GOOD, name: HALF }, /does not match the name/],
  ['a name that is a path', { ...GOOD, name: '../x' }, /name must be a name/],
  ['a long name', { ...GOOD, name: 'x'.repeat(254) }, /name may not be more than 253 characters/],
  ['a name that is null', { ...GOOD, name: null }, /name must be a string/],
  ['a subresource that is a path', { ...GOOD, subresource: 'status/x' }, /subresource must be/],
  ['an object that is a list', { ...GOOD, object: [] }, /object must be a JSON object/],
  ['no object to create', NO_OBJECT, /object is missing: create needs one/],
  ['an object to delete', { ...GOOD, verb: 'delete' }, /object does not go with the verb delete/],
  ['a patch to create with', { ...GOOD, patch: { type: 'application/merge-patch+json', body: {} } }, /patch goes with the verb patch/],
  ['no patch', { ...NO_OBJECT, verb: 'patch' }, /patch is missing/],
  ['a patch of another type', { ...NO_OBJECT, verb: 'patch', patch: { type: 'text/plain', body: {} } }, /patch\.type must be one of/],
  ['a patch without a body', { ...NO_OBJECT, verb: 'patch', patch: { type: 'application/merge-patch+json' } }, /patch\.body is missing/],
  [
    'more in the patch',
    { ...NO_OBJECT, verb: 'patch', patch: { type: 'application/merge-patch+json', body: {}, x: 1 } },
    /unknown field "patch\.x"/
  ],
  ['delete options to create with', { ...GOOD, deleteOptions: {} }, /deleteOptions go with the verb delete/],
  ['unknown delete options', { ...NO_OBJECT, verb: 'delete', deleteOptions: { grace: 1 } }, /unknown field "grace"/],
  [
    'delete options of kind 5',
    { ...NO_OBJECT, verb: 'delete', deleteOptions: { kind: 5 } },
    /json: cannot unmarshal number into Go struct field \.kind of type string/
  ],
  ['a grace period that is text', { ...NO_OBJECT, verb: 'delete', deleteOptions: { gracePeriodSeconds: '1' } }, /cannot unmarshal string/],
  ['options that are a list', { ...GOOD, options: [] }, /options must be a JSON object/],
  ['unknown options', { ...GOOD, options: { forced: true } }, /unknown field "options\.forced"/],
  [
    'a manager that is an object',
    { ...GOOD, options: { fieldManager: {} } },
    /options\.fieldManager and options\.fieldValidation must be strings/
  ],
  ['a dry run that is text', { ...GOOD, options: { dryRun: 'All' } }, /options\.dryRun must be true or false/],
  ['a force that is a number', { ...GOOD, options: { force: 1 } }, /options\.force must be true or false/],
  ['a cause that is text', { ...GOOD, cause: 'x' }, /cause must be a JSON object/],
  [
    'a cause with a line break',
    { ...GOOD, cause: { ...GOOD.cause, eventId: 'a\r\nreckon-deleted: true' } },
    /cause\.eventId must be visible ASCII/
  ],
  ['a cause that is an object', { ...GOOD, cause: { ...GOOD.cause, eventId: {} } }, /cause\.eventId must be a string/],
  ['a cause of no place', { ...GOOD, cause: { ...GOOD.cause, ref: 'somewhere' } }, /cause\.ref must be a place/],
  [
    'a long correlation',
    { ...GOOD, cause: { ...GOOD.cause, correlationId: 'x'.repeat(129) } },
    /cause\.correlationId may not be more than/
  ],
  ['more in the cause', { ...GOOD, cause: { ...GOOD.cause, x: 1 } }, /unknown field "cause\.x"/],
  ['reasons that are text', { ...GOOD, reasons: 'x' }, /reasons must be a JSON object/],
  ['reasons without end', { ...GOOD, reasons: { x: 'y'.repeat(300_000) } }, /reasons may not be more than/],
  ['no source', { ...GOOD, source: '' }, /source must be one line/],
  ['a source of two lines', { ...GOOD, source: 'a\nb' }, /source must be one line/],
  ['a long source', { ...GOOD, source: 'x'.repeat(257) }, /source may not be more than/],
  ['a command that is a list', { ...GOOD, command: ['x'] }, /command must be a string/],
  ['a command of two lines', { ...GOOD, command: 'reckon\r\napply' }, /command must be one line/],
  ['a long command', { ...GOOD, command: 'x'.repeat(1025) }, /command may not be more than/],
  ['a term without a place', { ...GOOD, term: { lease: 'kube-scheduler' } }, /term\.sequence must be a resourceVersion, as a number/],
  ['a term of no Lease', { ...GOOD, term: { lease: '../x', sequence: 1 } }, /term\.lease must be the name of a Lease/],
  ['more in the term', { ...GOOD, term: { lease: 'kube-scheduler', sequence: 1, x: 1 } }, /unknown field "term\.x"/],
  ['an unknown field', { ...GOOD, user: 'root' }, /unknown field "user"/]
]
for (const [what, intent, message] of BAD)
  door(`refuses ${what} at once`, async () => {
    const before = await api.logs.EVENTS.lastSequence()
    const began = performance.now()
    const answer = await ask(intent)
    assert.ok(performance.now() - began < 2_000, 'the answer took long')
    assert.match(answer, /^4\d\d /)
    assert.match(answer, message)
    assert.is(await api.logs.EVENTS.lastSequence(), before)
    assert.equal(errors, [])
  })

door("refuses options in upstream's words", async () => {
  assert.match(
    await ask({ ...GOOD, options: { fieldManager: 'x'.repeat(129) } }),
    /^422 CreateOptions\.meta\.k8s\.io "" is invalid: fieldManager: Too long: may not be more than 128 bytes$/
  )
  assert.match(
    await ask({ ...GOOD, options: { fieldManager: 'a\nb' } }),
    /^422 .*fieldManager: Invalid value: "a\\nb": invalid character U\+000A \(at position 1\)$/
  )
  assert.match(await ask({ ...GOOD, options: { fieldValidation: 'strict' } }), /^422 .*fieldValidation: Unsupported value: "strict"/)
  assert.match(await ask({ ...GOOD, options: { dryRun: ['x'] } }), /^422 .*dryRun: Unsupported value: \["x"\]/)
})
door('bounds a message', async () => {
  const of = async (text: string | Uint8Array): Promise<string> => {
    const [result] = await send(text)
    return result?.ok === false ? `${result.status.code} ${result.status.message}` : 'ok'
  }
  assert.match(await of('{'), /^400 the intent is not valid JSON/)
  assert.match(await of(''), /^400 the intent is not valid JSON/)
  assert.match(await of(Uint8Array.of(0xff, 0xfe)), /^400 the intent is not valid JSON/)
  assert.match(await of(`${'['.repeat(5_000)}${']'.repeat(5_000)}`), /^400 .*exceeded max depth/)
  assert.match(await of(JSON.stringify(Array(1_001).fill(GOOD))), /^400 a message holds at most 1000 intents/)
  assert.equal(await send('[]'), [])
})
door('knows nobody by a broken subject', async () => {
  for (const token of ['nobody', 'node-%zz', '']) assert.match(await ask(GOOD, token), /^401 Unauthorized/)
})
door('answers a mistake of our own at once, and reports it', async () => {
  const mistakes = [new TypeError('a mistake'), new UnencodableEvent('a header of two lines')]
  for (const mistake of mistakes) {
    api = { ...api, decider: { submit: () => Promise.reject(mistake) } as unknown as TestApi['decider'] }
    assert.match(await ask(GOOD), /^500 Internal error occurred/)
  }
  assert.equal(errors, mistakes)
})
door('tells at once of an event that can not be written, instead of asking the log what became of it', async () => {
  const began = performance.now()
  const { verb, ref, version, namespace, name, object, source } = GOOD
  const intent = { id: 'a\r\nb', verb, ref, version, namespace, name, object, source } as unknown as Intent
  await api.decider.submit(intent, userOf('admin')).then(
    () => assert.unreachable('it was written'),
    (error: unknown) => assert.instance(error, UnencodableEvent)
  )
  assert.ok(performance.now() - began < 2_000)
})
door('is silent about what it can not know, so that the client asks again', async () => {
  api = { ...api, decider: { submit: () => Promise.reject(new Error('no acknowledgement')) } as unknown as TestApi['decider'] }
  await ask(GOOD).then(
    () => assert.unreachable('it answered'),
    (error: Error) => assert.is(error.message, 'no acknowledgement')
  )
})

/** Anything JSON can say where something is expected; what breaks programs most often first. */
const nasty: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    -1,
    0,
    1e308,
    -0.5,
    '',
    'x',
    'a\r\nb',
    '\u0000',
    '\ud800',
    '\u2028',
    '__proto__',
    '../..',
    'x'.repeat(2_000),
    [],
    {},
    [null],
    { __proto__: null },
    JSON.parse('{"__proto__":{"x":1},"constructor":{"prototype":1}}')
  ),
  fc.jsonValue({ maxDepth: 3 })
)
const field = fc.constantFrom(...Object.keys(GOOD), 'again', 'subresource', 'patch', 'deleteOptions', 'more', '__proto__')
const inner = fc.constantFrom(
  'group',
  'resource',
  'type',
  'body',
  'fieldManager',
  'fieldValidation',
  'force',
  'dryRun',
  'eventId',
  'ref',
  'correlationId',
  'metadata',
  'name',
  'kind',
  'apiVersion'
)
const mutation = fc.record({ field, inner: fc.option(inner), value: nasty })
const verbs = fc.constantFrom(
  {},
  { verb: 'update' },
  { verb: 'delete', object: undefined, deleteOptions: { preconditions: { uid: 'x' } } },
  { verb: 'patch', object: undefined, patch: { type: 'application/merge-patch+json', body: { data: { a: 'b' } } } },
  { verb: 'patch', object: undefined, patch: { type: 'application/json-patch+json', body: [{ op: 'test', path: '/x', value: 1 }] } },
  {
    verb: 'patch',
    object: undefined,
    patch: { type: 'application/apply-patch+yaml', body: GOOD.object },
    options: { fieldManager: 'x', force: true }
  },
  { ref: { group: '', resource: 'pods' }, subresource: 'eviction', object: { metadata: { name: 'made' } } },
  { ref: { group: '', resource: 'pods' }, subresource: 'binding', object: { metadata: { name: 'made' }, target: { name: 'n' } } }
)

door('answers anything within its time: never a fault of its own, never a changed header', async () => {
  let number = 0
  await fc.assert(
    fc.asyncProperty(verbs, fc.array(mutation, { maxLength: 3 }), async (verb, mutations) => {
      const intent: Json = { ...structuredClone(GOOD), ...verb, id: `fuzz-${number++}` }
      for (const { field: name, inner: part, value: shared } of mutations) {
        const value: unknown = structuredClone(shared)
        const target = Object.hasOwn(intent, name) ? intent[name] : undefined
        if (part !== null && typeof target === 'object' && target !== null)
          Object.defineProperty(target, part, { value, enumerable: true, configurable: true, writable: true })
        else Object.defineProperty(intent, name, { value, enumerable: true, configurable: true, writable: true })
      }
      const began = performance.now()
      const results = await send(JSON.stringify(intent))
      assert.ok(performance.now() - began < 5_000, 'the answer took long')
      for (const result of results)
        assert.ok(result.ok || ((result.status.code ?? 0) >= 400 && (result.status.code ?? 0) < 500), JSON.stringify(result))
      assert.equal(errors, [])
    }),
    { numRuns: 1_500 }
  )
  for (let sequence = 1; sequence <= (await api.logs.EVENTS.lastSequence()); sequence++)
    for (const [name, value] of Object.entries((await api.logs.EVENTS.get(sequence))?.headers ?? {}))
      assert.match(value, /^[\x20-\x7e]*$/, `${name} of event ${sequence}`)
  assert.is(({} as Json)['x'], undefined)
})
door('makes every intent anew: what it lets through is what it looked at', () => {
  fc.assert(
    fc.property(fc.array(mutation, { maxLength: 2 }), (mutations) => {
      const intent: Json = structuredClone(GOOD)
      for (const { field: name, value } of mutations)
        Object.defineProperty(intent, name, { value, enumerable: true, configurable: true, writable: true })
      let checked
      try {
        checked = intentOf(JSON.parse(JSON.stringify(intent)))
      } catch (error) {
        assert.instance(error, Refusal)
        return
      }
      assert.ok(Object.keys(checked).every((name) => name in GOOD || ['again', 'subresource', 'patch', 'deleteOptions'].includes(name)))
      assert.is(JSON.stringify(intentOf(JSON.parse(JSON.stringify(checked)))), JSON.stringify(checked))
    }),
    { numRuns: 1_000 }
  )
})

const events = suite('events')
const event = (more: Partial<NewEvent> = {}): NewEvent => ({
  stream: 'EVENTS',
  key: { group: '', resource: 'configmaps', namespace: 'default', name: 'a' },
  id: 'i',
  type: 't',
  source: 's',
  time: '2030-01-01T00:00:00.000Z',
  user: 'u',
  correlationId: 'c',
  verb: 'create',
  deleted: false,
  object: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' } },
  expected: 0,
  ...more
})

events('with a header no log takes are found before they are sent', () => {
  for (const more of [{ id: 'a\r\nb' }, { correlationId: 'ü' }, { causationId: '\u0000' }, { causationRef: 'a\nb' }])
    assert.throws(
      () => encodeEvent(event(more)),
      (error: unknown) => error instanceof UnencodableEvent
    )
  assert.is(encodeEvent(event({ source: 'ü\n\ud800' })).headers['ce-source'], '%C3%BC%0A%EF%BF%BD')
})
events('leave out reasons that are too long, and keep the write', () => {
  assert.match(encodeEvent(event({ reasons: { text: 'x'.repeat(30_000) } })).headers['reckon-reasons'] as string, /omitted.*bytes/)
  assert.match(encodeEvent(event({ reasons: { text: 'x'.repeat(3_000) } })).headers['reckon-reasons'] as string, /xxx/)
})
events('larger than the log takes are refused with 413', async () => {
  const large = (bytes: number): NewEvent =>
    event({ object: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', annotations: { a: 'ü'.repeat(bytes / 2) } } } })
  assert.is(encodeEvent(large(2 * 1024 * 1024 - 200)).text.length > 0, true)
  assert.throws(
    () => encodeEvent(large(2 * 1024 * 1024)),
    (error: unknown) => error instanceof Refusal && error.status.code === 413
  )
  const made = await startTestApi()
  const containers = Array.from({ length: 24 }, (_, at) => ({
    name: `c${at}`,
    image: 'a',
    env: [{ name: 'A', value: 'x'.repeat(100_000) }]
  }))
  const result = await made.create({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'large' }, spec: { containers } })
  assert.is(result.ok ? 0 : result.status.code, 413)
})

door('nobody but who leads by a Lease names a term of it', async () => {
  const term = { lease: 'kube-scheduler', sequence: 2 ** 50 }
  // A node that names a term which has yet to come would hold the turn at any object, for everybody.
  for (const token of ['admin', 'node-n1', 'controller-manager'])
    assert.match(await ask({ ...GOOD, id: `by-${token}`, term }, token), /^403 .*does not lead by the Lease kube-scheduler/)
  const sequence = await api.logs.EVENTS.lastSequence()
  assert.match(await ask({ ...GOOD, term: { lease: 'kube-scheduler', sequence } }, 'scheduler'), /^409 .*the term of kube-scheduler/)
})
door.run()
events.run()
