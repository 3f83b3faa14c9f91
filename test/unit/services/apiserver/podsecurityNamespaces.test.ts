/** Pod Security admission: given a configuration, or pods that are there already, when a namespace is labelled, then it is told. */
import { asOneOf } from '#events/KubeObject.ts'
import { PODS } from '#events/collections.ts'
import type { Pod } from '#events/schema/generated/core.v1.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { readPodSecurity, type PodSecurityConfiguration } from '#events/core/pod/security/configuration.ts'
import { evaluateNamespace, PODS_MAX } from '#events/core/pod/security/evaluateNamespace.ts'
import { LATEST } from '#events/core/pod/security/policy.ts'
import { Namespace } from '#events/core/Namespace.ts'
import type { Intent, UserInfo } from '#events/Intent.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { Refusal } from '#events/Refusal.ts'
import { podSecurity } from '#services/apiserver/admission/podSecurity.ts'
import type { DecideContext, Decided } from '#services/apiserver/decision.ts'
import { accepted, ADMIN, refused } from '#test/support/api.ts'
import { bare, decided, deployment, given, good, labelled, NAMESPACE, PREFIX, relabel, warnings } from '#test/support/podSecurity.ts'

const BAD_LEVEL = 'Invalid value: "strict": must be one of privileged, baseline, restricted'
const BAD_VERSION = 'Invalid value: "v1.01": must be "latest" or "v1.x"'

const exemptions = suite('Pod Security: configuration')
const BAD = { hostIPC: true }

exemptions('defaults hold where labels say nothing', async () => {
  const api = await given({ warn: 'baseline' }, { defaults: { enforce: 'baseline', 'enforce-version': 'v1.30' } })
  assert.match(refused(await api.create(bare('a', BAD))), /violates PodSecurity "baseline:v1.30"/)
  accepted(await relabel(api, { enforce: 'privileged' }))
  assert.equal(warnings(await api.create(bare('a', BAD))), ['would violate PodSecurity "baseline:latest": host namespaces (hostIPC=true)'])
})

exemptions('users, namespaces and runtime classes can be exempt, which is noted', async () => {
  const read = readPodSecurity({ exemptions: { usernames: ['bob'], runtimeClasses: ['gvisor'] } })
  const all = readPodSecurity({ exemptions: { namespaces: ['shop'] } })
  if ('faults' in read || 'faults' in all) throw new Error('the configuration is wrong')
  const api = await given({ enforce: 'restricted' })
  const settings = { podSecurity: read.configuration }
  const bob: UserInfo = { username: 'bob', groups: ['system:masters'] }
  assert.equal((decided(api, bare('a', BAD), settings, bob) as Decided).audit, labelled({ exempt: 'user' }))
  assert.equal((decided(api, deployment('a', BAD), settings, bob) as Decided).audit, labelled({ exempt: 'user' }))
  assert.equal(
    (decided(api, bare('a', { ...BAD, runtimeClassName: 'gvisor' }), settings) as Decided).audit,
    labelled({ exempt: 'runtimeClass' })
  )
  assert.equal((decided(api, bare('a', BAD), { podSecurity: all.configuration }) as Decided).audit, labelled({ exempt: 'namespace' }))
  for (const other of [bare('a', BAD), bare('a', { ...BAD, runtimeClassName: 'kata' })])
    assert.instance(decided(api, other, settings), Refusal)
})

exemptions('who labels an exempt namespace is told that it does nothing', async () => {
  const api = await given({}, { exemptions: { namespaces: ['shop', 'new'] } })
  const created = await api.create({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'new', labels: labelled({ enforce: 'baseline', audit: 'restricted', 'audit-version': 'v1.9' }) }
  })
  assert.equal(warnings(created), [
    'namespace "new" is exempt from Pod Security, and the policy (enforce=baseline:latest, audit=restricted:v1.9) will be ignored'
  ])
  assert.equal(warnings(await relabel(api, { enforce: 'restricted' })), [
    'namespace "shop" is exempt from Pod Security, and the policy (enforce=restricted:latest) will be ignored'
  ])
})

exemptions('a mistake is no configuration', () => {
  const faultsOf = (given: unknown): readonly string[] => {
    const read = readPodSecurity(given as PodSecurityConfiguration)
    return 'faults' in read ? read.faults.map(({ field, detail }) => `${field}: ${detail ?? ''}`) : []
  }
  assert.equal(faultsOf({ defaults: { enforce: 'strict', 'warn-version': '1.30' } }), [
    'defaults.enforce: must be one of privileged, baseline, restricted',
    'defaults.warn-version: must be "latest" or "v1.x"'
  ])
  assert.equal(
    faultsOf({ defaults: { enforceVersion: 'latest' } }).map((fault) => fault.split(':')[0]),
    ['defaults.enforceVersion']
  )
  assert.equal(faultsOf({ exemptions: { namespaces: ['a', 'a'], usernames: [''], runtimeClasses: 'gvisor' } }), [
    'exemptions.usernames[0]: username must not be empty',
    'exemptions.namespaces[1]: ',
    'exemptions.runtimeClasses: must be a list of strings'
  ])
  assert.equal(faultsOf({}), [])
})

