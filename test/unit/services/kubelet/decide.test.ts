/** Given what is wanted and what runs: what the kubelet does, and what it says of the pod. */
import type { Container, Pod, PodSpec } from '#events/schema/generated/core.v1.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { decide, type Action } from '#services/kubelet/decide.ts'
import { specHash, type Busy, type Fault, type PodView, type ProbeState } from '#services/kubelet/PodView.ts'
import type { Observed } from '#services/platform/Runtime.ts'

const NOW = Date.parse('2026-01-01T00:10:00Z')
const main: Container = { name: 'main', image: 'web:1' }

interface Given {
  spec?: Partial<PodSpec>
  meta?: object
  observed?: Observed[]
  faults?: Record<string, Fault>
  busy?: Record<string, Busy>
  probes?: Record<string, ProbeState>
  ip?: string
  wanted?: boolean
  lost?: boolean
  tornDown?: boolean
  previous?: PodView['previous']
}

const view = ({
  spec,
  meta,
  observed = [],
  faults = {},
  busy = {},
  probes = {},
  ip = '10.0.0.2',
  wanted = true,
  lost = false,
  tornDown = false,
  previous
}: Given): PodView => ({
  pod: { metadata: { name: 'web', namespace: 'default', uid: 'u', ...meta }, spec: { containers: [main], ...spec } } as Pod,
  wanted,
  lost,
  observed,
  probes: new Map(Object.entries(probes)),
  faults: new Map(Object.entries(faults)),
  busy: new Map(Object.entries(busy)),
  messages: new Map(),
  ip: ip === '' ? undefined : ip,
  hostIP: '192.0.2.1',
  tornDown,
  firstSeen: NOW - 60_000,
  previous,
  now: NOW
})

const seen = (
  container: string,
  extra: Partial<Observed> & { attempt?: number; sandboxNumber?: number; backOff?: number; hash?: string } = {}
): Observed => {
  const {
    attempt = 0,
    sandboxNumber = 0,
    backOff = 0,
    hash = container === '' ? '' : specHash({ ...main, name: container }),
    ...rest
  } = extra
  return {
    id: `${container === '' ? 'sandbox' : container}-${container === '' ? sandboxNumber : attempt}`,
    identity: {
      podUid: 'u',
      namespace: 'default',
      pod: 'web',
      container,
      sandbox: sandboxNumber,
      attempt,
      backOff,
      specHash: hash,
      podStart: NOW - 60_000
    },
    state: 'running',
    pid: 1,
    createdAt: NOW - 50_000,
    startedAt: NOW - 50_000,
    image: 'web:1',
    imageId: 'sha256:x',
    ...rest
  }
}
const ended = (container: string, exitCode: number, extra: Parameters<typeof seen>[1] = {}): Observed =>
  seen(container, { state: 'exited', exitCode, finishedAt: NOW - 1_000, ...extra })

const say = (action: Action): string => {
  switch (action.type) {
    case 'start-sandbox':
      return `start-sandbox ${action.sandbox}`
    case 'start-container':
      return `start ${action.name} ${action.attempt} level ${action.backOff}`
    case 'stop-container':
      return `stop ${action.container.id} ${action.graceSeconds}s: ${action.message}`
    case 'remove':
      return `remove ${action.containers.map(({ id }) => id).join(' ')}`
    default:
      return action.type
  }
}
const actions = (given: Given): string[] => decide(view(given)).actions.map(say)
const init = (name: string, extra: object = {}): Container => ({ name, image: 'web:1', ...extra })

