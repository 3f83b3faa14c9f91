/** The agent with real containers: start, restart, adoption, termination, logs, exec, volumes, probes. */
import { existsSync, readFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { bindingOf, collect, fixture, sleeper } from './kubelet.fixture.ts'

const kubelet = suite('kubelet on Docker Engine')

let lab: Awaited<ReturnType<typeof fixture>>
kubelet.before(async () => {
  lab = await fixture()
  await lab.start()
})
kubelet.after(async () => {
  await lab.close()
  const left = await lab.runtime.list()
  if (left.length > 0) throw new Error('containers were left behind')
})

const ref = (pod: string, container = 'main') => ({ namespace: 'default', pod, uid: `uid-${pod}`, container })
const idOf = (pod: string, container = 'main'): string =>
  lab
    .status(pod)
    ?.containerStatuses?.find(({ name }) => name === container)
    ?.containerID?.replace('docker://', '') ?? ''

/** What nobody tells of. */
const gone = async (is: () => boolean | Promise<boolean>): Promise<void> => {
  for (let tries = 0; tries < 200 && (await is()); tries++) await new Promise((resolve) => setTimeout(resolve, 50))
  assert.is(await is(), false)
}

const exec = async (pod: string, ...command: string[]): Promise<{ code: number; output: string }> => {
  const session = await lab.calls.exec('n', ref(pod), { command, stdin: false, stdout: true, stderr: true, tty: false })
  let output = ''
  return new Promise((resolve, reject) =>
    session.start({
      onOutput: async (_, data) => void (output += Buffer.from(data).toString()),
      onExit: (exit) => ('code' in exit ? resolve({ code: exit.code, output }) : reject(new Error(exit.error)))
    })
  )
}

kubelet('a pod runs, with its address, environment and volumes', async () => {
  const began = Date.now()
  lab.link.bind(
    bindingOf(
      'web',
      {
        containers: [
          sleeper('main', {
            env: [
              { name: 'A', value: 'one' },
              { name: 'B', value: '$(A)-two' },
              { name: 'S', valueFrom: { secretKeyRef: { name: 'secret', key: 'password' } } }
            ],
            volumeMounts: [
              { name: 'config', mountPath: '/config' },
              { name: 'secret', mountPath: '/secret' },
              { name: 'scratch', mountPath: '/scratch' },
              { name: 'config', mountPath: '/one.txt', subPath: 'a.txt' }
            ]
          })
        ],
        volumes: [
          { name: 'config', configMap: { name: 'config' } },
          { name: 'secret', secret: { secretName: 'secret', defaultMode: 0o400 } },
          { name: 'scratch', emptyDir: {} }
        ]
      },
      {
        configMaps: { config: { data: { 'a.txt': 'first' } } },
        secrets: { secret: { type: 'Opaque', data: { password: btoa('hidden') } } }
      }
    )
  )
  const status = await lab.running('web')
  console.log(`      bound to ready: ${Date.now() - began} ms`)
  assert.is(status.phase, 'Running')
  assert.is(status.podIP, '10.244.0.2')
  assert.equal(
    status.conditions?.map(({ type, status: value }) => `${type}=${value}`),
    ['PodReadyToStartContainers=True', 'Initialized=True', 'Ready=True', 'ContainersReady=True']
  )
  const { output } = await exec(
    'web',
    'sh',
    '-c',
    'echo $B $S; cat /config/a.txt /secret/password /one.txt; hostname; cat /etc/resolv.conf; stat -c %a /secret/..data/password; touch /scratch/x; tail -1 /etc/hosts'
  )
  assert.is(
    output,
    'one-two hidden\nfirsthiddenfirstweb\nsearch default.svc.cluster.local svc.cluster.local cluster.local example.org\nnameserver 10.96.0.10\noptions ndots:5\n400\n10.244.0.2\tweb\n'
  )
  assert.equal(
    lab.link.notices.filter(({ involvedObject }) => involvedObject.name === 'web').map(({ reason, message }) => `${reason}: ${message}`),
    [
      'Pulled: Container image "reckon/demo:1" already present on machine',
      'Created: Created container: main',
      'Started: Started container main'
    ]
  )
})

kubelet('an exec tells its exit code', async () => assert.is((await exec('web', 'sh', '-c', 'exit 7')).code, 7))

kubelet('a changed ConfigMap reaches the running container', async () => {
  const binding = bindingOf(
    'web',
    {
      ...lab.agent.find('default', 'web')?.binding.pod.spec,
      containers: lab.agent.find('default', 'web')?.binding.pod.spec?.containers ?? []
    },
    { configMaps: { config: { data: { 'a.txt': 'second' } } }, secrets: { secret: { type: 'Opaque', data: { password: btoa('hidden') } } } }
  )
  const id = idOf('web')
  lab.link.bind(binding)
  for (let tries = 0; tries < 50 && (await exec('web', 'cat', '/config/a.txt')).output !== 'second'; tries++);
  assert.is((await exec('web', 'cat', '/config/a.txt')).output, 'second')
  assert.is(idOf('web'), id)
})

kubelet('a container killed by hand comes back, with its restart counted', async () => {
  const id = idOf('web')
  await lab.docker.getContainer(id).kill()
  const status = await lab.link.until(
    () =>
      lab.status('web')?.containerStatuses?.[0]?.restartCount === 1 &&
      lab.status('web')?.containerStatuses?.[0]?.ready === true &&
      lab.status('web')
  )
  assert.is.not(idOf('web'), id)
  assert.is(status.containerStatuses?.[0]?.lastState?.terminated?.exitCode, 137)
  assert.is(status.phase, 'Running')
})

kubelet('a new agent disturbs nothing and remembers the restarts', async () => {
  const [id, reports] = [idOf('web'), lab.link.reports.length]
  const before = await lab.runtime.list()
  await lab.restart()
  await lab.link.until(() => lab.link.reports.length > reports)
  assert.is(lab.status('web')?.containerStatuses?.[0]?.restartCount, 1)
  assert.is(lab.status('web')?.podIP, '10.244.0.2')
  assert.is(
    lab.status('web')?.conditions?.every(({ status }) => status === 'True'),
    true
  )
  assert.is(idOf('web'), id)
  assert.equal(
    (await lab.runtime.list()).map(({ id: one, pid }) => `${one} ${pid}`).sort(),
    before.map(({ id: one, pid }) => `${one} ${pid}`).sort()
  )
})

kubelet('the sandbox killed by hand is made anew with its containers', async () => {
  const sandbox = (await lab.runtime.list('uid-web')).find(({ identity }) => identity.container === '')
  await lab.docker.getContainer(sandbox?.id ?? '').kill()
  await lab.link.until(
    () => lab.status('web')?.containerStatuses?.[0]?.restartCount === 2 && lab.status('web')?.containerStatuses?.[0]?.ready === true
  )
  assert.is((await lab.runtime.list('uid-web')).find(({ identity }) => identity.container === '')?.identity.sandbox, 1)
})

kubelet('termination: preStop, TERM, and everything gone', async () => {
  const { pod, ...rest } = lab.agent.find('default', 'web')?.binding ?? bindingOf('web', { containers: [] })
  // Its shell, whose own arguments name the sleep too, has set the trap once it sleeps: a TERM before that would end it with 143.
  await exec('web', 'sh', '-c', 'until ps -o args | grep -qx "sleep 0.1"; do :; done')
  const began = Date.now()
  lab.link.bind({
    ...rest,
    pod: {
      ...pod,
      metadata: { ...pod.metadata, deletionTimestamp: new Date(Date.now() + 10_000).toISOString() as never, deletionGracePeriodSeconds: 10 }
    }
  })
  const report = await lab.link.until(() => lab.link.last('web')?.terminated === true && lab.link.last('web'))
  console.log(`      asked to go, gone: ${Date.now() - began} ms`)
  assert.ok(Date.now() - began < 8_000, 'TERM was obeyed, not waited for')
  assert.is(report.status.phase, 'Succeeded')
  assert.is(report.status.containerStatuses?.[0]?.state?.terminated?.exitCode, 0)
  assert.equal(await lab.runtime.list('uid-web'), [])
  lab.link.unbind('default', 'web')
})

kubelet('a container that ignores TERM is killed when its grace is over', async () => {
  lab.link.bind(
    bindingOf('deaf', { containers: [sleeper('main', { command: ['/bin/sh', '-c', 'trap "" TERM; while true; do sleep 0.1; done'] })] })
  )
  await lab.running('deaf')
  const { pod, ...rest } = lab.agent.find('default', 'deaf')?.binding ?? bindingOf('deaf', { containers: [] })
  const began = Date.now()
  lab.link.bind({
    ...rest,
    pod: {
      ...pod,
      metadata: { ...pod.metadata, deletionTimestamp: new Date(Date.now() + 2_000).toISOString() as never, deletionGracePeriodSeconds: 2 }
    }
  })
  const report = await lab.link.until(() => lab.link.last('deaf')?.terminated === true && lab.link.last('deaf'))
  assert.ok(Date.now() - began >= 1_900, `${Date.now() - began} ms`)
  assert.is(report.status.containerStatuses?.[0]?.state?.terminated?.exitCode, 137)
  lab.link.unbind('default', 'deaf')
})

kubelet('init containers in order, then the pod succeeds; its logs stay', async () => {
  lab.link.bind(
    bindingOf('job', {
      restartPolicy: 'Never',
      initContainers: [
        sleeper('first', { command: ['sh', '-c', 'echo one > /data/out'], volumeMounts: [{ name: 'work', mountPath: '/data' }] })
      ],
      containers: [
        sleeper('main', {
          command: ['sh', '-c', 'cat /data/out; echo two >&2; echo done > /dev/termination-log'],
          volumeMounts: [{ name: 'work', mountPath: '/data' }]
        })
      ],
      volumes: [{ name: 'work', emptyDir: {} }]
    })
  )
  const status = await lab.link.until(() => lab.status('job')?.phase === 'Succeeded' && lab.status('job'))
  assert.is(status.containerStatuses?.[0]?.state?.terminated?.message, 'done\n')
  assert.is(status.initContainerStatuses?.[0]?.state?.terminated?.reason, 'Completed')
  // Docker Engine reads stdout and stderr from two pipes: which line is the first is chance.
  const logs = await collect(lab.calls.logs('n', ref('job'), {}, new AbortController().signal))
  assert.ok(['one\ntwo\n', 'two\none\n'].includes(logs), logs)
  assert.is(await collect(lab.calls.logs('n', ref('job'), { tailLines: 1 }, new AbortController().signal)), logs.slice(4))
  assert.match(
    await collect(lab.calls.logs('n', ref('job'), { timestamps: true, limitBytes: 31 }, new AbortController().signal)),
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z $/
  )
})

kubelet('subPath: a folder and a file are mounted, again with each start, and no mount outlives the pod', async () => {
  const mounted = (pod: string): readonly string[] =>
    readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((line) => line.includes(`${lab.folder}/pods/uid-${pod}/`))
  const whole = { name: 'work', mountPath: '/shared' }
  const parts = [
    { name: 'work', mountPath: '/folder', subPath: 'made/deep' },
    { name: 'work', mountPath: '/etc/one.conf', subPath: 'conf/one', readOnly: true }
  ]
  const spec = {
    initContainers: [sleeper('first', { command: ['sh', '-c', 'mkdir /shared/conf; echo one > /shared/conf/one'], volumeMounts: [whole] })],
    volumes: [{ name: 'work', emptyDir: {} }]
  }
  lab.link.bind(
    bindingOf('parts', {
      ...spec,
      containers: [
        sleeper('main', { volumeMounts: parts, securityContext: { runAsUser: 1000 } }),
        sleeper('other', { volumeMounts: [whole] })
      ]
    })
  )
  await lab.running('parts')
  const look = async (): Promise<string> =>
    (
      await exec(
        'parts',
        'sh',
        '-c',
        'cat /etc/one.conf; echo x 2>/dev/null >/etc/one.conf || echo refused; echo x >> /folder/x; cat /folder/x'
      )
    ).output
  assert.is(await look(), 'one\nrefused\nx\n')
  assert.is(mounted('parts').length, 2)
  const restarted = (count: number) =>
    lab.link.until(
      () => lab.status('parts')?.containerStatuses?.find(({ name, ready }) => name === 'main' && ready)?.restartCount === count
    )
  await lab.docker.getContainer(idOf('parts')).kill()
  await restarted(1)
  assert.is(await look(), 'one\nrefused\nx\nx\n')
  assert.is(mounted('parts').length, 2)

  // Another container of the pod leads the next start to the machine's own files.
  const other = { ...ref('parts'), container: 'other' }
  const session = await lab.calls.exec('n', other, {
    command: ['sh', '-c', 'rm -r /shared/made && ln -s / /shared/made'],
    stdin: false,
    stdout: true,
    stderr: true,
    tty: false
  })
  await new Promise((resolve) => session.start({ onOutput: async () => {}, onExit: resolve }))
  await lab.docker.getContainer(idOf('parts')).kill()
  const refused = await lab.link.until(() =>
    lab.status('parts')?.containerStatuses?.find(({ state }) => state?.waiting?.reason === 'CreateContainerConfigError')
  )
  assert.is(refused.state?.waiting?.message, 'failed to create subPath directory for volumeMount "work" of container "main"')
  assert.not.ok(existsSync('/deep'), 'nothing was made where the link leads')

  await lab.restart()
  lab.link.unbind('default', 'parts')
  await gone(() => existsSync(`${lab.folder}/pods/uid-parts`))
  assert.equal(mounted('parts'), [])

  lab.link.bind(
    bindingOf('done', {
      ...spec,
      restartPolicy: 'Never',
      containers: [sleeper('main', { command: ['cat', '/etc/one.conf'], volumeMounts: parts })]
    })
  )
  await lab.link.until(() => lab.status('done')?.phase === 'Succeeded')
  // Nobody needs them any more, though the pod is still there.
  await gone(() => mounted('done').length > 0)
  assert.is(await collect(lab.calls.logs('n', ref('done'), {}, new AbortController().signal)), 'one\n')
})

kubelet('logs are followed until the container ends', async () => {
  lab.link.bind(
    bindingOf('talk', {
      restartPolicy: 'Never',
      containers: [sleeper('main', { command: ['sh', '-c', 'for i in 1 2 3; do echo $i; sleep 0.2; done'] })]
    })
  )
  await lab.link.until(() => lab.status('talk')?.containerStatuses?.[0]?.state?.running)
  assert.is(await collect(lab.calls.logs('n', ref('talk'), { follow: true }, new AbortController().signal)), '1\n2\n3\n')
})

kubelet('a crashing container backs off', async () => {
  lab.link.bind(bindingOf('crash', { containers: [sleeper('main', { command: ['sh', '-c', 'exit 3'] })] }))
  const status = await lab.link.until(
    () => lab.status('crash')?.containerStatuses?.[0]?.state?.waiting?.reason === 'CrashLoopBackOff' && lab.status('crash')
  )
  const container = status.containerStatuses?.[0]
  assert.is(container?.restartCount, 1)
  assert.is(container?.lastState?.terminated?.exitCode, 3)
  assert.is(container?.state?.waiting?.message, 'back-off 10s restarting failed container=main pod=crash_default(uid-crash)')
  assert.is(status.phase, 'Running')
})

kubelet('a program that does not exist is told as such', async () => {
  lab.link.bind(bindingOf('nothing', { containers: [sleeper('main', { command: ['/nothing'] })] }))
  const status = await lab.link.until(
    () => lab.status('nothing')?.containerStatuses?.[0]?.lastState?.terminated !== undefined && lab.status('nothing')
  )
  assert.is(status.containerStatuses?.[0]?.lastState?.terminated?.reason, 'StartError')
  assert.match(status.containerStatuses?.[0]?.lastState?.terminated?.message ?? '', /\/nothing.*no such file or directory/)
})

kubelet('liveness failures restart; readiness decides Ready', async () => {
  lab.link.bind(
    bindingOf('probed', {
      containers: [
        sleeper('main', {
          readinessProbe: { exec: { command: ['test', '-e', '/tmp/ready'] }, periodSeconds: 1 },
          livenessProbe: { exec: { command: ['sh', '-c', '! test -e /tmp/dead'] }, periodSeconds: 1, failureThreshold: 1 }
        })
      ]
    })
  )
  await lab.link.until(() => lab.status('probed')?.containerStatuses?.[0]?.state?.running)
  assert.is(lab.status('probed')?.containerStatuses?.[0]?.ready, false)
  await exec('probed', 'touch', '/tmp/ready')
  await lab.running('probed')
  // The new agent does not know yet whether it is ready, and must not say that it is not.
  const reports = lab.link.reports.length
  await lab.restart()
  await lab.link.until(() => lab.link.reports.slice(reports).some(({ name }) => name === 'probed'))
  assert.ok(
    lab.link.reports
      .slice(reports)
      .filter(({ name }) => name === 'probed')
      .every(({ report }) => report.status.containerStatuses?.[0]?.ready === true)
  )
  await exec('probed', 'touch', '/tmp/dead')
  await lab.link.until(() => lab.status('probed')?.containerStatuses?.[0]?.restartCount === 1)
  assert.ok(
    lab.link.notices.some(
      ({ reason, message }) => reason === 'Killing' && message === 'Container main failed liveness probe, will be restarted'
    )
  )
})

kubelet('exec: input until it is closed, a terminal with its size; attach: the output of the program', async () => {
  const cat = await lab.calls.exec('n', ref('probed'), { command: ['cat'], stdin: true, stdout: true, stderr: true, tty: false })
  let output = ''
  const ended = new Promise<unknown>((resolve) =>
    cat.start({ onOutput: async (_, data) => void (output += Buffer.from(data).toString()), onExit: resolve })
  )
  await cat.write(Buffer.from('to and fro'))
  await cat.closeStdin()
  assert.equal(await ended, { code: 0 })
  assert.is(output, 'to and fro')

  const tty = await lab.calls.exec('n', ref('probed'), {
    command: ['sh', '-c', 'read x; stty size; exit 5'],
    stdin: true,
    stdout: true,
    stderr: false,
    tty: true
  })
  let screen = ''
  const closed = new Promise<unknown>((resolve) =>
    tty.start({ onOutput: async (_, data) => void (screen += Buffer.from(data).toString()), onExit: resolve })
  )
  await tty.resize(121, 33)
  await tty.write(Buffer.from('\n'))
  assert.equal(await closed, { code: 5 })
  assert.match(screen, /33 121/)

  lab.link.bind(
    bindingOf('ticks', { containers: [sleeper('main', { command: ['sh', '-c', 'while true; do echo tick; sleep 0.1; done'] })] })
  )
  await lab.running('ticks')
  const attached = await lab.calls.attach('n', ref('ticks'), { stdin: false, stdout: true, stderr: true, tty: false })
  await new Promise<void>((resolve) =>
    attached.start({ onOutput: async (_, data) => (Buffer.from(data).toString() === 'tick\n' ? resolve() : undefined), onExit: () => {} })
  )
  attached.close()

  lab.link.bind(
    bindingOf('fails', { containers: [sleeper('main', { command: ['sh', '-c', 'read x; exit 5'], stdin: true })], restartPolicy: 'Never' })
  )
  await lab.running('fails')
  const failing = await lab.calls.attach('n', ref('fails'), { stdin: true, stdout: true, stderr: true, tty: false })
  const over = new Promise<unknown>((resolve) => failing.start({ onOutput: async () => {}, onExit: resolve }))
  await failing.write(Buffer.from('\n'))
  // kubectl takes any other end for a failure to attach, and shows the output a second time.
  assert.equal(await over, { code: 0 })
})

kubelet('an image that cannot be pulled', async () => {
  lab.link.bind(bindingOf('pull', { containers: [sleeper('main', { image: '127.0.0.1:1/none:1' })] }))
  await lab.link.until(() => lab.status('pull')?.containerStatuses?.[0]?.state?.waiting?.reason === 'ErrImagePull')
  const status = await lab.link.until(
    () => lab.status('pull')?.containerStatuses?.[0]?.state?.waiting?.reason === 'ImagePullBackOff' && lab.status('pull')
  )
  assert.match(
    status.containerStatuses?.[0]?.state?.waiting?.message ?? '',
    /^Back-off pulling image "127\.0\.0\.1:1\/none:1": ErrImagePull: .*connection refused/
  )
})

kubelet('too much memory is OOMKilled', async () => {
  lab.link.bind(
    bindingOf('hungry', {
      restartPolicy: 'Never',
      containers: [sleeper('main', { command: ['sh', '-c', 'tail /dev/zero'], resources: { limits: { memory: '16Mi' } as never } })]
    })
  )
  const status = await lab.link.until(() => lab.status('hungry')?.phase === 'Failed' && lab.status('hungry'))
  assert.is(status.containerStatuses?.[0]?.state?.terminated?.reason, 'OOMKilled')
})

kubelet('an HTTP probe takes the answer of a CGI program for one', async () => {
  lab.link.bind(
    bindingOf('page', {
      hostNetwork: true,
      containers: [
        sleeper('main', {
          command: [
            '/bin/sh',
            '-c',
            'printf "HTTP/1.1 200 OK\\r\\nContent-Type: text/html\\n\\nhello\\n" > /tmp/answer; while true; do nc -l -p 18473 < /tmp/answer > /dev/null; done'
          ],
          readinessProbe: { httpGet: { path: '/', port: 18473 as never, host: '127.0.0.1' }, periodSeconds: 1 }
        })
      ]
    })
  )
  const status = await lab.running('page')
  assert.is(status.podIP, '127.0.0.1')
})

kubelet('pods with secrets start side by side', async () => {
  const names = ['s1', 's2', 's3', 's4']
  for (const name of names)
    lab.link.bind(
      bindingOf(
        name,
        {
          containers: [sleeper('main', { volumeMounts: [{ name: 'secret', mountPath: '/secret' }] })],
          volumes: [{ name: 'secret', secret: { secretName: 'secret' } }]
        },
        { secrets: { secret: { type: 'Opaque', data: { password: btoa('hidden') } } } }
      )
    )
  for (const name of names) await lab.running(name)
  for (const name of names) assert.is((await exec(name, 'cat', '/secret/password')).output, 'hidden')
  assert.equal(
    lab.link.notices.filter(({ reason }) => reason === 'FailedMount'),
    []
  )
})

kubelet('a pod whose binding vanished is stopped and removed', async () => {
  lab.link.unbind('default', 'probed')
  await gone(async () => (await lab.runtime.list('uid-probed')).length > 0)
})

kubelet('missing configuration and images are told in upstream words', async () => {
  lab.link.bind(
    bindingOf('unset', {
      containers: [sleeper('main', { env: [{ name: 'X', valueFrom: { configMapKeyRef: { name: 'none', key: 'x' } } }] })]
    })
  )
  const unset = await lab.link.until(
    () => lab.status('unset')?.containerStatuses?.[0]?.state?.waiting?.reason === 'CreateContainerConfigError' && lab.status('unset')
  )
  assert.is(unset.containerStatuses?.[0]?.state?.waiting?.message, 'configmap "none" not found')
  lab.link.bind(bindingOf('never', { containers: [sleeper('main', { image: 'reckon/none:1', imagePullPolicy: 'Never' })] }))
  const never = await lab.link.until(
    () => lab.status('never')?.containerStatuses?.[0]?.state?.waiting?.reason === 'ErrImageNeverPull' && lab.status('never')
  )
  assert.is(
    never.containerStatuses?.[0]?.state?.waiting?.message,
    'Container image "reckon/none:1" is not present with pull policy of Never'
  )
  assert.is(never.phase, 'Pending')
})

kubelet('the pulse tells what the machine has', () => {
  const pulse = lab.link.pulses.at(-1)
  assert.match(pulse?.nodeInfo['containerRuntimeVersion'] ?? '', /^docker:\/\/\d/)
  assert.is(pulse?.conditions.find(({ type }) => type === 'Ready')?.status, 'True')
  assert.match(pulse?.capacity['memory'] ?? '', /^\d+Ki$/)
})

kubelet.run()