exemptions.run()

const namespaces = suite('Pod Security: namespaces')

namespaces('labels that mean nothing are refused, each with its cause', async () => {
  const api = await given({})
  const result = await api.create({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'new', labels: labelled({ enforce: 'strict', 'warn-version': 'v1.01' }) }
  })
  assert.is(
    refused(result),
    `422 Invalid: Namespace "new" is invalid: [metadata.labels[${PREFIX}enforce]: ${BAD_LEVEL}, ` +
      `metadata.labels[${PREFIX}warn-version]: ${BAD_VERSION}]`
  )
  assert.equal(!result.ok && result.status.details?.causes, [
    {
      reason: 'FieldValueInvalid',
      message: BAD_LEVEL,
      field: `metadata.labels[${PREFIX}enforce]`
    },
    {
      reason: 'FieldValueInvalid',
      message: BAD_VERSION,
      field: `metadata.labels[${PREFIX}warn-version]`
    }
  ])
  assert.match(refused(await relabel(api, { audit: 'all' })), /^422 Invalid/)
})

namespaces('who makes a policy stricter is told of the pods that violate it, dry run or not', async () => {
  const api = await given({})
  const owner = [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'r', uid: 'r', controller: true }]
  for (const name of ['c', 'b', 'a']) {
    const pod = bare(name)
    pod.metadata.ownerReferences = owner
    accepted(await api.create(pod))
  }
  accepted(await api.create(bare('net', { hostNetwork: true })))
  accepted(await api.create(good('good')))
  const restricted = [
    'existing pods in namespace "shop" violate the new PodSecurity enforce level "restricted:latest"',
    'a (and 2 other pods): allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, seccompProfile',
    'net: host namespaces, allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, seccompProfile'
  ]
  assert.equal(warnings(await relabel(api, { enforce: 'restricted' }, { options: { dryRun: true } })), restricted)
  assert.equal(warnings(await relabel(api, { enforce: 'baseline' })), [
    'existing pods in namespace "shop" violate the new PodSecurity enforce level "baseline:latest"',
    'net: host namespaces'
  ])
  assert.equal(warnings(await relabel(api, { audit: 'restricted', warn: 'restricted' })), [], 'nobody would be refused')
  assert.equal(warnings(await relabel(api, { enforce: 'restricted' })), restricted)
  assert.equal(warnings(await relabel(api, { enforce: 'baseline' })), [], 'it is laxer')
  assert.is(warnings(await relabel(api, { 'enforce-version': 'v1.30' })).length, 2, 'another version may be stricter')
  assert.equal(warnings(await relabel(api, { enforce: 'privileged', 'enforce-version': null })), [])
  assert.equal(warnings(await relabel(api, { enforce: 'baseline' }, { subresource: 'status' })), [])
})

const BASELINE = { level: 'baseline', version: LATEST } as const
const owned = (name: string, uid: string | undefined, spec: object = {}): Pod => {
  const pod = asOneOf(PODS, bare(name, spec))
  if (uid !== undefined) pod.metadata.ownerReferences = [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: uid, uid, controller: true }]
  return pod
}

namespaces('a big namespace is looked at in part, one pod of each controller first', () => {
  const many = Array.from({ length: PODS_MAX + 10 }, (_, index) => owned(`p${String(index).padStart(5, '0')}`, 'one'))
  const last = owned('z', undefined, { hostPID: true })
  assert.equal(evaluateNamespace('big', BASELINE, [...many, last], []), [
    'new PodSecurity enforce level only checked against the first 3000 of 3011 existing pods',
    'existing pods in namespace "big" violate the new PodSecurity enforce level "baseline:latest"',
    'z: host namespaces'
  ])
  assert.equal(evaluateNamespace('big', BASELINE, [owned('z', undefined, { hostPID: true, runtimeClassName: 'gvisor' })], ['gvisor']), [])
})

namespaces('of pods that violate alike the first by name is named, in whatever order they are looked at', () => {
  const bad = { hostPID: true }
  const pods = [owned('a', 'one'), owned('b', 'one', bad), owned('c', undefined, bad)]
  assert.is(evaluateNamespace('shop', BASELINE, pods, [])[1], 'b (and 1 other pod): host namespaces')
})

namespaces('labels that were wrong before labels were looked at may stay, while the rest of the namespace changes', async () => {
  const api = await given({})
  const context = { view: api.views, settings: {}, user: ADMIN } as unknown as DecideContext
  const labels = (more: Record<string, string>) => ({ ...NAMESPACE, metadata: { name: 'shop', labels: labelled(more) } })
  const write = (object: KubeObject) =>
    podSecurity({ kind: Namespace, intent: {} as Intent, object, old: labels({ enforce: 'strict' }) }, context).refusal?.status.code
  assert.is(write({ ...NAMESPACE, metadata: { name: 'shop', labels: { ...labelled({ enforce: 'strict' }), team: 'blue' } } }), undefined)
  assert.is(write(labels({ enforce: 'strictest' })), 422)
  assert.is(write(labels({ enforce: 'strict', audit: 'x' })), 422)
})

namespaces.run()