const does = suite('kubelet: what it does')
const table: readonly [string, Given, readonly string[]][] = [
  ['a new pod gets a sandbox', { ip: '' }, ['start-sandbox 0']],
  ['a sandbox under way is not started again', { ip: '', busy: { '': { what: 'start' } } }, []],
  ['a sandbox that failed waits', { ip: '', faults: { '': { reason: 'X', message: 'x', retryAt: NOW + 5 } } }, []],
  ['a sandbox without an address gets one', { ip: '', observed: [seen('')] }, ['setup-network']],
  ['containers start in a sandbox', { observed: [seen('')] }, ['start main 0 level 0']],
  ['a running pod is left alone', { observed: [seen(''), seen('main')] }, []],
  [
    'a container made but never started is started as the same attempt',
    { observed: [seen(''), seen('main', { state: 'created', attempt: 2, backOff: 1 })] },
    ['start main 2 level 1']
  ],
  ['the first crash restarts at once', { observed: [seen(''), ended('main', 1)] }, ['start main 1 level 1']],
  ['the second waits ten seconds', { observed: [seen(''), ended('main', 1, { attempt: 1, backOff: 1 })] }, []],
  [
    'and then restarts',
    { observed: [seen(''), ended('main', 1, { attempt: 1, backOff: 1, finishedAt: NOW - 10_000 })] },
    ['start main 2 level 2']
  ],
  [
    'the wait is at most five minutes',
    { observed: [seen(''), ended('main', 1, { attempt: 20, backOff: 20, finishedAt: NOW - 300_000, startedAt: NOW - 301_000 })] },
    ['start main 21 level 21']
  ],
  [
    'ten good minutes are forgiven',
    { observed: [seen(''), ended('main', 1, { attempt: 9, backOff: 9, startedAt: NOW - 700_000 })] },
    ['start main 10 level 1']
  ],
  [
    'OnFailure restarts a failure',
    { spec: { restartPolicy: 'OnFailure' }, observed: [seen(''), ended('main', 1)] },
    ['start main 1 level 1']
  ],
  [
    'OnFailure leaves a success, and the sandbox goes',
    { spec: { restartPolicy: 'OnFailure' }, observed: [seen(''), ended('main', 0)] },
    ['stop-sandbox']
  ],
  ['Never leaves a failure', { spec: { restartPolicy: 'Never' }, observed: [seen(''), ended('main', 1)] }, ['stop-sandbox']],
  [
    'one of two may still run',
    { spec: { restartPolicy: 'Never', containers: [main, init('side')] }, observed: [seen(''), ended('main', 1), seen('side')] },
    []
  ],
  [
    'a changed image stops the container',
    { observed: [seen(''), seen('main', { hash: 'old' })] },
    ['stop main-0 30s: Container main definition changed, will be restarted']
  ],
  [
    'and starts the new one without back-off',
    { spec: { restartPolicy: 'OnFailure' }, observed: [seen(''), ended('main', 0, { hash: 'old', attempt: 3, backOff: 3 })] },
    ['start main 4 level 0']
  ],
  [
    'a pod that never restarts keeps its image',
    { spec: { restartPolicy: 'Never' }, observed: [seen(''), seen('main', { hash: 'old' })] },
    []
  ],
  [
    'a failed liveness probe stops the container',
    { observed: [seen(''), seen('main')], probes: { 'main-0': { started: true, ready: true, failed: 'liveness' } } },
    ['stop main-0 30s: Container main failed liveness probe, will be restarted']
  ],
  [
    'a dead sandbox: its containers go first',
    { observed: [seen('', { state: 'exited' }), seen('main')] },
    ['stop main-0 0s: Stopping container main']
  ],
  ['then there is a new one', { observed: [seen('', { state: 'exited' }), ended('main', 137)] }, ['start-sandbox 1']],
  [
    'and its containers start anew, the old sandbox removed',
    { observed: [seen('', { sandboxNumber: 1 }), seen('', { state: 'exited' }), ended('main', 137)] },
    ['remove sandbox-0', 'start main 1 level 0']
  ],
  [
    'only two generations of a container are kept',
    { observed: [seen(''), seen('main', { attempt: 2 }), ended('main', 1, { attempt: 1 }), ended('main', 1)] },
    ['remove main-0']
  ],
  ['init containers go first', { spec: { initContainers: [init('a'), init('b')] }, observed: [seen('')] }, ['start a 0 level 0']],
  ['one after the other', { spec: { initContainers: [init('a'), init('b')] }, observed: [seen(''), ended('a', 0)] }, ['start b 0 level 0']],
  ['the next waits for a running one', { spec: { initContainers: [init('a'), init('b')] }, observed: [seen(''), seen('a')] }, []],
  ['then the app', { spec: { initContainers: [init('a')] }, observed: [seen(''), ended('a', 0)] }, ['start main 0 level 0']],
  ['a failed one runs again', { spec: { initContainers: [init('a')] }, observed: [seen(''), ended('a', 1)] }, ['start a 1 level 1']],
  [
    'unless the pod never restarts: then it has failed',
    { spec: { restartPolicy: 'Never', initContainers: [init('a')] }, observed: [seen(''), ended('a', 1)] },
    ['stop-sandbox']
  ],
  [
    'a sidecar stays up beside the app',
    { spec: { initContainers: [init('a', { restartPolicy: 'Always' })] }, observed: [seen(''), seen('a')] },
    ['start main 0 level 0']
  ],
  [
    'a sidecar that ends is started again',
    { spec: { initContainers: [init('a', { restartPolicy: 'Always' })] }, observed: [seen(''), ended('a', 0), seen('main')] },
    ['start a 1 level 1']
  ],
  [
    'deletion stops containers within the grace',
    { meta: { deletionTimestamp: '2026-01-01T00:10:20Z', deletionGracePeriodSeconds: 20 }, observed: [seen(''), seen('main')] },
    ['stop main-0 20s: Stopping container main']
  ],
  [
    'an agent that comes late gives what is left',
    { meta: { deletionTimestamp: '2026-01-01T00:10:05Z', deletionGracePeriodSeconds: 20 }, observed: [seen(''), seen('main')] },
    ['stop main-0 6s: Stopping container main']
  ],
  [
    'a stop under way is not repeated',
    {
      meta: { deletionTimestamp: '2026-01-01T00:10:20Z', deletionGracePeriodSeconds: 20 },
      observed: [seen(''), seen('main')],
      busy: { main: { what: 'stop', deadline: NOW + 20_000 } }
    },
    []
  ],
  [
    'but hurried',
    {
      meta: { deletionTimestamp: '2026-01-01T00:10:01Z', deletionGracePeriodSeconds: 1 },
      observed: [seen(''), seen('main')],
      busy: { main: { what: 'stop', deadline: NOW + 20_000 } }
    },
    ['stop main-0 1s: Stopping container main']
  ],
  [
    'sidecars stop after the app',
    {
      meta: { deletionTimestamp: '2026-01-01T00:10:20Z', deletionGracePeriodSeconds: 20 },
      spec: { initContainers: [init('a', { restartPolicy: 'Always' })] },
      observed: [seen(''), seen('a'), seen('main')]
    },
    ['stop main-0 20s: Stopping container main']
  ],
  [
    'when all have ended the rest goes',
    { meta: { deletionTimestamp: '2026-01-01T00:10:20Z' }, observed: [seen(''), ended('main', 0)] },
    ['teardown']
  ],
  [
    'a pod that is lost has its time to end',
    { wanted: false, lost: true, spec: { terminationGracePeriodSeconds: 45 }, observed: [seen(''), seen('main')] },
    ['stop main-0 45s: Stopping container main']
  ],
  ['a pod nobody wants is stopped', { wanted: false, observed: [seen(''), seen('main')] }, ['stop main-0 2s: Stopping container main']],
  [
    'a pod past its deadline is stopped',
    { spec: { activeDeadlineSeconds: 30 }, observed: [seen(''), seen('main')] },
    ['stop main-0 30s: Stopping container main']
  ]
]
for (const [title, given, expected] of table) does(title, () => assert.equal(actions(given), expected))
does('looks again when a back-off is over', () =>
  assert.is(decide(view({ observed: [seen(''), ended('main', 1, { attempt: 1, backOff: 1 })] })).wakeAt, NOW + 9_000)
)
does('is finished when everything is gone', () =>
  assert.is(decide(view({ meta: { deletionTimestamp: '2026-01-01T00:10:20Z' }, tornDown: true })).finished, true)
)
does.run()

