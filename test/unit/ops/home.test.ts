/** A cluster's home: where it is, and the networks a new cluster takes. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { resolveHome } from '#ops/environment.ts'
import { chooseNetworks, nodeNameOf, parseRoutes } from '#ops/home.ts'

const home = suite('home')

home('RECKON_HOME wins, then XDG_DATA_HOME, then the home folder', () => {
  assert.is(resolveHome({ RECKON_HOME: '/a', XDG_DATA_HOME: '/x', HOME: '/h' }), '/a')
  assert.is(resolveHome({ XDG_DATA_HOME: '/x', HOME: '/h' }), '/x/reckon')
  assert.is(resolveHome({ RECKON_HOME: '', XDG_DATA_HOME: '', HOME: '/h' }), '/h/.local/share/reckon')
  assert.is(resolveHome({ RECKON_HOME: '/a', RECKON_HOME_OLD: '/b' }), '/a')
})

home('a host name becomes a valid node name', () => {
  assert.is(nodeNameOf('My_Host.example.'), 'my-host.example')
  assert.is(nodeNameOf('--'), 'node')
  assert.is(nodeNameOf('x'.repeat(80)).length, 63)
})

const TABLE = `Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
rk0\t0000F40A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
`

home("routes are read from the kernel's table", () => {
  assert.equal(parseRoutes(TABLE), [
    [0, 0],
    [0x0af40000, 0xffffff00]
  ])
})

home('the first cluster takes the usual networks, the default route does not count', () => {
  assert.equal(chooseNetworks([[0, 0]]), {
    podCIDR: '10.244.0.0/16',
    nodePodCIDR: '10.244.0.0/24',
    serviceCIDR: '10.96.0.0/16',
    clusterDNS: '10.96.0.10',
    nodePortRange: '30000-32767'
  })
})

home('a second cluster takes others, node ports included', () => {
  assert.equal(chooseNetworks(parseRoutes(TABLE)), {
    podCIDR: '10.243.0.0/16',
    nodePodCIDR: '10.243.0.0/24',
    serviceCIDR: '10.97.0.0/16',
    clusterDNS: '10.97.0.10',
    nodePortRange: '27232-29999'
  })
})

home('a machine inside 10.0.0.0/8 has no room', () => {
  assert.throws(() => chooseNetworks([[0x0a000000, 0xff000000]]), /every network/)
})

home('every setting is in its page', () => {
  const [types, disk, page] = ['ops/home.ts', 'services/platform/disk/decide.ts', 'ops/docs/settings.md'].map((path) =>
    readFileSync(join(import.meta.dirname, '../../..', path), 'utf8')
  ) as [string, string, string]
  const fields = (text: string, name: string): string[] =>
    [...(text.split(`export interface ${name} {`)[1] as string).split('\n}')[0]!.matchAll(/^ {2}readonly (\w+)/gm)].map(
      ([, field]) => field as string
    )
  const settings = fields(types, 'Settings')
  assert.ok(settings.includes('components') && settings.length >= 7)
  const inner = {
    nats: fields(types, 'NatsSettings'),
    nodeCIDRMaskSize: fields(types, 'NodeCIDRMaskSize'),
    backup: fields(types, 'BackupSettings'),
    keyframes: ['every'],
    disk: fields(disk, 'DiskSettings'),
    scrub: [...(/scrub\?: \{(.*)\}/.exec(types)?.[1] ?? '').matchAll(/readonly (\w+)/g)].map(([, field]) => field as string)
  } as Readonly<Record<string, readonly string[]>>
  assert.is(inner['scrub']?.length, 2)
  for (const name of settings.flatMap((setting) => inner[setting]?.map((field) => `${setting}.${field}`) ?? [setting]))
    assert.match(page, `| \`settings.${name}\` |`)
  for (const [, file] of page.matchAll(/\]\((\w[\w-]*\.md)\)/g))
    assert.ok(existsSync(join(import.meta.dirname, '../../../ops/docs', file as string)), file)
})

home.run()
