/** Pod Security admission: given a namespace's labels, when a pod or a workload comes, then it is refused, warned of, noted, or neither. */
import { at } from '#test/support/kinds.ts'
import { PODS } from '#events/collections.ts'
import type { Container } from '#events/schema/generated/core.v1.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Intent } from '#events/Intent.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { Refusal } from '#events/Refusal.ts'
import type { Decided } from '#services/apiserver/decision.ts'
import { accepted, refused } from '#test/support/api.ts'
import {
  bare,
  decided,
  deployment,
  given,
  good,
  labelled,
  patch,
  relabel,
  RESTRICTED,
  warnings,
  WOULD_8
} from '#test/support/podSecurity.ts'

const pods = suite('Pod Security: pods')

pods('without labels anything goes', async () => {
  const api = await given({})
  assert.equal(warnings(await api.create(bare('a', { hostNetwork: true }, { securityContext: { privileged: true } }))), [])
})

pods("what a namespace enforces is refused, with upstream's words", async () => {
  const api = await given({ enforce: 'restricted' })
  const result = await api.create(bare('a'))
  assert.is(refused(result), `403 Forbidden: pods "a" is forbidden: violates PodSecurity "restricted:latest": ${RESTRICTED}`)
  assert.equal(!result.ok && result.status.details, { name: 'a', kind: 'pods' })
  assert.is(api.get({ kind: 'Pod', apiVersion: 'v1', name: 'a', namespace: 'shop' }), undefined)
  assert.equal(warnings(await api.create(good('b'))), [])
})

pods('a name that is taken is no way around: what may not be created is forbidden first', async () => {
  const api = await given({ enforce: 'restricted' })
  accepted(await api.create(good('b')))
  assert.match(refused(await api.create(bare('b'))), /^403 Forbidden: pods "b" is forbidden: violates PodSecurity/)
  assert.match(refused(await api.create(good('b'))), /^409 AlreadyExists/)
})

pods('ephemeral containers are no part of a new pod, nor of a template', async () => {
  const api = await given({})
  const more = { ephemeralContainers: [{ name: 'debug', image: 'busybox' }] }
  assert.match(refused(await api.create(bare('a', more))), /^422 Invalid: .*spec\.ephemeralContainers: Forbidden: cannot be set on create$/)
})

pods('a generated name is named', async () => {
  const api = await given({ enforce: 'baseline', 'enforce-version': 'v1.34' })
  const object = bare('', { hostPID: true })
  object.metadata = { generateName: 'web-', namespace: 'shop' }
  assert.match(
    refused(await api.create(object)),
    /^403 Forbidden: pods "web-[a-z0-9]{5}" is forbidden: violates PodSecurity "baseline:v1.34": host namespaces \(hostPID=true\)$/
  )
})

pods('an invalid pod is invalid before it is forbidden', async () => {
  const api = await given({ enforce: 'restricted' })
  assert.match(refused(await api.create(bare('a', { restartPolicy: 'Sometimes' }))), /^422 Invalid/)
})

pods('who warns, warns; who enforces warns of the same, unless told otherwise', async () => {
  const api = await given({ enforce: 'baseline', warn: 'restricted', 'warn-version': 'v1.8' })
  assert.equal(warnings(await api.create(bare('a'))), [WOULD_8])
  const follows = await given({ enforce: 'restricted', 'enforce-version': 'v1.8' })
  assert.match(warnings(await follows.create(deployment('d'))).join(), /^would violate PodSecurity "restricted:v1.8": /)
  const quiet = await given({ enforce: 'restricted', warn: 'privileged' })
  assert.equal(warnings(await quiet.create(deployment('d'))), [])
})

pods('a version knows no newer checks', async () => {
  const probed = (name: string): KubeObject => bare(name, {}, { livenessProbe: { tcpSocket: { port: 80, host: 'example.com' } } })
  const old = await given({ enforce: 'baseline', 'enforce-version': 'v1.33' })
  assert.equal(warnings(await old.create(probed('a'))), [])
  const now = await given({ enforce: 'baseline', 'enforce-version': 'v1.34' })
  assert.match(
    refused(await now.create(probed('a'))),
    /probe or lifecycle host \(container "a" uses probe or lifecycle host "example.com"\)$/
  )
})

