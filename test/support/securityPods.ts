/** Pods that differ in what Pod Security looks at: from what a restricted namespace takes to what none should. */
import fc from 'fast-check'
import type { Subject } from '#events/core/pod/security/Check.ts'

type Fields = Readonly<Record<string, fc.Arbitrary<unknown>>>

/** An object with some of the fields; one that is not drawn is absent. */
const some = (fields: Fields): fc.Arbitrary<Record<string, unknown>> => fc.record({ ...fields }, { requiredKeys: [] })

/** Mostly absent, so that many pods have few faults, and the message of one check alone is common. */
const rarely = <Value>(value: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> =>
  fc.oneof({ weight: 6, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value as fc.Arbitrary<Value | undefined> })

const often = <Value>(value: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> => fc.option(value, { nil: undefined, freq: 2 })

const withoutUndefined = <Value>(value: Value): Value => JSON.parse(JSON.stringify(value)) as Value

const profile = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom({ type: 'RuntimeDefault' }, { type: 'Localhost', localhostProfile: 'p' }) },
  fc.constantFrom({ type: 'Unconfined' }, { type: '' }, {}, { type: 'Odd' })
)
const seLinuxOptions = some({
  type: fc.constantFrom('', 'container_t', 'container_init_t', 'container_kvm_t', 'container_engine_t', 'spc_t', 'a_t'),
  user: fc.constantFrom('', 'user_u'),
  role: fc.constantFrom('', 'role_r'),
  level: fc.constant('s0')
})
const windowsOptions = some({ hostProcess: fc.boolean(), runAsUserName: fc.constant('u') })
const capability = fc.constantFrom(
  'NET_BIND_SERVICE',
  'CHOWN',
  'KILL',
  'SETUID',
  'NET_RAW',
  'SYS_ADMIN',
  'CAP_CHOWN',
  'chown',
  'ALL',
  'É',
  '𐀀',
  '\uffee'
)
const capabilities = some({
  add: fc.array(capability, { maxLength: 3 }),
  drop: fc.oneof({ weight: 3, arbitrary: fc.constant(['ALL']) }, fc.array(capability, { maxLength: 2 }))
})
const id = fc.constantFrom(0, 1, 1000)

const securityContext = fc.oneof(
  { weight: 1, arbitrary: fc.constant(undefined) },
  { weight: 5, arbitrary: fc.constant({ allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } }) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(
        fc.constant({ allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } }),
        some({ runAsNonRoot: fc.boolean(), seccompProfile: profile, capabilities, runAsUser: id })
      )
      .map(([good, more]) => ({ ...good, ...more }))
  },
  {
    weight: 3,
    arbitrary: fc
      .record({
        privileged: rarely(fc.boolean()),
        allowPrivilegeEscalation: rarely(fc.boolean()),
        capabilities: rarely(capabilities),
        seLinuxOptions: rarely(seLinuxOptions),
        procMount: rarely(fc.constantFrom('Default', 'Unmasked', 'Odd', '')),
        seccompProfile: rarely(profile),
        appArmorProfile: rarely(profile),
        windowsOptions: rarely(windowsOptions),
        runAsNonRoot: rarely(fc.boolean()),
        runAsUser: rarely(id)
      })
      .map(withoutUndefined)
  }
)

const host = fc.constantFrom('', '127.0.0.1', '::1', 'example.com', 'b.example.com')
const action = fc.oneof(
  fc.record({ httpGet: some({ host, path: fc.constant('/'), port: fc.constant(80) }) }),
  fc.record({ tcpSocket: some({ host, port: fc.constant(80) }) }),
  fc.constant({ exec: { command: ['true'] } })
)

/** Names are drawn from few, so that lists have doubles, which only messages about sets leave out. */
const container = fc
  .record({
    name: fc.constantFrom('a', 'b', 'c', 'web', 'z'),
    image: fc.constantFrom('i:1', 'i:2'),
    securityContext,
    ports: rarely(fc.array(some({ containerPort: fc.constant(80), hostPort: fc.constantFrom(0, 80, 443, 8080, 9) }), { maxLength: 3 })),
    livenessProbe: rarely(action),
    readinessProbe: rarely(action),
    startupProbe: rarely(action),
    lifecycle: rarely(some({ postStart: action, preStop: action }))
  })
  .map(withoutUndefined)

