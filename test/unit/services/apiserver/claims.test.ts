/** Claims: given Services and their addresses and ports, when they come, change and go, then each has one owner, whoever decides. */
import { at, textAt } from '#test/support/kinds.ts'
import { IP_ADDRESSES, SERVICES } from '#events/collections.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ResourceRef } from '#events/Key.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { bodyOf, encodeEvent, type NewEvent } from '#events/Event.ts'
import { subjectOf, type StreamName } from '#events/Subject.ts'
import { ClaimRepair } from '#services/apiserver/claims/ClaimRepair.ts'
import { mend } from '#services/apiserver/claims/decide.ts'
import { NODE_PORTS } from '#services/apiserver/claims/service.ts'
import { ApiDecider } from '#services/apiserver/Decider.ts'
import { sleep, systemClock } from '#services/platform/Clock.ts'
import { MemoryLog } from '#services/platform/MemoryLog.ts'
import { accepted, ADMIN, refused, startTestApi, type TestApi } from '#test/support/api.ts'
import { claimFaults } from '#test/support/claims.ts'
import { SETTINGS, settled, startServers, type Server } from '#test/support/servers.ts'

const CIDRS = { group: 'networking.k8s.io', resource: 'servicecidrs' }
const service = (name: string, spec: Record<string, unknown> = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name },
  spec: { selector: { app: 'web' }, ports: [{ port: 80 }], ...spec }
})
const nodePort = (name: string, ...ports: Record<string, unknown>[]): KubeObject =>
  service(name, { type: 'NodePort', ports: ports.length > 0 ? ports : [{ port: 80 }] })
const patch = (api: TestApi, name: string, body: unknown) =>
  api.submit({ verb: 'patch', ref: SERVICES, namespace: 'default', name, patch: { type: 'application/merge-patch+json', body } })
const remove = (api: TestApi, name: string) => api.submit({ verb: 'delete', ref: SERVICES, namespace: 'default', name })
const claimOf = (api: TestApi, ref: ResourceRef, name: string) => api.views.get({ ...ref, namespace: '', name })?.object

