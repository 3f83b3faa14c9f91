/** A home is removed under a cluster at work: nothing more is acknowledged, what writes into removed files ends, nobody starts it again. */
import { spawn, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { storeFolder, streamsFolder } from '#ops/nats/store.ts'
import { configPath, privateFolder, readConfig, writeConfig, type ClusterConfig } from '#ops/home.ts'
import { endLeftBehind } from '#ops/leftBehind.ts'
import { isNatsServerOf, runningServer } from '#ops/nats/server.ts'
import { commandOf, isClusterOf, logFile, runningCluster } from '#ops/running.ts'
import { identify, killProcess, processesWhere } from '#ops/setup/process.ts'
import { isParentOf, startSupervisor } from '#ops/supervise/supervisor.ts'
import { down } from '#ops/up.ts'
import { startPlane, type Answered, type Plane } from '#test/support/plane.ts'
import { sideBySide } from '#test/support/sideBySide.ts'

process.env['RECKON_SUPERVISOR'] = 'parent'

const KINDS = [isParentOf, isClusterOf, isNatsServerOf] as const
const left = (home: string): number => processesWhere((given) => KINDS.some((isOne) => isOne(home, given))).length
const create = (plane: Plane, name: string): Promise<Answered> =>
  plane.call('POST', '/api/v1/namespaces/default/configmaps', { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } })
const isReady = async (plane: Plane): Promise<boolean> => (await plane.call('GET', '/readyz')).status === 200

/** As `rm -rf` does it for somebody who tries again: files come while it works. */
const remove = (home: string): void => rmSync(home, { recursive: true, maxRetries: 10, retryDelay: 20 })

/**
 * What may be missed first, by how far the removal is when it is looked at: its order is the file system's, and a nats-server at work
 * makes folders of its store anew in what is half removed. config.json alone: only of a removal that takes longer than an editor.
 */
const goneWords = (home: string): readonly string[] => [
  ...[home, storeFolder(home)].flatMap((folder) => [
    `${folder} is not there any more. `,
    `${folder} is not there any more, and another folder is in its place. `
  ]),
  `${configPath(home)} is not there any more. `
]

const scene = async (work: (plane: Plane) => Promise<void>): Promise<void> => {
  const plane = await startPlane()
  try {
    await work(plane)
  } finally {
    for (const isOne of KINDS) for (const process of processesWhere((given) => isOne(plane.home, given))) await killProcess(process)
    await plane.remove()
  }
}
const supervise = async (plane: Plane): Promise<void> => {
  privateFolder(join(plane.home, 'log'))
  await startSupervisor({
    home: plane.home,
    config: plane.config,
    command: [...commandOf(plane.home), '--components', 'apiserver'],
    log: logFile(plane.home)
  })
  await plane.until('it is ready', () => isReady(plane), 60_000)
}

const all = suite('a home that is lost at work')
const lost = sideBySide(all, 2)