pods("its warnings come after the decoder's", async () => {
  const api = await given({ warn: 'baseline' })
  const object = { ...bare('a', { hostIPC: true }), colour: 'blue' }
  assert.equal(warnings(await api.create(object)), [
    'unknown field "colour"',
    'would violate PodSecurity "baseline:latest": host namespaces (hostIPC=true)'
  ])
})

pods('a dry run is judged alike', async () => {
  const api = await given({ enforce: 'baseline', warn: 'restricted' })
  const dry = { options: { dryRun: true } }
  assert.match(refused(await api.create(bare('a', { hostIPC: true }), dry)), /^403 Forbidden/)
  assert.is(warnings(await api.create(bare('b'), dry)).length, 1)
  assert.is(api.get({ kind: 'Pod', apiVersion: 'v1', name: 'b', namespace: 'shop' }), undefined)
})

pods('a server-side apply that creates is a creation', async () => {
  const api = await given({ enforce: 'baseline' })
  const object = bare('a', { hostIPC: true })
  const result = await patch(api, object, undefined, {
    patch: { type: 'application/apply-patch+yaml', body: object },
    options: { fieldManager: 'me' }
  })
  assert.match(refused(result), /host namespaces \(hostIPC=true\)$/)
})

pods('an update is judged when it brings another image, and only then', async () => {
  const api = await given({})
  const pod = bare('a', { hostIPC: true })
  accepted(await api.create(pod))
  accepted(await relabel(api, { enforce: 'baseline', warn: 'restricted' }))
  assert.equal(warnings(await patch(api, pod, { metadata: { labels: { x: 'y' } } })), [], 'what runs is let be')
  const status = await patch(api, pod, { status: { phase: 'Running' } }, { subresource: 'status' })
  assert.equal(warnings(status), [])
  const image: Partial<Intent> = {
    patch: { type: 'application/json-patch+json', body: [{ op: 'replace', path: '/spec/containers/0/image', value: 'i:2' }] }
  }
  assert.match(
    refused(await patch(api, pod, undefined, image)),
    /^403 Forbidden: pods "a" is forbidden: violates PodSecurity "baseline:latest": host namespaces/
  )
  accepted(await relabel(api, { enforce: 'privileged' }))
  assert.is(warnings(await patch(api, pod, undefined, image)).length, 1)
})

pods('an annotation of old turns AppArmor off as the field does', async () => {
  const api = await given({ enforce: 'baseline' })
  const object = bare('a')
  object.metadata.annotations = { 'container.apparmor.security.beta.kubernetes.io/a': 'unconfined' }
  const values = '"Unconfined", "container.apparmor.security.beta.kubernetes.io/a="unconfined""'
  const detail = `forbidden AppArmor profiles (container "a" and annotation must not set AppArmor profile type to ${values})`
  assert.ok(refused(await api.create(object)).endsWith(detail))
})

pods('naming another system is no way around the standards', async () => {
  const api = await given({ enforce: 'restricted' })
  const windows = { os: { name: 'windows' }, securityContext: { runAsNonRoot: true } }
  const context = { capabilities: { add: ['SYS_ADMIN'] }, seccompProfile: { type: 'Unconfined' } }
  assert.is(
    refused(await api.create(bare('a', windows, { securityContext: context }))),
    '422 Invalid: Pod "a" is invalid: [spec.containers[0].securityContext.seccompProfile: Forbidden: cannot be set for a windows pod, ' +
      'spec.containers[0].securityContext.capabilities: Forbidden: cannot be set for a windows pod]'
  )
  assert.match(
    refused(await api.create(bare('a', { os: { name: 'plan9' } }))),
    /spec.os: Unsupported value: "plan9": supported values: "linux", "windows"$/
  )
})

