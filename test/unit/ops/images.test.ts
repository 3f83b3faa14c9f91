/** Images are the same bytes wherever they are made, and the pause program is its source. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { imageArchive } from '#ops/images/image.ts'
import { pauseImage } from '#ops/images/images.ts'
import { ARCHITECTURES, assemble, sourceDigest } from '#ops/images/pause/buildPause.ts'
import { staticExecutable } from '#ops/images/pause/elf.ts'
import { PAUSE_CODE, PAUSE_SOURCE } from '#ops/images/pause/pause.gen.ts'

const images = suite('images')

for (const architecture of ARCHITECTURES)
  images(`pause.gen.ts was made from the ${architecture} source that is here`, () => {
    assert.is(PAUSE_SOURCE[architecture], sourceDigest(architecture), 'run ops/images/pause/buildPause.ts')
    const code = assemble(architecture)
    if (code !== undefined) assert.is(code.toString('base64'), PAUSE_CODE[architecture])
  })

images('the executable has its entry point at its first code byte', () => {
  const file = staticExecutable('amd64', Buffer.from([0x90]))
  assert.is(file.length, 121)
  assert.is(file.readBigUInt64LE(24), 0x400000n + 120n)
  assert.is(file[120], 0x90)
  assert.is(staticExecutable('arm64', Buffer.alloc(4)).readUInt16LE(18), 183)
})

images('equal input gives an equal image, in whatever order the files come', async () => {
  const files = [
    { path: 'b/x', content: '1' },
    { path: 'a', content: '2' }
  ]
  const one = await imageArchive('amd64', { tag: 't:1', files, config: {} })
  const other = await imageArchive('amd64', { tag: 't:1', files: [...files].reverse(), config: {} })
  assert.is(one.id, other.id)
  assert.equal(one.archive, other.archive)
})

images('an image says which machine it is for', async () => {
  const ids = await Promise.all(ARCHITECTURES.map(async (architecture) => (await imageArchive(architecture, pauseImage(architecture))).id))
  assert.is.not(ids[0], ids[1])
})

images.run()
