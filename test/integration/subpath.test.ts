/** subPath on real mounts: what is checked is what is mounted, nothing is made outside of the volume, and no mount is left. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import type { Container, Volume } from '#events/schema/generated/core.v1.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { DiskPodFiles } from '#services/kubelet/volumes/PodFiles.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { inOwnMounts } from '#test/support/smallDisk.ts'
import { bindingOf } from './kubelet.fixture.ts'

const FACTS = { podIP: '10.244.0.2', hostIP: '192.0.2.1', nodeName: 'n', cores: 1, memory: 2 ** 30 }
const UID = 'uid-p'

const lab = () => {
  const base = realpathSync(mkdtempSync(join(tmpdir(), 'reckon-sub-')))
  // A home whose name mountinfo writes otherwise, behind a link.
  mkdirSync(join(base, 'the home'))
  symlinkSync('the home', join(base, 'home'))
  const folder = join(base, 'home/kubelet')
  const outside = join(base, 'outside')
  mkdirSync(join(outside, 'deep'), { recursive: true })
  writeFileSync(join(outside, 'secret'), "the machine's")
  writeFileSync(join(outside, 'deep/secret'), "the machine's")
  const warnings: string[] = []
  const newFiles = () =>
    new DiskPodFiles(
      folder,
      systemClock,
      () => ({ clusterDNS: [], clusterDomain: 'cluster.local', node: '' }),
      ({ message }) => void warnings.push(message)
    )
  const pod = (volume: Partial<Volume>, ...subPaths: readonly string[]) => {
    const container: Container = {
      name: 'main',
      image: 'i',
      volumeMounts: subPaths.map((subPath, index) => ({ name: 'data', mountPath: `/m${index}`, subPath }))
    }
    return bindingOf('p', { containers: [container], volumes: [{ name: 'data', ...volume }] })
  }
  const start = async (binding: ReturnType<typeof pod>, files = newFiles()): Promise<readonly string[]> => {
    await files.prepare(binding, FACTS)
    const container = binding.pod.spec?.containers[0] as Container
    const mounts = await files.mounts(binding, container, 0, FACTS, new Map([['UP', '..']]))
    return mounts.filter(({ target }) => target.startsWith('/m')).map(({ source }) => source)
  }
  return {
    outside,
    warnings,
    newFiles,
    pod,
    start,
    /** An emptyDir's folder. */
    volume: join(folder, 'pods', UID, 'volumes/data'),
    podFolder: join(folder, 'pods', UID),
    mounted: () =>
      readFileSync('/proc/self/mountinfo', 'utf8')
        .split('\n')
        .filter((line) => line.includes(base.slice(tmpdir().length))),
    refusal: async (binding: ReturnType<typeof pod>): Promise<string> =>
      start(binding).then(
        () => 'none',
        (error: Error) => `${error.name}: ${error.message}`
      ),
    close: async () => {
      await newFiles().removeAll()
      rmSync(base, { recursive: true })
    }
  }
}
type Lab = ReturnType<typeof lab>

const inLab = (work: (lab: Lab) => Promise<void>) => async () => {
  const one = lab()
  try {
    await work(one)
    assert.equal(readdirSync(one.outside, { recursive: true }).sort(), ['deep', 'deep/secret', 'secret'], 'outside is as it was')
  } finally {
    await one.close()
    assert.equal(one.mounted(), [])
  }
}

const openFiles = (): readonly string[] =>
  readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)]
    } catch {
      return []
    }
  })