const claims = suite('claims')
claims('come with a Service in one batch, under its name, before it', async () => {
  const api = await startTestApi()
  const made = accepted(await api.create(nodePort('web')))
  const [ip, port] = [at(made, 'spec.clusterIP') as string, at(made, 'spec.ports.0.nodePort') as number]
  const address = claimOf(api, IP_ADDRESSES, ip) as KubeObject
  assert.equal(address['spec'], { parentRef: { resource: 'services', namespace: 'default', name: 'web' } })
  assert.equal(address.metadata.labels, {
    'ipaddress.kubernetes.io/ip-family': 'IPv4',
    'ipaddress.kubernetes.io/managed-by': 'ipallocator.k8s.io'
  })
  assert.match(address.metadata.uid ?? '', /^[0-9a-f-]{36}$/)
  const sequence = Number(made.metadata.resourceVersion)
  assert.equal(
    [address, claimOf(api, NODE_PORTS, String(port))].map((one) => Number(one?.metadata.resourceVersion)),
    [sequence - 2, sequence - 1]
  )
  assert.equal(claimFaults(api.views), [])
})
claims('change and go with it', async () => {
  const api = await startTestApi()
  const made = accepted(await api.create(nodePort('web', { name: 'a', port: 80 }, { name: 'b', port: 81 })))
  const [first, second] = at(made, 'spec.ports') as { nodePort: number }[]
  accepted(await patch(api, 'web', { spec: { ports: [{ name: 'a', port: 80, nodePort: first?.nodePort }] } }))
  assert.ok(claimOf(api, NODE_PORTS, String(first?.nodePort)))
  assert.is(claimOf(api, NODE_PORTS, String(second?.nodePort)), undefined)
  accepted(await patch(api, 'web', { spec: { type: 'ClusterIP' } }))
  assert.is(claimOf(api, NODE_PORTS, String(first?.nodePort)), undefined)
  accepted(await patch(api, 'web', { spec: { type: 'ExternalName', externalName: 'example.com', clusterIP: null, clusterIPs: null } }))
  assert.is(claimOf(api, IP_ADDRESSES, textAt(made, 'spec.clusterIP')), undefined)
  accepted(await patch(api, 'web', { spec: { type: 'NodePort', externalName: null } }))
  assert.equal(claimFaults(api.views), [])
  accepted(await remove(api, 'web'))
  assert.equal(claimFaults(api.views), [])
  assert.is(api.views.collection(NODE_PORTS).size, 0)
})
claims('an address that is given stays: another is refused, in either field, and so is a pair that does not match', async () => {
  const api = await startTestApi()
  const { clusterIP } = accepted(await api.create(service('web')))['spec'] as { clusterIP: string }
  const fixed = 'spec.clusterIPs[0]: Invalid value: ["10.96.0.77"]: may not change once set'
  for (const spec of [{ clusterIP: '10.96.0.77' }, { clusterIP: '10.96.0.77', clusterIPs: ['10.96.0.77'] }])
    assert.ok(refused(await patch(api, 'web', { spec })).endsWith(fixed))
  assert.match(refused(await patch(api, 'web', { spec: { clusterIPs: ['10.96.0.77'] } })), /first value must match `clusterIP`/)
  assert.match(refused(await patch(api, 'web', { spec: { clusterIP: '192.0.2.1' } })), /may not change once set/)
  assert.is(at(accepted(await patch(api, 'web', { spec: { clusterIP: null } })), 'spec.clusterIP'), clusterIP)
  assert.match(
    refused(await api.create(service('pair', { clusterIP: '10.96.0.78', clusterIPs: ['10.96.0.79'] }))),
    /first value must match `clusterIP`/
  )
  assert.match(
    refused(await api.create(service('half', { clusterIPs: ['10.96.0.79'] }))),
    /must be empty when `clusterIP` is not specified/
  )
  accepted(await api.create(service('none', { clusterIP: 'None' })))
  assert.match(refused(await patch(api, 'none', { spec: { clusterIP: '10.96.0.77' } })), /may not change once set/)
  assert.equal(claimFaults(api.views), [])
})
claims('stay while a finalizer keeps the Service', async () => {
  const api = await startTestApi()
  const clusterIP = textAt(
    accepted(await api.create({ ...service('held'), metadata: { name: 'held', finalizers: ['example.com/balancer'] } })),
    'spec.clusterIP'
  )
  accepted(await remove(api, 'held'))
  assert.ok(claimOf(api, IP_ADDRESSES, clusterIP))
  accepted(await patch(api, 'held', { metadata: { finalizers: null } }))
  assert.is(claimOf(api, IP_ADDRESSES, clusterIP), undefined)
})
claims('of one number are one for TCP and UDP of a Service, and nobody else has it', async () => {
  const api = await startTestApi()
  const made = accepted(
    await api.create(nodePort('dns', { name: 't', port: 53, protocol: 'TCP' }, { name: 'u', port: 53, protocol: 'UDP' }))
  )
  const [tcp, udp] = at(made, 'spec.ports') as { nodePort: number }[]
  assert.is(tcp?.nodePort, udp?.nodePort)
  assert.match(
    refused(await api.create(nodePort('other', { port: 53, protocol: 'UDP', nodePort: udp?.nodePort }))),
    /provided port is already allocated/
  )
  assert.equal(claimFaults(api.views), [])
})
claims("of one number twice are told of in upstream's words", async () => {
  const api = await startTestApi()
  const twice = nodePort('twice', { name: 'a', port: 80, nodePort: 30080 }, { name: 'b', port: 81, nodePort: 30080 })
  const said = 'spec.ports[1].nodePort: Duplicate value: 30080'
  assert.is(refused(await api.create(twice)), `422 Invalid: Service "twice" is invalid: ${said}`)
  accepted(await api.create(nodePort('twice', { name: 'a', port: 80, nodePort: 30080 })))
  assert.ok(refused(await patch(api, 'twice', { spec: { ports: (twice['spec'] as { ports: unknown }).ports } })).endsWith(said))
})
claims('of a person hold an address as well', async () => {
  const api = await startTestApi()
  accepted(
    await api.create({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'IPAddress',
      metadata: { name: '10.96.5.5' },
      spec: { parentRef: { resource: 'services', namespace: 'default', name: 'later' } }
    } as unknown as KubeObject)
  )
  assert.match(
    refused(await api.create(service('now', { clusterIP: '10.96.5.5' }))),
    /failed to allocate IP 10.96.5.5: provided IP is already allocated/
  )
  accepted(await api.create(service('later', { clusterIP: '10.96.5.5' })))
})
claims('that nobody asked for keep out of the part of a range that people ask for, while there is room', async () => {
  const api = await startTestApi(systemClock, { nodePorts: [30000, 30063] })
  const specs = await Promise.all(Array.from({ length: 40 }, async (_, n) => accepted(await api.create(nodePort(`s${n}`)), SERVICES).spec))
  for (const { clusterIP, ports } of specs) {
    const [, , third, fourth] = (clusterIP ?? '').split('.').map(Number) as [number, number, number, number]
    assert.ok(third > 0 || fourth === 255, clusterIP)
    assert.ok(Number(ports?.[0]?.nodePort) >= 30016, String(ports?.[0]?.nodePort))
  }
})
claims('are not made by dry runs', async () => {
  const api = await startTestApi()
  const before = await api.logs.EVENTS.lastSequence()
  accepted(await api.create(nodePort('dry'), { options: { dryRun: true } }))
  assert.is(await api.logs.EVENTS.lastSequence(), before)
})
claims.run()

