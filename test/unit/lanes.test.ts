/** Which test files run beside which: the table says what the files do, one at a time means one at a time, and no port is given twice. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { dirname, join, relative, resolve } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { laneOf, MACHINE, runLanes, type Task } from '#test/lanes.ts'
import { callsIn } from '#test/support/calls.ts'
import { freePort } from '#test/support/ports.ts'
import { sideBySide } from '#test/support/sideBySide.ts'

const TEST = join(import.meta.dirname, '..')
const lanes = suite('lanes')

/** What a machine has once, by who reaches for it: programs, and modules outside of test/. */
const PROGRAMS = new Set([
  'docker',
  'ip',
  'iptables',
  'iptables-save',
  'iptables-restore',
  'conntrack',
  'nft',
  'sysctl',
  'modprobe',
  'systemctl'
])
const MODULES = [
  'dockerode',
  '#ops/images/images.ts',
  '#ops/setup/dockerEngine.ts',
  '#ops/setup/dockerNetwork.ts',
  '#services/network/BridgeNetwork.ts',
  '#services/platform/Conntrack.ts',
  '#services/platform/Docker.ts',
  '#services/platform/Iptables.ts'
]
/** Where what is reached for is not used: texts that are computed there, and the containers of a campaign that has none. */
const UNUSED = new Set(['integration/campaign.test.ts', 'unit/ops/images.test.ts', 'unit/ops/setup.test.ts'])

/** The modules of test/ that a file consists of, itself among them. */
const partsOf = (file: string, seen = new Set<string>()): ReadonlySet<string> => {
  if (seen.has(file) || !existsSync(file)) return seen
  seen.add(file)
  for (const [, from = ''] of readFileSync(file, 'utf8').matchAll(/(?:from|import\() ?'([^']+)'/g))
    if (from.startsWith('.')) partsOf(resolve(dirname(file), from), seen)
    else if (from.startsWith('#test/')) partsOf(join(TEST, from.slice('#test/'.length)), seen)
  return seen
}

const reasonsOf = (file: string): readonly string[] =>
  [...partsOf(file)].flatMap((part) => {
    const code = readFileSync(part, 'utf8')
    return [
      ...MODULES.filter((name) => new RegExp(`^import (?!type ).*'${name}'`, 'm').test(code)),
      ...callsIn(code).flatMap(({ program, literal }) => (literal && PROGRAMS.has(program) ? [program] : []))
    ].map((reason) => `${relative(TEST, part)}: ${reason}`)
  })

lanes('the table names the files that reach for what the machine has once, and no other', () => {
  const files = readdirSync(TEST, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.test.ts'))
  const wrong = files.flatMap((path) => {
    const reasons = UNUSED.has(path) ? [] : reasonsOf(join(TEST, path))
    const lane = reasons.length > 0 || path.startsWith('e2e/') ? 'machine' : 'own'
    return lane === laneOf(path) ? [] : [`${path} is "${laneOf(path)}" in test/lanes.ts, and should be "${lane}": ${reasons[0] ?? ''}`]
  })
  assert.equal(wrong, [])
  assert.equal(
    MACHINE.filter((part) => !files.some((path) => path.startsWith(part))),
    [],
    'these files are gone: take them from MACHINE'
  )
})

lanes('of the machine there is one at a time, as soon as it can be; everything runs once', async () => {
  const running = new Set<string>()
  const log: string[] = []
  const task = (name: string, lane: Task['lane'], stage: number, turns: number): Task => ({
    name,
    lane,
    stage,
    run: async () => {
      running.add(name)
      log.push([...running].join('+'))
      for (let n = 0; n < turns; n++) await turn()
      running.delete(name)
    }
  })
  const begun: string[] = []
  await runLanes(
    [task('a', 'own', 1, 2), task('m', 'machine', 1, 1), task('b', 'own', 2, 9), task('n', 'machine', 2, 3), task('o', 'machine', 2, 3)],
    2,
    ({ name }, beside) => void begun.push(`${name} beside ${beside.join('+')}`)
  )
  assert.equal(log, ['m', 'm+a', 'a+n', 'n+b', 'b+o'])
  assert.equal(begun, ['m beside ', 'a beside m', 'n beside a', 'b beside n', 'o beside b'])
})

lanes('a task that fails fails the run', () =>
  runLanes([{ name: 'a', lane: 'own', stage: 1, run: () => Promise.reject(new Error('of a')) }], 2, () => {}).then(
    () => assert.unreachable('it went on'),
    (error: Error) => assert.is(error.message, 'of a')
  )
)

lanes('tests side by side: so many at a time, in order, and each has its own outcome', async () => {
  const handlers: (() => Promise<void>)[] = []
  const test = sideBySide(
    ((_: string, handler: () => Promise<void>) => void handlers.push(handler)) as unknown as Parameters<typeof sideBySide>[0],
    2
  )
  const log: string[] = []
  const gates = ['a', 'b', 'c'].map((name) => {
    const gate = Promise.withResolvers<void>()
    test(name, async () => {
      log.push(name)
      await gate.promise
    })
    return gate
  })
  assert.equal(log, [])
  const first = (handlers[0] as () => Promise<void>)()
  assert.equal(log, ['a', 'b'])
  gates[1]?.reject(new Error('of b'))
  await turn()
  assert.equal(log, ['a', 'b', 'c'])
  gates[0]?.resolve()
  await first
  gates[2]?.resolve()
  await (handlers[2] as () => Promise<void>)()
  await (handlers[1] as () => Promise<void>)().then(
    () => assert.unreachable('b failed'),
    (error: Error) => assert.is(error.message, 'of b')
  )
})

lanes('a port is given once, to whatever process, and is free', async () => {
  const PORTS = 200
  const script = `import { freePort } from '#test/support/ports.ts'
    const ports = []
    for (let n = 0; n < ${PORTS}; n++) ports.push(await freePort())
    process.stdout.write(ports.join() + '\\n')
    process.stdin.resume()`
  const children = [1, 2].map(() => spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['pipe', 'pipe', 'inherit'] }))
  try {
    const given = await Promise.all(
      children.map(async ({ stdout }) => {
        let text = ''
        for await (const chunk of stdout) if ((text += String(chunk)).endsWith('\n')) break
        return text.trim().split(',').map(Number)
      })
    )
    const ports = given.flat()
    assert.is(ports.length, 2 * PORTS)
    assert.is(new Set(ports).size, 2 * PORTS)
    const [ephemeral = 0] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split('\t').map(Number)
    assert.ok(ports.every((port) => port < ephemeral))
    const [port = 0] = ports
    const server = createServer((socket) => socket.end()).listen(port, '127.0.0.1')
    await once(server, 'listening')
    await once(connect(port, '127.0.0.1').resume(), 'close')
    server.close()
  } finally {
    for (const child of children) child.kill()
  }
})
lanes.run()
