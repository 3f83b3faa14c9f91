/** An API server's write path in memory: the decider on memory logs, with the system objects made. */
import type { Intent, IntentResult, UserInfo } from '#events/Intent.ts'
import { asOneOf, type KubeObject, type Of } from '#events/KubeObject.ts'
import { builtIns, kindNamed } from './builtIns.ts'
import type { OfKind } from './kinds.ts'
import type { StreamName } from '#events/Subject.ts'
import { LastOnly } from '#services/apiserver/time-travel/LastOnly.ts'
import { bootstrap } from '#services/apiserver/bootstrap.ts'
import type { Settings } from '#services/apiserver/decision.ts'
import { ApiDecider } from '#services/apiserver/Decider.ts'
import { Historian } from '#services/historian/Historian.ts'
import { systemClock, type Clock } from '#services/platform/Clock.ts'
import type { Integrity } from '#services/platform/ledger/Integrity.ts'
import { MemoryLog } from '#services/platform/MemoryLog.ts'
import { MemoryPast } from '#services/platform/past/MemoryPast.ts'
import type { PastIndex } from '#services/platform/past/PastIndex.ts'
import { View } from '#services/platform/View.ts'
import { Views } from '#services/platform/Views.ts'

export const ADMIN: UserInfo = { username: 'kubernetes-admin', groups: ['system:masters', 'system:authenticated'] }

export interface TestApi {
  readonly logs: { readonly EVENTS: MemoryLog; readonly NOTICES: MemoryLog; readonly PULSE: MemoryLog }
  readonly views: Views
  readonly histories: ReadonlyMap<StreamName, PastIndex>
  readonly decider: ApiDecider
  /** Submits as a user (the administrator by default). */
  submit(intent: Partial<Intent> & Pick<Intent, 'verb' | 'ref'>, user?: UserInfo): Promise<IntentResult>
  create(object: KubeObject, more?: Partial<Intent>, user?: UserInfo): Promise<IntentResult>
  get<Name extends string>(object: {
    readonly kind: Name
    readonly apiVersion: string
    readonly name: string
    readonly namespace?: string
  }): OfKind<Name> | undefined
}

export const kindFor = (apiVersion: string, kind: string): NonNullable<ReturnType<typeof kindNamed>> => {
  const [group, version] = apiVersion.includes('/') ? (apiVersion.split('/') as [string, string]) : ['', apiVersion]
  const found = kindNamed(group, version, kind)
  if (found === undefined) throw new Error(`no kind ${kind} in ${apiVersion}`)
  return found
}

/** `beside`: another API server of the same cluster, which writes the same logs. */
export const startTestApi = async (
  clock: Clock = systemClock,
  settings: Partial<Settings> = {},
  integrity?: Integrity,
  beside?: Pick<TestApi, 'logs'>
): Promise<TestApi> => {
  const logs = beside?.logs ?? {
    EVENTS: new MemoryLog('EVENTS', clock, integrity === undefined ? {} : { identity: integrity.ledger.identity }),
    NOTICES: new MemoryLog('NOTICES', clock),
    PULSE: new MemoryLog('PULSE', clock, { keepLastOnly: true })
  }
  // Looking for what expires takes a timer, which would keep a test on the machine's own clock from ending.
  const expires = clock !== systemClock
  const list = [
    new View('EVENTS', logs.EVENTS, clock, { api: builtIns, ...(integrity === undefined ? {} : { integrity }) }),
    new View('NOTICES', logs.NOTICES, clock, { api: builtIns, expires }),
    new View('PULSE', logs.PULSE, clock, { api: builtIns, expires })
  ]
  const histories = new Map<StreamName, PastIndex>()
  // Where it can't go on, reads of the past are answered 503, which is what a test sees.
  const quiet = (): void => {}
  for (const view of list) {
    await view.start()
    if (view.stream === 'PULSE') {
      histories.set(view.stream, new LastOnly(view))
      continue
    }
    const store = new MemoryPast(view.stream, clock)
    histories.set(view.stream, store)
    new Historian({ log: view.log, store, clock, expires: false, onDamaged: quiet, onError: quiet }).start()
  }
  const views = new Views(list, builtIns)
  const decider = new ApiDecider({ views, clock, settings: { serviceCIDR: '10.96.0.0/16', nodePorts: [30000, 32767], ...settings } })
  await bootstrap({
    views,
    decider,
    clock,
    apiAddress: '10.244.0.1',
    apiPort: 6443,
    serviceCIDR: '10.96.0.0/16',
    kubernetesIP: '10.96.0.1',
    dnsIP: '10.96.0.10',
    dnsAddress: '10.244.0.1',
    dnsPort: 10053
  })
  const submit: TestApi['submit'] = (intent, user = ADMIN) =>
    decider.submit({ id: clock.uuid(), version: 'v1', namespace: '', name: '', source: 'test', ...intent }, user)
  const create: TestApi['create'] = (object, more = {}, user = ADMIN) => {
    const kind = kindFor(object.apiVersion, object.kind)
    const namespace = kind.namespaced ? (object.metadata.namespace ?? 'default') : ''
    return submit(
      {
        verb: 'create',
        ref: { group: kind.group, resource: kind.resource },
        version: kind.version,
        namespace,
        name: object.metadata.name ?? '',
        object,
        ...more
      },
      user
    )
  }
  await create({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace: 'default' } })
  return {
    logs,
    views,
    histories,
    decider,
    submit,
    create,
    get: <Name extends string>({
      kind,
      apiVersion,
      name,
      namespace
    }: {
      kind: Name
      apiVersion: string
      name: string
      namespace?: string
    }) => {
      const { group, resource, namespaced } = kindFor(apiVersion, kind)
      return views.get<OfKind<Name>>({ group, resource, namespace: namespaced ? (namespace ?? 'default') : '', name })?.object
    }
  }
}

/** The object of a positive answer, as what it is known to be `of`; fails the test with the refusal's message otherwise. */
export const accepted = <Some extends KubeObject = KubeObject>(result: IntentResult, of: Of<Some> = {}): Some => {
  if (!result.ok) throw new Error(`refused: ${result.status.code} ${result.status.reason}: ${result.status.message}`)
  return asOneOf(of, result.object)
}

/** `409 Conflict: message` of a refusal; fails the test when there was none. */
export const refused = (result: IntentResult): string => {
  if (result.ok) throw new Error(`accepted, but should be refused: ${JSON.stringify(result.object)}`)
  return `${result.status.code} ${result.status.reason}: ${result.status.message}`
}