const SOURCES = [
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'image',
  'persistentVolumeClaim',
  'projected',
  'secret',
  'hostPath',
  'gcePersistentDisk',
  'awsElasticBlockStore',
  'gitRepo',
  'nfs',
  'iscsi',
  'glusterfs',
  'rbd',
  'flexVolume',
  'cinder',
  'cephfs',
  'flocker',
  'fc',
  'azureFile',
  'vsphereVolume',
  'quobyte',
  'azureDisk',
  'photonPersistentDisk',
  'portworxVolume',
  'scaleIO',
  'storageos'
] as const
const good = fc.constantFrom('configMap', 'emptyDir', 'secret', 'projected')
const volume = fc
  .tuple(
    fc.constantFrom('data', 'tmp', 'v'),
    fc.oneof({ weight: 4, arbitrary: good.map((one) => [one]) }, fc.array(fc.constantFrom(...SOURCES), { maxLength: 2 }))
  )
  .map(([name, sources]) => ({ name, ...Object.fromEntries(sources.map((source) => [source, {}])) }))

const SYSCTLS = [
  'kernel.shm_rmid_forced',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.tcp_syncookies',
  'net.ipv4.ping_group_range',
  'net.ipv4.ip_unprivileged_port_start',
  'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
  'net.ipv4.tcp_rmem',
  'net.ipv4.tcp_wmem',
  'kernel.sem',
  'net.core.somaxconn',
  ''
] as const

const podSecurityContext = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } }) },
  {
    weight: 2,
    arbitrary: fc
      .record({
        runAsNonRoot: rarely(fc.boolean()),
        runAsUser: rarely(id),
        seccompProfile: rarely(profile),
        appArmorProfile: rarely(profile),
        seLinuxOptions: rarely(seLinuxOptions),
        windowsOptions: rarely(windowsOptions),
        sysctls: often(fc.array(fc.record({ name: fc.constantFrom(...SYSCTLS), value: fc.constant('1') }), { maxLength: 3 }))
      })
      .map(withoutUndefined)
  },
  { weight: 1, arbitrary: fc.constant(undefined) }
)

const annotationValue = fc.constantFrom(
  'runtime/default',
  'docker/default',
  'localhost/x',
  'localhost/',
  'unconfined',
  '',
  'a"b\\c',
  'tab\tnew\nline\u0007',
  '\u00a0é\u2028\u{1f600}\u007f\u{e0001}'
)
const annotations = fc.dictionary(
  fc.constantFrom(
    'seccomp.security.alpha.kubernetes.io/pod',
    'container.seccomp.security.alpha.kubernetes.io/a',
    'container.seccomp.security.alpha.kubernetes.io/web',
    'container.apparmor.security.beta.kubernetes.io/a',
    'container.apparmor.security.beta.kubernetes.io/nobody',
    'example.com/other'
  ),
  annotationValue,
  { maxKeys: 3 }
)

export const anyPod: fc.Arbitrary<Subject> = fc
  .record({
    metadata: fc.record({ annotations: often(annotations) }),
    spec: fc.record({
      containers: fc.array(container, { minLength: 1, maxLength: 3 }),
      initContainers: often(fc.array(container, { maxLength: 2 })),
      ephemeralContainers: rarely(fc.array(container, { maxLength: 2 })),
      volumes: often(fc.array(volume, { maxLength: 4 })),
      securityContext: podSecurityContext,
      hostNetwork: rarely(fc.boolean()),
      hostPID: rarely(fc.boolean()),
      hostIPC: rarely(fc.boolean()),
      hostUsers: rarely(fc.boolean()),
      runtimeClassName: rarely(fc.constantFrom('gvisor', 'kata')),
      os: rarely(fc.constantFrom({ name: 'windows' }, { name: 'linux' }))
    })
  })
  .map((pod) => withoutUndefined(pod) as unknown as Subject)
