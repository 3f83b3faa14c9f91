/** The images made on the spot, as real containers: pause leaves at once and reaps, demo serves its page. */
import { finished } from 'node:stream/promises'
import Docker from 'dockerode'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { DEMO_IMAGE, ensureImages, PAUSE_IMAGE } from '#ops/images/images.ts'

const images = suite('images')
const docker = new Docker()
const made: Docker.Container[] = []

const start = async (options: Docker.ContainerCreateOptions): Promise<Docker.Container> => {
  const container = await docker.createContainer(options)
  made.push(container)
  await container.start()
  return container
}

/** Runs a command in a container and returns what it wrote. */
const exec = async (container: Docker.Container, command: string[]): Promise<string> => {
  const run = await container.exec({ Cmd: command, AttachStdout: true, Tty: true })
  const stream = await run.start({ Tty: true })
  let text = ''
  stream.on('data', (chunk: Buffer) => (text += chunk.toString()))
  await finished(stream, { writable: false })
  return text
}

images.before(() => ensureImages(docker, () => {}))
images.after(async () => {
  for (const container of made.reverse()) await container.remove({ force: true })
})

images('ensuring them again makes nothing', async () => {
  const lines: string[] = []
  await ensureImages(docker, (line) => lines.push(line))
  assert.equal(lines, [])
})

images('pause reaps what others leave behind', async () => {
  const pause = await start({ Image: PAUSE_IMAGE, HostConfig: { NetworkMode: 'none' } })
  const guest = await start({
    Image: DEMO_IMAGE,
    Cmd: ['sleep', '60'],
    HostConfig: { NetworkMode: 'none', PidMode: `container:${pause.id}` }
  })
  // The inner shell ends at once and leaves `true` and `sleep` to process 1.
  await exec(guest, ['sh', '-c', '(sleep 0.2 & true &) ; sleep 0.6'])
  const processes = await exec(guest, ['ps', '-o', 'pid,stat,args'])
  assert.not.match(processes, / Z/)
  assert.match(processes, '/pause', processes)
  await guest.remove({ force: true })
  made.splice(made.indexOf(guest), 1)
})

images('pause leaves on TERM with 0, without waiting for a kill', async () => {
  const pause = await start({ Image: PAUSE_IMAGE, HostConfig: { NetworkMode: 'none' } })
  await pause.stop({ t: 30 })
  const { State } = await pause.inspect()
  assert.is(State.ExitCode, 0)
})

images('demo serves a page with its own name', async () => {
  const demo = await start({ Image: DEMO_IMAGE, Hostname: 'web-x', HostConfig: { NetworkMode: 'none' } })
  // The first request may come before the server listens.
  const page = await exec(demo, ['sh', '-c', 'until wget -q -O - http://127.0.0.1:8080/; do sleep 0.05; done'])
  assert.match(page, 'reckon demo on web-x')
})

images.run()
