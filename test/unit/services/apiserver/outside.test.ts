/** What decisions ask outside: given webhooks, when objects are written, then they are asked, believed, and remembered with the event. */
import { at, textAt } from '#test/support/kinds.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeFacts } from '#events/Event.ts'
import type { Intent } from '#events/Intent.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import type { LogEntry } from '#events/Log.ts'
import { ADMISSION } from '#services/apiserver/admission/admission.ts'
import { answersIn } from '#services/apiserver/admission/recorded.ts'
import { decide } from '#services/apiserver/decide.ts'
import type { AdmissionPlugin, Decided } from '#services/apiserver/decision.ts'
import { ApiDecider } from '#services/apiserver/Decider.ts'
import { outside, type Outside } from '#services/apiserver/Outside.ts'
import { systemClock, type Clock } from '#services/platform/Clock.ts'
import { sha256 } from '#services/platform/ledger/Seal.ts'
import { accepted, ADMIN, refused, startTestApi, type TestApi } from '#test/support/api.ts'
import { mutating, serving, validating, type Review } from '#test/support/webhooks.ts'
import { VirtualClock } from '#test/simulation/VirtualClock.ts'

const SETTINGS = { serviceCIDR: '10.96.0.0/16', nodePorts: [30000, 32767] } as const
const CONFIGMAPS = { group: '', resource: 'configmaps' }
const configMap = (name: string, data: Record<string, string> = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  data
})
const label = (name: string, value = 'yes') => ({ op: 'add', path: '/metadata/labels', value: { [name]: value } })
const labelled = (object: KubeObject, name: string) => ({
  allowed: true,
  patch: [{ op: 'add', path: '/metadata/labels', value: { ...object.metadata.labels, [name]: 'yes' } }]
})

const given = async (plugins: readonly AdmissionPlugin[], answers: Outside, clock: Clock = systemClock) => {
  const api = await startTestApi(clock)
  const decider = new ApiDecider({
    views: api.views,
    clock,
    settings: SETTINGS,
    plugins: [...ADMISSION, ...plugins],
    outside: outside({ webhook: answers })
  })
  let n = 0
  const submit = (intent: Partial<Intent> & Pick<Intent, 'verb'>) =>
    decider.submit(
      { id: `i${++n}`, ref: CONFIGMAPS, version: 'v1', namespace: 'default', name: '', source: 'test', ...intent } as Intent,
      ADMIN
    )
  const create = (object: KubeObject, more: Partial<Intent> = {}) =>
    submit({ verb: 'create', name: object.metadata.name ?? '', object, ...more })
  const patch = (name: string, body: unknown) => submit({ verb: 'patch', name, patch: { type: 'application/merge-patch+json', body } })
  return { api, submit, create, patch }
}
const entryOf = async (api: TestApi, name: string): Promise<LogEntry> =>
  (await api.logs.EVENTS.lastOn(`ev.core.configmaps.default.${name}`)) as LogEntry