const says = suite('kubelet: what it says')
const status = (given: Given) => decide(view(given)).status
says('a pod being created', () => {
  const { phase, containerStatuses, conditions, qosClass } = status({ ip: '' })
  assert.is(phase, 'Pending')
  assert.is(qosClass, 'BestEffort')
  assert.equal(containerStatuses?.[0]?.state, { waiting: { reason: 'ContainerCreating' } })
  assert.equal(
    conditions?.map(({ type, status: value, reason }) => [type, value, reason]),
    [
      ['PodReadyToStartContainers', 'False', undefined],
      ['Initialized', 'True', undefined],
      ['Ready', 'False', 'ContainersNotReady'],
      ['ContainersReady', 'False', 'ContainersNotReady']
    ]
  )
})
says('a running pod, ready since its container started', () => {
  const { phase, containerStatuses, conditions, podIP, startTime } = status({ observed: [seen(''), seen('main')] })
  assert.is(phase, 'Running')
  assert.is(podIP, '10.0.0.2')
  assert.is(startTime, '2026-01-01T00:09:00Z')
  assert.is(containerStatuses?.[0]?.ready, true)
  assert.is(containerStatuses?.[0]?.containerID, 'docker://main-0')
  assert.is(conditions?.[2]?.lastTransitionTime, '2026-01-01T00:09:10Z')
})
says('a pod that is not ready by its probe', () => {
  const { conditions } = status({ observed: [seen(''), seen('main')], probes: { 'main-0': { started: true, ready: false } } })
  assert.is(conditions?.[2]?.message, 'containers with unready status: [main]')
})
says('CrashLoopBackOff', () => {
  const { phase, containerStatuses } = status({ observed: [seen(''), ended('main', 3, { attempt: 5, backOff: 4 })] })
  assert.is(phase, 'Running')
  assert.equal(containerStatuses?.[0]?.state, {
    waiting: { reason: 'CrashLoopBackOff', message: 'back-off 1m20s restarting failed container=main pod=web_default(u)' }
  })
  assert.is(containerStatuses?.[0]?.lastState?.terminated?.exitCode, 3)
  assert.is(containerStatuses?.[0]?.restartCount, 5)
})
says('an image that cannot be pulled', () => {
  const { phase, containerStatuses } = status({
    observed: [seen('')],
    faults: { main: { reason: 'ErrImagePull', message: 'no', retryAt: 0 } }
  })
  assert.is(phase, 'Pending')
  assert.equal(containerStatuses?.[0]?.state, { waiting: { reason: 'ErrImagePull', message: 'no' } })
})
says('waiting for init containers', () => {
  const { phase, containerStatuses, initContainerStatuses, conditions } = status({
    spec: { initContainers: [init('a'), init('b')] },
    observed: [seen(''), seen('a')]
  })
  assert.is(phase, 'Pending')
  assert.equal(containerStatuses?.[0]?.state, { waiting: { reason: 'PodInitializing' } })
  assert.equal(initContainerStatuses?.[1]?.state, { waiting: { reason: 'PodInitializing' } })
  assert.is(conditions?.[1]?.message, 'containers with incomplete status: [a b]')
})
says('that of a pod with init containers none is being created before the pod is initialized, not even the first', () => {
  const { containerStatuses, initContainerStatuses } = status({ spec: { initContainers: [init('a'), init('b')] }, observed: [seen('')] })
  for (const { state } of [...(initContainerStatuses ?? []), ...(containerStatuses ?? [])])
    assert.equal(state, { waiting: { reason: 'PodInitializing' } })
  assert.equal(status({ observed: [seen('')] }).containerStatuses?.[0]?.state, { waiting: { reason: 'ContainerCreating' } })
})
says('success and failure', () => {
  const done = status({ spec: { restartPolicy: 'Never' }, observed: [seen(''), ended('main', 0)] })
  assert.is(done.phase, 'Succeeded')
  assert.is(done.conditions?.[2]?.reason, 'PodCompleted')
  assert.is(
    status({ spec: { restartPolicy: 'Never' }, observed: [seen(''), ended('main', 1, { oomKilled: true })] }).containerStatuses?.[0]?.state
      ?.terminated?.reason,
    'OOMKilled'
  )
  assert.is(status({ spec: { restartPolicy: 'Never' }, observed: [seen(''), ended('main', 1)] }).phase, 'Failed')
})
says('past the deadline', () => {
  const { phase, reason } = status({ spec: { activeDeadlineSeconds: 30 }, observed: [seen(''), ended('main', 143)] })
  assert.equal([phase, reason], ['Failed', 'DeadlineExceeded'])
})
says('what ended stays said when the container is removed', () => {
  const meta = { deletionTimestamp: '2026-01-01T00:10:20Z' }
  const before = status({ meta, observed: [seen(''), ended('main', 0)] })
  const after = status({ meta, tornDown: true, previous: before, ip: '' })
  assert.equal(after.containerStatuses?.[0]?.state, before.containerStatuses?.[0]?.state)
  assert.is(after.phase, 'Succeeded')
  assert.is(after.podIP, '10.0.0.2')
})
says('what ended stays said while an older container of it outlasts it', () => {
  const meta = { deletionTimestamp: '2026-01-01T00:10:20Z' }
  const killed = ended('main', 137, { attempt: 1 })
  const before = status({ meta, observed: [seen(''), killed, ended('main', 0, { attempt: 2 })] })
  const during = status({ meta, observed: [seen(''), killed], previous: before })
  assert.is(during.containerStatuses?.[0]?.restartCount, 2)
  assert.is(status({ meta, tornDown: true, previous: during, ip: '' }).phase, 'Succeeded')
})
says('a condition keeps its time while it stays', () => {
  const first = status({ observed: [seen(''), seen('main')] })
  const second = status({ observed: [seen(''), ended('main', 1)], previous: first })
  assert.is(second.conditions?.[0]?.lastTransitionTime, first.conditions?.[0]?.lastTransitionTime)
  assert.is(second.conditions?.[2]?.lastTransitionTime, '2026-01-01T00:10:00Z')
})
says.run()