const networks = suite('networks')
const addCIDR = async (api: TestApi, name: string, cidr: string): Promise<void> => {
  accepted(
    await api.create({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'ServiceCIDR',
      metadata: { name },
      spec: { cidrs: [cidr] }
    } as unknown as KubeObject)
  )
  const conditions = [{ type: 'Ready', status: 'True', reason: '', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' }]
  accepted(
    await api.submit({
      verb: 'patch',
      ref: CIDRS,
      name,
      subresource: 'status',
      patch: { type: 'application/merge-patch+json', body: { status: { conditions } } }
    })
  )
}
networks('begin with the one the cluster was set up with, ready', async () => {
  const api = await startTestApi()
  const first = api.get({ apiVersion: 'networking.k8s.io/v1', kind: 'ServiceCIDR', name: 'kubernetes' })
  assert.equal(first?.['spec'], { cidrs: ['10.96.0.0/16'] })
  assert.is(at(first, 'status.conditions.0.status'), 'True')
})
networks('are added when one is full, of either family', async () => {
  const api = await startTestApi(systemClock, { serviceCIDR: '10.96.0.0/16' })
  await addCIDR(api, 'six', 'fd00:1::/112')
  const made = accepted(await api.create(service('six', { ipFamilies: ['IPv6'] })))
  assert.match(textAt(made, 'spec.clusterIP'), /^fd00:1::/)
  assert.is(claimOf(api, IP_ADDRESSES, textAt(made, 'spec.clusterIP'))?.metadata.labels?.['ipaddress.kubernetes.io/ip-family'], 'IPv6')
  const both = accepted(await api.create(service('both', { ipFamilyPolicy: 'RequireDualStack' })))
  assert.equal(at(both, 'spec.ipFamilies'), ['IPv4', 'IPv6'])
  assert.is(at(both, 'spec.clusterIPs.length'), 2)
  assert.match(
    refused(await api.create(service('far', { clusterIP: '192.168.1.1' }))),
    /The range of valid IPs is 10.96.0.0\/16, fd00:1::\/112/
  )
  await addCIDR(api, 'more', '192.168.0.0/16')
  accepted(await api.create(service('far', { clusterIP: '192.168.1.1' })))
  assert.equal(claimFaults(api.views), [])
})
networks('give out nothing before they are ready, and both families only where both are', async () => {
  const api = await startTestApi()
  accepted(
    await api.create({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'ServiceCIDR',
      metadata: { name: 'early' },
      spec: { cidrs: ['192.168.0.0/16'] }
    } as unknown as KubeObject)
  )
  assert.match(refused(await api.create(service('early', { clusterIP: '192.168.1.1' }))), /is not in the valid range/)
  assert.match(
    refused(await api.create(service('two', { ipFamilyPolicy: 'RequireDualStack' }))),
    /spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services/
  )
  assert.match(
    refused(await api.create(service('six', { ipFamilies: ['IPv6'] }))),
    /spec.ipFamilies\[0\]: Invalid value: "IPv6": not configured on this cluster/
  )
})
networks.run()

const repair = suite('repair')
const repairOf = (api: { views: TestApi['views']; decider: ApiDecider }, told: unknown[] = []) =>
  new ClaimRepair({ ...api, clock: systemClock, onError: (error) => told.push(error) })
/** Stores an event as an older version did: with no claims. */
const storeRaw = async (api: TestApi, object: KubeObject, key: NewEvent['key'], deleted = false): Promise<void> => {
  const event = {
    stream: 'EVENTS',
    key,
    id: systemClock.uuid(),
    type: 't',
    source: 's',
    time: '2026-01-01T00:00:00.000Z',
    user: 'u',
    correlationId: 'c',
    verb: 'create',
    deleted,
    object,
    expected: api.views.of(key).objects.head(key)
  } as const
  const { headers, text } = encodeEvent(event)
  const stored = await api.logs.EVENTS.append([{ subject: subjectOf('EVENTS', key), headers, text, expected: event.expected }])
  assert.ok(stored.ok)
  await api.views.of(key).waitFor(stored.last)
}
repair('claims what Services of before there were claims have, and nobody gets it meanwhile', async () => {
  const api = await startTestApi()
  const old = {
    ...service('old', {
      type: 'NodePort',
      clusterIP: '10.96.9.9',
      clusterIPs: ['10.96.9.9'],
      ports: [{ port: 80, protocol: 'TCP', nodePort: 31000 }]
    })
  }
  await storeRaw(
    api,
    { ...old, metadata: { ...old.metadata, namespace: 'default', uid: 'u1' } },
    { ...SERVICES, namespace: 'default', name: 'old' }
  )
  assert.match(refused(await api.create(service('new', { clusterIP: '10.96.9.9' }))), /already allocated/)
  assert.match(refused(await api.create(nodePort('new', { port: 80, nodePort: 31000 }))), /already allocated/)
  assert.is(claimFaults(api.views).length, 2)
  assert.is(await repairOf(api).run(), 1)
  assert.equal(claimFaults(api.views), [])
  assert.is(await repairOf(api).run(), 0)
  accepted(await remove(api, 'old'))
  assert.equal(claimFaults(api.views), [])
})
repair('puts an address back as soon as somebody has taken it away, and none whose Service goes with it', async () => {
  const api = await startTestApi()
  const told: unknown[] = []
  const looks = repairOf(api, told)
  looks.start()
  try {
    const { clusterIP } = accepted(await api.create(service('web')))['spec'] as { clusterIP: string }
    const key = { ...IP_ADDRESSES, namespace: '', name: clusterIP }
    const view = api.views.of(IP_ADDRESSES)
    const types: string[] = []
    let back = (): void => {}
    const restored = new Promise<void>((resolve) => (back = resolve))
    const subscription = view.subscribe(({ type, entry }) => {
      if (entry.key.name !== clusterIP || entry.key.resource !== IP_ADDRESSES.resource) return
      types.push(type)
      if (type === 'ADDED') back()
    })
    accepted(await api.submit({ verb: 'delete', ref: IP_ADDRESSES, name: clusterIP }))
    await restored
    assert.ok(view.objects.get(key))
    assert.equal(claimFaults(api.views), [])
    accepted(await remove(api, 'web'))
    const last = await api.logs.EVENTS.lastSequence()
    await sleep(systemClock, 200)
    assert.is(await api.logs.EVENTS.lastSequence(), last)
    assert.equal(types, ['DELETED', 'ADDED', 'DELETED'])
    subscription.close()
    assert.equal(told, [])
  } finally {
    looks.stop()
  }
})
repair('gives back what nobody uses, puts back what somebody took away, and leaves alone what a person keeps', async () => {
  const api = await startTestApi()
  const made = accepted(await api.create(nodePort('web')))
  const key = { ...SERVICES, namespace: 'default', name: 'web' }
  const address = {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'IPAddress',
    metadata: { name: '10.96.7.7' },
    spec: { parentRef: { resource: 'services', namespace: 'default', name: 'mine' } }
  } as unknown as KubeObject
  accepted(await api.create(address))
  // Gone without its claims, as no version of ours does it.
  await storeRaw(api, JSON.parse(bodyOf(made)) as KubeObject, key, true)
  assert.is(claimFaults(api.views).length, 3)
  assert.is(await repairOf(api).run(), 1)
  assert.equal(claimFaults(api.views), ['10.96.7.7 is claimed by mine and used by nobody'])
  const clusterIP = textAt(accepted(await api.create(service('other'))), 'spec.clusterIP')
  accepted(await api.submit({ verb: 'delete', ref: IP_ADDRESSES, name: clusterIP }))
  assert.is(await repairOf(api).run(), 1)
  assert.ok(claimOf(api, IP_ADDRESSES, clusterIP))
})
repair('gives back nothing that came into use since it looked', async () => {
  const api = await startTestApi()
  const clusterIP = textAt(accepted(await api.create(service('web'))), 'spec.clusterIP')
  const owner = { ...SERVICES, namespace: 'default', name: 'web' }
  const suspected = { owner, leaked: [{ ...IP_ADDRESSES, namespace: '', name: clusterIP as string }] }
  assert.not.ok(await api.decider.mend(owner, ADMIN, (context) => mend(suspected, { id: 'r', source: 'apiserver', user: 'u' }, context)))
  assert.ok(claimOf(api, IP_ADDRESSES, clusterIP))
})
repair('tells of an address two Services have, once, and takes it from none', async () => {
  const api = await startTestApi()
  const clusterIP = textAt(accepted(await api.create(service('first'))), 'spec.clusterIP')
  const twin = service('twin', { clusterIP, clusterIPs: [clusterIP] })
  await storeRaw(
    api,
    { ...twin, metadata: { name: 'twin', namespace: 'default', uid: 'u2' } },
    { ...SERVICES, namespace: 'default', name: 'twin' }
  )
  const told: Error[] = []
  const mine = repairOf(api, told)
  assert.is(await mine.run(), 0)
  assert.is(await mine.run(), 0)
  assert.equal(
    told.map(({ message }) => message),
    [`the Service default/twin uses ipaddresses ${clusterIP}, which is claimed by somebody else: recreate one of them`]
  )
  assert.is(at(claimOf(api, IP_ADDRESSES, clusterIP), 'spec.parentRef.name'), 'first')
  accepted(await remove(api, 'twin'))
  assert.ok(claimOf(api, IP_ADDRESSES, clusterIP))
})
repair.run()

const race = suite('two API servers')
const twoServers = async (
  settings: Partial<typeof SETTINGS> | Record<string, unknown> = {},
  count = 2
): Promise<{ servers: readonly Server[]; log: MemoryLog }> => {
  const logs = Object.fromEntries(
    (['EVENTS', 'NOTICES', 'PULSE'] as const).map((stream) => [stream, new MemoryLog(stream, systemClock)])
  ) as Record<StreamName, MemoryLog>
  return {
    servers: await startServers(count, (stream) => logs[stream], systemClock, { settings: { ...SETTINGS, ...settings } }),
    log: logs.EVENTS
  }
}
race('give no address and no port twice, and lose none', async () => {
  const { servers } = await twoServers({ serviceCIDR: '10.96.0.0/26', nodePorts: [30000, 30039] }, 3)
  const made = await Promise.all(Array.from({ length: 90 }, (_, n) => (servers[n % 3] as Server).create(nodePort(`s${n}`))))
  const good = made.filter(({ ok }) => ok)
  // As many as there are ports: whoever got none was told that the range is full.
  assert.is(good.length, 40)
  for (const result of made)
    if (!result.ok) assert.match(result.status.message ?? '', /range 30000-30039 is full|range 10.96.0.0\/26 is full/)
  await settled(servers)
  for (const { views } of servers) assert.equal(claimFaults(views), [])
  await Promise.all(good.map((result, n) => (servers[(n + 1) % 3] as Server).remove('services', accepted(result).metadata.name as string)))
  await settled(servers)
  for (const { views } of servers) {
    assert.equal(claimFaults(views), [])
    assert.is(views.collection(NODE_PORTS).size, 0)
  }
})
race('who ask for the same address and port: one has both, the others are told', async () => {
  const { servers } = await twoServers({}, 3)
  for (let round = 0; round < 10; round++) {
    const asked = await Promise.all(
      servers.flatMap((server, n) =>
        ['a', 'b'].map((half) =>
          server.create(
            service(`r${round}-${n}${half}`, {
              type: 'NodePort',
              clusterIP: `10.96.3.${round + 20}`,
              ports: [{ port: 80, nodePort: 31000 + round }]
            })
          )
        )
      )
    )
    assert.is(asked.filter(({ ok }) => ok).length, 1)
    for (const result of asked) if (!result.ok) assert.match(result.status.message ?? '', /already allocated/)
  }
  await settled(servers)
  for (const { views } of servers) assert.equal(claimFaults(views), [])
})
race('who swap ports between their Services do not wait for each other for ever', async () => {
  const { servers } = await twoServers()
  for (const [n, port] of [31001, 31002].entries())
    accepted(await (servers[0] as Server).create(nodePort(`s${n}`, { port: 80, nodePort: port })))
  await settled(servers)
  const swap = (server: Server, name: string, port: number) =>
    server.submit({
      verb: 'patch',
      ref: SERVICES,
      name,
      patch: { type: 'application/merge-patch+json', body: { spec: { ports: [{ port: 80, nodePort: port }] } } }
    })
  await Promise.all(Array.from({ length: 40 }, (_, n) => swap(servers[n % 2] as Server, `s${n % 2}`, 31001 + (n % 3))))
  await settled(servers)
  for (const { views } of servers) assert.equal(claimFaults(views), [])
})
race('make one object of a name that is made up, however often it is asked for', async () => {
  const { servers, log } = await twoServers({}, 3)
  const before = await log.lastSequence()
  const asked = await Promise.all(
    servers.flatMap((server) =>
      [1, 2].map(() =>
        server.create({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { generateName: 'made-' } }, { id: 'the same', again: true })
      )
    )
  )
  assert.is(new Set(asked.map((result) => accepted(result).metadata.name)).size, 1)
  assert.is(await log.lastSequence(), before + 1)
})
race('decide on one of them as if they were one after the other: the log refuses nothing', async () => {
  const { servers, log } = await twoServers({ serviceCIDR: '10.96.0.0/26', nodePorts: [30000, 30049] }, 1)
  let refusals = 0
  const append = log.append.bind(log)
  log.append = async (appends) => {
    const result = await append(appends)
    if (!result.ok) refusals += 1
    return result
  }
  const made = await Promise.all(Array.from({ length: 45 }, (_, n) => (servers[0] as Server).create(nodePort(`s${n}`))))
  assert.is(made.filter(({ ok }) => ok).length, 45)
  assert.is(refusals, 0)
})
race('mend nothing of a Service that is gone, though this one has not heard of it', async () => {
  let lag = 0
  const open = (stream: StreamName): MemoryLog => new MemoryLog(stream, systemClock, { faults: { deliver: () => lag } })
  const logs = { EVENTS: open('EVENTS'), NOTICES: open('NOTICES'), PULSE: open('PULSE') }
  const servers = await startServers(2, (stream) => logs[stream], systemClock, { settings: SETTINGS })
  const [one, other] = servers as [Server, Server]
  const clusterIP = textAt(accepted(await one.create(service('web'))), 'spec.clusterIP')
  await settled(servers)
  const claim = { ...IP_ADDRESSES, namespace: '', name: clusterIP as string }
  accepted(await one.submit({ verb: 'delete', ref: IP_ADDRESSES, namespace: '', name: clusterIP }))
  await settled(servers)
  lag = 100
  const last = await logs.EVENTS.lastSequence()
  const removed = one.remove('services', 'web')
  while ((await logs.EVENTS.lastSequence()) === last) await new Promise((resolve) => setImmediate(resolve))
  assert.ok(other.views.get({ ...SERVICES, namespace: 'default', name: 'web' }), 'it has not heard of it')
  assert.is(await repairOf(other).run(), 0)
  accepted(await removed)
  await settled(servers)
  for (const { views } of servers) assert.is(views.get(claim), undefined)
})
race.run()