const mutate = suite('what somebody outside changes')
mutate('is stored, warned of, and recorded with the event', async () => {
  const answers = serving({ labels: () => ({ allowed: true, patch: [label('made')], warnings: ['labels are ours'] }) })
  const { api, create } = await given([mutating('labels')], answers)
  const result = await create(configMap('a'))
  assert.equal(accepted(result).metadata.labels, { made: 'yes' })
  assert.equal(result.ok && result.warnings, ['labels are ours'])
  const { reasons } = decodeFacts('EVENTS', await entryOf(api, 'a'))
  assert.equal(
    (reasons?.['answers'] as { name: string }[]).map(({ name }) => name),
    ['labels']
  )
  assert.equal(answers.asked, ['labels'])
})
mutate('is looked at once more by everybody, and asked for again only by who wants it and sees a change', async () => {
  const servers = {
    // Adds what it is there for only when it sees the other one's label.
    first: ({ object }: Review) => (object.metadata.labels?.['second'] === undefined ? { allowed: true } : labelled(object, 'first')),
    second: ({ object }: Review) => labelled(object, 'second'),
    last: () => ({ allowed: true })
  }
  const answers = serving(servers)
  const { create } = await given(
    [mutating('first', { reinvocationPolicy: 'IfNeeded' }), mutating('second'), mutating('last', { reinvocationPolicy: 'IfNeeded' })],
    answers
  )
  assert.equal(accepted(await create(configMap('a'))).metadata.labels, { first: 'yes', second: 'yes' })
  assert.equal(answers.asked, ['first', 'second', 'last', 'first', 'last'])
})
mutate("gets its defaults, and can not take what is the server's", async () => {
  const { create, api } = await given(
    [mutating('pods', { resource: 'pods' })],
    serving({
      pods: ({ object }) => ({
        allowed: true,
        patch: [
          { op: 'add', path: '/spec/containers/-', value: { name: 'side', image: 'side:1' } },
          { op: 'replace', path: '/metadata/uid', value: 'mine' },
          { op: 'add', path: '/status', value: { phase: 'Running' } }
        ],
        object
      })
    })
  )
  const pod = accepted(
    await create(
      { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' }, spec: { containers: [{ name: 'web', image: 'web:1' }] } },
      { ref: { group: '', resource: 'pods' } }
    )
  )
  assert.is(at(pod, 'spec.containers.1.imagePullPolicy'), 'IfNotPresent')
  // The sidecar has the token as well: the service account's plugin saw it the second time.
  assert.is(at(pod, 'spec.containers.1.volumeMounts.0.mountPath'), '/var/run/secrets/kubernetes.io/serviceaccount')
  assert.is(at(pod, 'status.phase'), 'Pending')
  assert.is.not(pod.metadata.uid, 'mine')
  assert.ok(api.get({ apiVersion: 'v1', kind: 'Pod', name: 'p' }))
})
mutate('is decided in a dry run as well, and stored by none', async () => {
  const { api, create } = await given([mutating('labels')], serving({ labels: () => ({ allowed: true, patch: [label('made')] }) }))
  assert.equal(accepted(await create(configMap('dry'), { options: { dryRun: true } })).metadata.labels, { made: 'yes' })
  assert.is(api.get({ apiVersion: 'v1', kind: 'ConfigMap', name: 'dry' }), undefined)
})
mutate.run()

const judge = suite('what somebody outside refuses')
judge('is not stored, in the words of who refused', async () => {
  const { api, create } = await given([mutating('never')], serving({ never: () => ({ allowed: false, message: 'not on my watch' }) }))
  assert.is(
    refused(await create(configMap('a'))),
    '403 Forbidden: configmaps "a" is forbidden: admission webhook "never" denied the request: not on my watch'
  )
  assert.is(api.get({ apiVersion: 'v1', kind: 'ConfigMap', name: 'a' }), undefined)
})
judge('those who only judge are asked at once, on the object as it is to be stored', async () => {
  let inside = 0
  let most = 0
  const look = async ({ object }: Review) => {
    most = Math.max(most, ++inside)
    await new Promise((resolve) => setImmediate(resolve))
    inside -= 1
    return { allowed: object.metadata.labels?.['made'] === 'yes', warnings: [`seen ${object.metadata.name}`] }
  }
  const { create } = await given(
    [mutating('labels'), validating('one'), validating('two')],
    serving({ labels: () => ({ allowed: true, patch: [label('made')] }), one: look, two: look })
  )
  const result = await create(configMap('a'))
  assert.is(accepted(result).metadata.name, 'a')
  assert.equal(result.ok && result.warnings, ['seen a', 'seen a'])
  assert.is(most, 2)
})
judge.run()

const fail = suite('no answer')
fail('refuses the write or lets it pass, as its policy says', async () => {
  const strict = await given([mutating('gone')], serving({}))
  assert.is(
    refused(await strict.create(configMap('a'))),
    '500 InternalError: Internal error occurred: failed calling webhook "gone": connection refused'
  )
  const lax = await given([mutating('gone', { failurePolicy: 'Ignore' }), validating('gone too', { failurePolicy: 'Ignore' })], serving({}))
  accepted(await lax.create(configMap('a')))
})
fail('within its time is one', async () => {
  const clock = new VirtualClock(1)
  let aborted = false
  const silent: Outside = { ask: (_, signal) => new Promise(() => signal.addEventListener('abort', () => (aborted = true))) }
  const starting = given([mutating('slow', { timeoutMs: 2_000 })], silent, clock)
  await clock.run(1_000)
  const { create } = await starting
  const created = create(configMap('a'))
  await clock.run(3_000)
  assert.is(refused(await created), '500 InternalError: Internal error occurred: failed calling webhook "slow": no answer within 2 s')
  assert.ok(aborted)
})
fail('is what there is where nobody answers such questions', async () => {
  const other: AdmissionPlugin = {
    name: 'other',
    handles: () => true,
    admit: (_, { ask }) =>
      void assert.equal(ask({ kind: 'oracle', name: 'delphi', request: 1 }), {
        ok: false,
        error: 'nobody here answers what is asked of a oracle'
      })
  }
  const { create } = await given([other], serving({}))
  accepted(await create(configMap('a')))
})
fail('that ends the questions: they are bounded', async () => {
  let n = 0
  const curious: AdmissionPlugin = {
    name: 'curious',
    handles: () => true,
    admit: (_, { ask }) => void ask({ kind: 'webhook', name: 'why', request: n++ })
  }
  const answers = serving({ why: () => ({ allowed: true }) })
  const { create } = await given([curious], answers)
  assert.match(refused(await create(configMap('a'))), /^504 Timeout: what this request needs from outside changes with every answer/)
  assert.is(answers.asked.length, 100)
})
fail.run()

const meanwhile = suite('while somebody is asked')
meanwhile('others write the object, and about what it became is asked again', async () => {
  let answer: (() => void) | undefined
  const asked: (string | undefined)[] = []
  const { api, create, patch } = await given(
    [mutating('slow')],
    serving({
      slow: async ({ object }) => {
        asked.push(textAt(object, 'data.a'))
        if (at(object, 'data.b') === 'slow' && answer === undefined) await new Promise<void>((resolve) => (answer = resolve))
        return { allowed: true }
      }
    })
  )
  accepted(await create(configMap('x', { a: '1' })))
  const slow = patch('x', { data: { b: 'slow' } })
  while (answer === undefined) await new Promise((resolve) => setImmediate(resolve))
  accepted(await patch('x', { data: { a: '2' } }))
  answer()
  assert.equal(accepted(await slow)['data'], { a: '2', b: 'slow' })
  assert.equal(asked, ['1', '1', '2', '2'])
  assert.equal(api.get({ apiVersion: 'v1', kind: 'ConfigMap', name: 'x' })?.['data'], { a: '2', b: 'slow' })
})
meanwhile.run()

const replay = suite('a replay')
replay('decides from the log alone what was decided with the answers', async () => {
  const answers = serving({
    labels: ({ object }) => labelled(object, 'made'),
    look: () => ({ allowed: true }),
    gone: () => Promise.reject(new Error('down'))
  })
  const plugins = [
    ...ADMISSION,
    mutating('labels', { reinvocationPolicy: 'IfNeeded' }),
    mutating('gone', { failurePolicy: 'Ignore' }),
    validating('look')
  ]
  const { api, submit } = await given(plugins.slice(ADMISSION.length), answers)
  const intent: Intent = {
    id: 'once',
    verb: 'create',
    ref: CONFIGMAPS,
    version: 'v1',
    namespace: 'default',
    name: 'a',
    source: 'test',
    object: configMap('a')
  }
  accepted(await submit(structuredClone(intent)))
  const entry = await entryOf(api, 'a')
  const facts = decodeFacts('EVENTS', entry)
  const stored = JSON.parse(entry.text) as KubeObject
  const count = answers.asked.length
  const before = {
    get: (key: { name: string; resource: string }) =>
      key.resource === 'configmaps' && key.name === 'a' ? undefined : api.views.get(key as never),
    collection: api.views.collection.bind(api.views)
  }
  const context = {
    api: api.views.api,
    view: before as never,
    head: () => facts.expected,
    user: ADMIN,
    now: Date.parse(facts.time),
    random: () => 0.5,
    uuid: () => stored.metadata.uid as string,
    busy: () => false,
    settings: SETTINGS,
    plugins,
    digest: (text: string) => Buffer.from(sha256(Buffer.from(text))).toString('base64url')
  }
  const again = decide(structuredClone(intent), { ...context, answers: answersIn(facts.reasons) }) as Decided
  assert.equal(again.events.length, 1)
  assert.equal(again.events[0]?.object, stored)
  assert.equal(again.events[0]?.reasons, facts.reasons)
  assert.is(answers.asked.length, count)
  // Without them it says what it would have to ask.
  assert.ok('needs' in decide(structuredClone(intent), context))
})
replay('does not find in the reasons what was said about something confidential', async () => {
  const { api, create } = await given(
    [mutating('labels', { resource: 'secrets' })],
    serving({ labels: ({ object }) => ({ ...labelled(object, 'made'), message: 'the password is hunter2' }) })
  )
  accepted(
    await create(
      { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, stringData: { p: 'hunter2' } },
      { ref: { group: '', resource: 'secrets' } }
    )
  )
  const entry = (await api.logs.EVENTS.lastOn('ev.core.secrets.default.s')) as LogEntry
  assert.not.ok(JSON.stringify(entry.headers).includes('hunter2'))
  const { reasons } = decodeFacts('EVENTS', entry)
  assert.is((reasons?.['answers'] as { withheld: boolean }[])[0]?.withheld, true)
  assert.is(answersIn(reasons).size, 0)
})
replay.run()