if (inOwnMounts(import.meta.filename)) {
  const subPath = suite('subPath')

  subPath(
    'a folder is made with the mode of the volume, and a file is a file',
    inLab(async ({ pod, start, volume, podFolder, mounted }) => {
      await start(pod({ emptyDir: {} }))
      writeFileSync(join(volume, 'note'), 'here')
      const sources = await start(pod({ emptyDir: {} }, 'a/b', 'note', './/a'))
      assert.equal(
        sources,
        ['0', '1', '2'].map((index) => join(podFolder, 'volume-subpaths/data/main', index))
      )
      writeFileSync(join(sources[0] as string, 'x'), 'through the mount')
      assert.is(readFileSync(join(volume, 'a/b/x'), 'utf8'), 'through the mount')
      assert.equal(
        [statSync(join(volume, 'a')).mode & 0o7777, statSync(join(volume, 'a/b')).mode & 0o7777],
        [0o777, 0o777],
        'whoever the container runs as can write'
      )
      assert.is(readFileSync(sources[1] as string, 'utf8'), 'here')
      assert.equal(readdirSync(sources[2] as string), ['b'])
      assert.is(mounted().length, 3)
      assert.equal(
        openFiles().filter((path) => path.includes('reckon-sub-')),
        [],
        'nothing is kept open'
      )
    })
  )

  subPath(
    "a group's volume gives its folders to the group",
    inLab(async ({ pod, start, volume }) => {
      const binding = pod({ emptyDir: {} }, 'a/b')
      Object.assign(binding.pod.spec as object, { securityContext: { fsGroup: 4321 } })
      await start(binding)
      for (const path of ['a', 'a/b'])
        assert.equal([statSync(join(volume, path)).mode & 0o7777, statSync(join(volume, path)).gid], [0o2777, 4321])
    })
  )

  subPath(
    'links that stay in the volume are followed; keys of a ConfigMap are such',
    inLab(async ({ pod, start }) => {
      const binding = { ...pod({ configMap: { name: 'c' } }, 'key'), configMaps: { c: { data: { key: 'value' } } } }
      const [source = ''] = await start(binding)
      assert.is(readFileSync(source, 'utf8'), 'value')
      // Its container starts again after a change: the file is another by then.
      assert.equal(await start({ ...binding, configMaps: { c: { data: { key: 'changed' } } } }), [source])
      assert.is(readFileSync(source, 'utf8'), 'changed')
    })
  )

  subPath(
    'nothing is made behind a link that leads out',
    inLab(async ({ pod, start, refusal, volume, outside, warnings, mounted }) => {
      await start(pod({ emptyDir: {} }))
      symlinkSync(outside, join(volume, 'evil'))
      symlinkSync('../../../../../../outside', join(volume, 'relative'))
      symlinkSync(join(outside, 'none'), join(volume, 'dangling'))
      mkdirSync(join(volume, 'a'))
      symlinkSync('../evil/deep', join(volume, 'a/twice'))
      for (const path of ['evil/made-by-root/deep', 'relative/made', 'dangling', 'dangling/made', 'a/twice/made'])
        assert.is(
          await refusal(pod({ emptyDir: {} }, path)),
          'MountError: failed to create subPath directory for volumeMount "data" of container "main"',
          path
        )
      for (const path of ['evil', 'relative', 'evil/secret', 'a/twice', 'evil/secret/x'])
        assert.is(
          await refusal(pod({ emptyDir: {} }, path)),
          'MountError: failed to prepare subPath for volumeMount "data" of container "main"',
          path
        )
      assert.is(warnings.length, 10)
      assert.is(
        warnings[5],
        `failed to prepare subPath for volumeMount "data" of container "main": evil leads out of the volume, to ${outside}`
      )
      assert.equal(mounted(), [])
    })
  )

  subPath(
    'no way up',
    inLab(async ({ pod, refusal }) => {
      assert.is(await refusal(pod({ emptyDir: {} }, 'a/../..')), "MountError: unable to provision SubPath `a/../..`: must not contain '..'")
      assert.is(await refusal(pod({ emptyDir: {} }, '/etc')), 'MountError: error SubPath `/etc` must not be an absolute path')
      const binding = pod({ emptyDir: {} })
      Object.assign(binding.pod.spec?.containers[0] as Container, {
        volumeMounts: [{ name: 'data', mountPath: '/m0', subPathExpr: 'a/$(UP)' }]
      })
      assert.is(await refusal(binding), "MountError: unable to provision SubPath `a/..`: must not contain '..'")
    })
  )

  subPath(
    'a link put in its place afterwards is not what the container gets',
    inLab(async ({ pod, start, volume, outside }) => {
      await start(pod({ emptyDir: {} }))
      mkdirSync(join(volume, 'a/deep'), { recursive: true })
      writeFileSync(join(volume, 'a/deep/ours'), '')
      writeFileSync(join(volume, 'file'), 'ours')
      const [folder = '', deep = '', file = ''] = await start(pod({ emptyDir: {} }, 'a', 'a/deep', 'file'))
      // Between `docker create`, which is told the path, and `docker start`, which opens it.
      renameSync(join(volume, 'a'), join(volume, 'aside'))
      symlinkSync(outside, join(volume, 'a'))
      unlinkSync(join(volume, 'file'))
      symlinkSync(join(outside, 'secret'), join(volume, 'file'))
      assert.equal([readdirSync(folder), readdirSync(deep), readFileSync(file, 'utf8')], [['deep'], ['ours'], 'ours'])
    })
  )

  subPath(
    'a folder that becomes a link and back all the while leads nowhere else',
    inLab(async ({ pod, newFiles, start, volume }) => {
      const [way, aside, link, evil] = ['a', 'aside', 'link', 'evil'].map((name) => join(volume, name)) as [string, string, string, string]
      const files = newFiles()
      await start(pod({ emptyDir: {} }), files)
      symlinkSync('../../../../../../outside', evil)
      mkdirSync(join(way, 'deep'), { recursive: true })
      let over = false
      let swaps = 0
      /** Every step of the walk is a call of its own: in between, it is others' turn. */
      const some = async (turns: number): Promise<void> => {
        for (let each = 0; each <= turns && !over; each++) await turn()
      }
      /** In whose place the kubelet may have made a folder meanwhile. */
      const put = (from: string): void => {
        for (;;)
          try {
            return renameSync(from, way)
          } catch {
            rmSync(way, { recursive: true, force: true })
          }
      }
      const swapping = (async () => {
        for (; !over; swaps++) {
          renameSync(way, aside)
          symlinkSync('evil', link)
          put(link)
          await some((swaps * 7) % 40)
          unlinkSync(way)
          put(aside)
          await some((swaps * 5) % 60)
        }
      })()
      const told = new Map<string, number>()
      try {
        for (let round = 0; round < 150; round++) {
          const outcome = await start(pod({ emptyDir: {} }, round % 2 === 0 ? 'a/deep' : `a/deep/made${round}`), files).then(
            ([source = '']) => {
              assert.not.ok(existsSync(join(source, 'secret')), `round ${round} shows what is outside`)
              return 'mounted'
            },
            ({ message }: Error) => message.replace(/ for .*/, '')
          )
          told.set(outcome, (told.get(outcome) ?? 0) + 1)
        }
      } finally {
        over = true
        await swapping
      }
      console.log(`      ${swaps} swaps: ${[...told].map(([outcome, count]) => `${outcome} ${count}`).join(', ')}`)
      assert.ok(told.size > 1, 'it did get in between')
    })
  )

  subPath(
    'mounts of an earlier life go with the pod, and what they showed stays',
    inLab(async ({ pod, start, newFiles, outside, podFolder, mounted }) => {
      const binding = pod({ hostPath: { path: outside } }, 'deep', 'secret')
      await start(binding)
      // Twice over one another, as nobody should.
      await start(binding)
      assert.is(mounted().length, 2)
      await newFiles().releaseOthers(new Set([UID]))
      assert.is(mounted().length, 2)
      await newFiles().releaseOthers(new Set())
      assert.equal(mounted(), [])
      assert.equal(readdirSync(podFolder).sort(), ['containers', 'etc-hosts', 'resolv.conf'])
      await start(binding)
      await newFiles().remove(UID)
      assert.equal([mounted(), existsSync(podFolder)], [[], false])
      await start(binding)
      await newFiles().removeAll()
      assert.equal([mounted(), existsSync(podFolder)], [[], false])
    })
  )

  subPath(
    'memory: its parts go before it does',
    inLab(async ({ pod, start, newFiles, podFolder, mounted }) => {
      await start(pod({ emptyDir: { medium: 'Memory' } }, 'a'))
      assert.is(mounted().length, 2)
      await newFiles().remove(UID)
      assert.equal([mounted(), existsSync(podFolder)], [[], false])
    })
  )

  subPath(
    'after a reboot there are points without mounts, and one may have been written into',
    inLab(async ({ pod, start, newFiles, volume, podFolder }) => {
      const point = join(podFolder, 'volume-subpaths/data/main/0')
      mkdirSync(point, { recursive: true })
      writeFileSync(join(point, 'stale'), '')
      await start(pod({ emptyDir: {} }, 'a'))
      assert.equal(readdirSync(point), [])
      writeFileSync(join(volume, 'a/kept'), '')
      assert.equal(readdirSync(point), ['kept'])
      await newFiles().release(UID)
      // What was a folder is a file now.
      rmSync(join(volume, 'a'), { recursive: true })
      writeFileSync(join(volume, 'a'), 'file')
      await start(pod({ emptyDir: {} }, 'a'))
      assert.is(readFileSync(point, 'utf8'), 'file')
      await newFiles().release(UID)
      mkdirSync(point, { recursive: true })
      writeFileSync(join(point, 'stale'), '')
      await newFiles().release(UID)
      assert.equal(existsSync(join(podFolder, 'volume-subpaths')), false)
    })
  )

  subPath.run()
}
