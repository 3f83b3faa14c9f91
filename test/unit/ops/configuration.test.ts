/** What the two files may say, and what is said of what they may not. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { apart, faultsOf } from '#ops/configuration.ts'
import { configPath, nodePath, readConfig, upgradeConfig, writeConfig, type ClusterConfig } from '#ops/home.ts'

const configuration = suite('configuration')

const WHOLE = {
  name: 'reckon',
  instance: 'abcde',
  nodeName: 'vm',
  apiPort: 6443,
  natsPort: 4222,
  podCIDR: '10.244.0.0/16',
  nodePodCIDR: '10.244.0.0/24',
  serviceCIDR: '10.96.0.0/16',
  clusterDNS: '10.96.0.10',
  nodePortRange: '30000-32767',
  clusterDomain: 'cluster.local',
  bridge: 'rkabcde0'
}
const faults = (change: Record<string, unknown>): readonly string[] => {
  const { cluster, node } = faultsOf(apart({ ...WHOLE, ...change }))
  return [...cluster, ...node]
}

configuration('what a cluster is made with can be used, of either family and of both', () => {
  assert.equal(faults({}), [])
  assert.equal(
    faults({ podCIDR: 'fd00:10:244::/56', nodePodCIDR: 'fd00:10:244::/64', serviceCIDR: 'fd00:10:96::/112', clusterDNS: 'fd00:10:96::a' }),
    []
  )
  assert.equal(faults({ podCIDR: '10.244.0.0/16,fd00:10:244::/56', nodePodCIDR: '' }), [])
  assert.equal(
    faults({
      settings: {
        nats: { listen: '::', names: ['log.example', '10.0.0.1'] },
        nodeCIDRMaskSize: { ipv4: 26 },
        keyframes: { every: 100 },
        keepHistory: '90d'
      },
      natsURLs: ['tls://log.example:4222', 'tls://[fd00::1]:4222'],
      caPin: `sha256:${'0'.repeat(64)}`
    }),
    []
  )
})

for (const [change, said] of [
  [{ apiPort: '6443' }, ['apiPort: "6443" can\'t be used: expected number']],
  [{ natsPort: 70_000 }, ["natsPort: 70000 can't be used: expected a port, 1 to 65535"]],
  [
    { podCIDR: '10.244.0.1/16' },
    ['podCIDR: "10.244.0.1/16" can\'t be used: expected a network, or one of each address family with a comma between']
  ],
  [
    { podCIDR: '10.244.0.0/16,10.245.0.0/16' },
    ['podCIDR: "10.244.0.0/16,10.245.0.0/16" can\'t be used: expected at most one network of each address family']
  ],
  [
    { serviceCIDR: '10.244.128.0/20', clusterDNS: '10.244.128.10' },
    ['serviceCIDR: "10.244.128.0/20" can\'t be used: it has addresses of pods (podCIDR 10.244.0.0/16)']
  ],
  [{ clusterDNS: '10.97.0.10' }, ['clusterDNS: "10.97.0.10" can\'t be used: expected an address in serviceCIDR 10.96.0.0/16']],
  [{ nodePodCIDR: '10.99.0.0/24' }, ['nodePodCIDR: "10.99.0.0/24" can\'t be used: expected a part of podCIDR 10.244.0.0/16']],
  [{ settings: { nats: { listen: 'everywhere' } } }, ['settings.nats.listen: "everywhere" can\'t be used: expected an IP address']],
  [
    { settings: { nats: { names: ['ok', 'a b'] } } },
    ['settings.nats.names[1]: "a b" can\'t be used: expected a host name or an IP address']
  ],
  [
    { settings: { nodeCIDRMaskSize: { ipv4: 12 } } },
    ["settings.nodeCIDRMaskSize.ipv4: 12 can't be used: expected 16 to 29, parts of 10.244.0.0/16 with room for pods"]
  ],
  [{ settings: { keyframes: { every: 99 } } }, ["settings.keyframes.every: 99 can't be used: expected a number of events, 100 or more"]],
  [{ settings: { keepHistroy: '90d' } }, ['settings.keepHistroy: there is no such field']],
  [
    { nodeName: 'VM!', natsURLs: ['http://x'] },
    [
      "nodeName: \"VM!\" can't be used: expected a node name: lowercase letters, digits, '-' and '.'",
      'natsURLs[0]: "http://x" can\'t be used: expected tls://HOST:PORT'
    ]
  ],
  [{ instance: 'ABCDE' }, ['instance: "ABCDE" can\'t be used: expected five lowercase letters or digits']]
] as const)
  configuration(`${JSON.stringify(change)} is refused by its name`, () => assert.equal(faults(change), said))

const home = (work: (path: string) => void): void => {
  const path = mkdtempSync(join(tmpdir(), 'reckon-config-'))
  try {
    work(path)
  } finally {
    rmSync(path, { recursive: true })
  }
}

configuration('a home of before is taken apart, and says the same', () =>
  home((path) => {
    writeFileSync(configPath(path), JSON.stringify({ ...WHOLE, settings: { keepHistory: '1d' } }))
    const before = readConfig(path) as ClusterConfig
    upgradeConfig(path, before)
    assert.equal(readConfig(path), before)
    assert.equal(JSON.parse(readFileSync(nodePath(path), 'utf8')), { nodeName: 'vm', nodePodCIDR: '10.244.0.0/24', bridge: 'rkabcde0' })
    const shared = JSON.parse(readFileSync(configPath(path), 'utf8')) as Record<string, unknown>
    assert.equal([shared['instance'], shared['nodeName'], shared['settings']], ['abcde', undefined, { keepHistory: '1d' }])
  })
)

configuration('the file is named with what is wrong in it', () =>
  home((path) => {
    writeConfig(path, WHOLE)
    writeFileSync(nodePath(path), JSON.stringify({ nodeName: 'vm', bridge: 'rkabcde0', natsURL: 'x' }))
    assert.throws(
      () => readConfig(path),
      new RegExp(`${path}/node.json can't be used: natsURL: there is no such field. See ops/docs/settings.md.`)
    )
    writeFileSync(configPath(path), '[]')
    assert.throws(() => readConfig(path), /config.json can't be read: it is no JSON object. It names the cluster; restore it/)
  })
)

configuration.run()