lost('is noticed: writes are refused with the reason, nothing is left running, and nothing made anew', () =>
  scene(async (plane) => {
    await plane.start()
    await plane.until('it is ready', () => isReady(plane))
    assert.is((await create(plane, 'before')).status, 201)
    assert.match((await plane.call('GET', '/readyz?verbose')).body, '[+]home ok\n')
    await plane.until('its start is over', async () => plane.log().includes('running: apiserver'))
    const began = performance.now()
    remove(plane.home)
    // One by one and side by side: what is on its way to nats-server when that ends gets no answer.
    const answers: Answered[] = []
    // Asked at the first refusal, for it is answered for three seconds only.
    let health: Promise<readonly [Answered, Answered]> | undefined
    const take = (answer: Answered): void => {
      answers.push(answer)
      if (answer.status === 201 || health !== undefined) return
      health = Promise.all([plane.call('GET', '/readyz/home'), plane.call('GET', '/readyz')])
      health.catch(() => {})
    }
    while (answers.every(({ status }) => status === 201)) {
      void create(plane, `after-${randomUUID()}`).then(take, () => {})
      assert.ok(performance.now() - began < 5_000, 'writes are still not refused')
      await wait(50)
    }
    const refused = answers.find(({ status }) => status !== 201) as Answered
    assert.is(refused.status, 503, refused.body)
    const { message, reason } = JSON.parse(refused.body) as { message: string; reason: string }
    assert.is(reason, 'ServiceUnavailable')
    const words = goneWords(plane.home).map((detail) => `the home ${plane.home} is gone: ${detail}Nothing is written, `)
    assert.ok(
      words.some((text) => message.startsWith(text)),
      message
    )
    const [home, ready] = (await health) as readonly [Answered, Answered]
    assert.match(home.body, `internal server error: ${message}`)
    assert.match(ready.body, '[-]home failed: reason withheld\n')
    await plane.until('everything of it ends', async () => left(plane.home) === 0, 15_000)
    assert.not(existsSync(plane.home))
    assert.match(plane.log(), `the home: ${message}`)
    assert.match(plane.log(), /nats-server \(process \d+\) is ended: its files are gone/)
    assert.not.match(plane.log(), /it is started again/)
  })
)

lost('is no home another one may be taken for: a copy in its place is not written to', () =>
  scene(async (plane) => {
    await plane.start()
    await plane.until('it is ready', () => isReady(plane))
    // Of a home at work: nats-server makes and removes folders of consumers meanwhile.
    await plane.until('it is copied', async () => {
      rmSync(`${plane.home}-copy`, { recursive: true, force: true })
      cpSync(plane.home, `${plane.home}-copy`, { recursive: true })
      return true
    })
    // At once: a look in between would find none.
    renameSync(plane.home, `${plane.home}-moved`)
    renameSync(`${plane.home}-copy`, plane.home)
    try {
      const files = (): string => readFileSync(join(plane.home, 'run/nats-server.pid'), 'utf8')
      const pid = files()
      // The home is looked at before its store, and may be the old one still.
      const words = [plane.home, storeFolder(plane.home)].map(
        (folder) =>
          `the home ${plane.home} is gone: ${folder} is not there any more, and another folder is in its place. Nothing is written`
      )
      await plane.until('writes are refused', async () => {
        const { body } = await plane.call('GET', '/readyz/home')
        return words.some((text) => body.includes(text))
      })
      await plane.until('everything of it ends', async () => left(plane.home) === 0, 15_000)
      assert.is(files(), pid)
    } finally {
      rmSync(`${plane.home}-moved`, { recursive: true })
    }
  })
)

lost('is noticed by who only explains what is wrong with its log, too', () =>
  scene(async (plane) => {
    await plane.start()
    await plane.until('it is ready', () => isReady(plane))
    assert.is((await create(plane, 'before')).status, 201)
    await plane.kill()
    await plane.killNats()
    rmSync(join(streamsFolder(plane.home), 'EVENTS'), { recursive: true })
    await plane.start()
    await plane.until('it explains', async () => /^\[-\]log failed: EVENTS/.test((await plane.call('GET', '/readyz')).body), 60_000)
    remove(plane.home)
    await plane.until('everything of it ends', async () => left(plane.home) === 0, 15_000)
  })
)

lost('goes on while its settings are changed', () =>
  scene(async (plane) => {
    await plane.start()
    await plane.until('it is ready', () => isReady(plane))
    writeConfig(plane.home, { ...(readConfig(plane.home) as ClusterConfig), settings: { keepHistory: '90d' } })
    await wait(2_500)
    assert.is((await create(plane, 'after')).status, 201)
  })
)

lost('has nobody who starts it again', () =>
  scene(async (plane) => {
    await supervise(plane)
    await plane.until('its start is over', async () => readFileSync(logFile(plane.home), 'utf8').includes('running: apiserver'))
    remove(plane.home)
    await plane.until('everything of it ends', async () => left(plane.home) === 0, 15_000)
    assert.not(existsSync(plane.home))
  })
)