pods('every field a check looks at is stored as it came', async () => {
  const api = await given({})
  const spec = {
    hostUsers: false,
    securityContext: {
      appArmorProfile: { type: 'Localhost', localhostProfile: 'p' },
      seLinuxOptions: { user: 'u', role: 'r', type: 't', level: 's0' },
      seccompProfile: { type: 'Localhost', localhostProfile: 'p.json' },
      sysctls: [{ name: 'kernel.sem', value: '1' }],
      windowsOptions: { hostProcess: false, runAsUserName: 'u' },
      runAsNonRoot: true,
      runAsUser: 0
    },
    volumes: [{ name: 'i', image: { reference: 'r', pullPolicy: 'Always' } }]
  }
  const container = {
    securityContext: {
      procMount: 'Unmasked',
      appArmorProfile: { type: 'Unconfined' },
      windowsOptions: { hostProcess: false },
      privileged: false,
      allowPrivilegeEscalation: true,
      capabilities: { add: ['KILL'], drop: ['ALL'] }
    },
    lifecycle: { preStop: { tcpSocket: { port: 1, host: 'h' } } },
    livenessProbe: { httpGet: { port: 1, host: 'h', path: '/', scheme: 'HTTP' } }
  }
  const { spec: stored } = accepted(await api.create(bare('a', spec, container)), PODS)
  for (const [field, value] of Object.entries(spec)) if (field !== 'volumes') assert.equal(at(stored, field), value, field)
  assert.equal(stored.volumes?.[0], spec.volumes[0])
  const { securityContext, lifecycle, livenessProbe } = stored.containers[0] as Container
  assert.equal({ securityContext, lifecycle }, { securityContext: container.securityContext, lifecycle: container.lifecycle })
  assert.is(livenessProbe?.httpGet?.host, 'h')
})

pods.run()

const workloads = suite('Pod Security: workloads')

workloads('are never refused, only warned of, dry runs and unchanged ones as well', async () => {
  const api = await given({ enforce: 'restricted' })
  const would = [`would violate PodSecurity "restricted:latest": ${RESTRICTED}`]
  assert.equal(warnings(await api.create(deployment('web'), { options: { dryRun: true } })), would)
  assert.equal(warnings(await api.create(deployment('web'))), would)
  assert.equal(warnings(await api.create({ ...deployment('set'), kind: 'ReplicaSet' })), would)
  assert.equal(warnings(await patch(api, deployment('web'), {})), would)
  assert.equal(warnings(await patch(api, deployment('web'), { spec: { replicas: 3 } }, { subresource: 'scale' })), [])
  assert.equal(
    warnings(await api.submit({ verb: 'delete', ref: { group: 'apps', resource: 'deployments' }, namespace: 'shop', name: 'web' })),
    []
  )
})

workloads('of a namespace that only enforces baseline are warned of by it', async () => {
  const api = await given({ enforce: 'baseline' })
  assert.equal(warnings(await api.create(deployment('web'))), [])
  assert.equal(warnings(await api.create(deployment('net', { hostNetwork: true }))), [
    'would violate PodSecurity "baseline:latest": host namespaces (hostNetwork=true)'
  ])
})

workloads.run()

const notes = suite('Pod Security: the audit trail')

notes('a decision carries what is to be noted', async () => {
  const api = await given({ enforce: 'baseline', audit: 'restricted', 'audit-version': 'v1.8', warn: 'privileged' })
  assert.equal((decided(api, bare('a')) as Decided).audit, labelled({ 'enforce-policy': 'baseline:latest', 'audit-violations': WOULD_8 }))
  assert.equal((decided(api, bare('a')) as Decided).warnings, [])
  assert.equal((decided(api, deployment('d')) as Decided).audit, labelled({ 'audit-violations': WOULD_8 }))
  assert.equal((decided(api, good('a')) as Decided).audit, labelled({ 'enforce-policy': 'baseline:latest' }))
})

notes('so does a refusal', async () => {
  const api = await given({ enforce: 'baseline', audit: 'baseline' })
  const refusal = decided(api, bare('a', { hostIPC: true })) as Refusal
  assert.instance(refusal, Refusal)
  assert.equal(
    refusal.audit,
    labelled({
      'enforce-policy': 'baseline:latest',
      'audit-violations': 'would violate PodSecurity "baseline:latest": host namespaces (hostIPC=true)'
    })
  )
  assert.not.ok(JSON.stringify(refusal.status).includes('audit'), 'who asked is not told')
})

notes('where anything goes, that is noted of pods', async () => {
  const api = await given({})
  assert.equal((decided(api, bare('a', { hostIPC: true })) as Decided).audit, labelled({ 'enforce-policy': 'privileged:latest' }))
  assert.is((decided(api, deployment('d')) as Decided).audit, undefined)
  assert.is((decided(api, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c', namespace: 'shop' } }) as Decided).audit, undefined)
})

notes.run()