lost('whoever did not notice is ended when a person turns to the path again', () =>
  scene(async (plane) => {
    await supervise(plane)
    const cluster = runningCluster(plane.home)?.pid as number
    const nats = runningServer(plane.home)?.pid
    // It can't look.
    process.kill(cluster, 'SIGSTOP')
    remove(plane.home)
    const said: string[] = []
    await endLeftBehind(plane.home, (line) => void said.push(line))
    assert.equal(
      said.map((line) => line.replace(/supervisor \(process \d+\)/, 'supervisor')),
      [
        'left of the cluster whose home is gone, and ended now: its supervisor',
        `left of the cluster whose home is gone, and ended now: its control plane and agent (process ${cluster})`,
        `left of the cluster whose home is gone, and ended now: its nats-server (process ${nats})`
      ]
    )
    assert.is(left(plane.home), 0)
    assert.not(existsSync(plane.home))
  })
)

lost('`reckon down` ends it as well, though there is no cluster to stop', () =>
  scene(async (plane) => {
    await plane.start()
    plane.signal('SIGSTOP')
    remove(plane.home)
    const said: string[] = []
    await down({ home: plane.home, report: (line) => void said.push(line) })
    assert.is(left(plane.home), 0)
    assert.is(said.length, 3, said.join('\n'))
    assert.is(said.at(-1), `there is no cluster in ${plane.home}`)
  })
)

const SCRIPT = join(import.meta.dirname, '../../ops/supervise/supervise.sh')

/** The small parent alone, of a program that lives as long as the file `live` is there. */
const parentOf = (folder: string, pauses: string): { readonly child: ChildProcess; output(): string; starts(): number } => {
  const run = privateFolder(join(folder, 'run'))
  writeFileSync(join(folder, 'live'), '')
  const program = `echo started >>'${folder}/starts'; while [ -e '${folder}/live' ]; do sleep 0.05; done`
  const child = spawn('sh', [SCRIPT, run, pauses, '1000', '200', 'sh', '-c', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const startsFile = join(folder, 'starts')
  return {
    child,
    output: () => output,
    starts: () => (existsSync(startsFile) ? readFileSync(startsFile, 'utf8').split('\n').length - 1 : 0)
  }
}
const until = async (what: string, done: () => boolean): Promise<void> => {
  for (const deadline = Date.now() + 10_000; !done(); await wait(20)) assert.ok(Date.now() < deadline, what)
}
const OTHER = 'supervisor=1\nrestarts=0\n'

for (const [what, pauses, begun, lose] of [
  ['while the program runs', '0', async () => {}, (folder: string) => rmSync(join(folder, 'live'))],
  [
    'in a pause',
    '0.5',
    async (folder: string, output: () => string) => {
      rmSync(join(folder, 'live'))
      await until('it pauses', () => output().includes('it is started again in 0.5 s'))
    },
    () => {}
  ]
] as const)
  lost(`the parent ends when its folder is another one, ${what}, and leaves that one alone`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'reckon-parent-'))
    const { child, output, starts } = parentOf(folder, pauses)
    try {
      await until('the program runs', () => starts() === 1)
      await begun(folder, output)
      rmSync(join(folder, 'run'), { recursive: true })
      mkdirSync(join(folder, 'run'))
      for (const [name, text] of [
        ['supervisor.lock', ''],
        ['supervisor', OTHER]
      ] as const)
        writeFileSync(join(folder, 'run', name), text)
      lose(folder)
      const [code] = (await once(child, 'exit', { signal: AbortSignal.timeout(10_000) })) as [number]
      assert.is(code, 0)
      assert.is(starts(), 1)
      assert.is(readFileSync(join(folder, 'run/supervisor'), 'utf8'), OTHER)
      assert.match(output(), `supervisor: ${join(folder, 'run')} is gone, or another one: the control plane is not started again\n`)
    } finally {
      rmSync(join(folder, 'live'), { force: true })
      if (identify(child.pid as number) !== undefined) child.kill('SIGKILL')
      rmSync(folder, { recursive: true, force: true })
    }
  })
all.run()
