/** The two images a fresh cluster needs, made on the spot: the pause image every pod has, and the demo's web server. */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import type Docker from 'dockerode'
import { staticBusybox } from '#ops/setup/busybox.ts'
import { buildImage, engineArchitecture, imageArchive, type ImageFile, type ImageSpec } from './image.ts'
import { type Architecture, staticExecutable } from './pause/elf.ts'
import { PAUSE_CODE } from './pause/pause.gen.ts'

export const PAUSE_IMAGE = 'reckon/pause:1'
export const DEMO_IMAGE = 'reckon/demo:1'

const LABEL = { 'org.opencontainers.image.title': 'reckon' }

export const pauseImage = (architecture: Architecture): ImageSpec => ({
  tag: PAUSE_IMAGE,
  files: [{ path: 'pause', content: staticExecutable(architecture, Buffer.from(PAUSE_CODE[architecture], 'base64')), mode: 0o755 }],
  config: { Entrypoint: ['/pause'], Labels: LABEL }
})

/** The page of a mounted ConfigMap, with the pod's name in the place of @POD@. */
const INDEX = `#!/bin/sh
echo 'Content-Type: text/html; charset=utf-8'
echo
if [ -r /config/index.html ]; then
  sed "s/@POD@/$(hostname)/g" /config/index.html
else
  echo "reckon demo on $(hostname)"
fi
`

/** A root file system around a static busybox: a shell, the usual tools, `httpd`. */
const demoImage = (busybox: Uint8Array, applets: readonly string[]): ImageSpec => ({
  tag: DEMO_IMAGE,
  files: [
    { path: 'bin/busybox', content: busybox, mode: 0o755 },
    ...applets.filter((name) => name !== 'busybox').map((name): ImageFile => ({ path: `bin/${name}`, link: 'busybox' })),
    { path: 'etc/passwd', content: 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' },
    { path: 'etc/group', content: 'root:x:0:\nnogroup:x:65534:\n' },
    { path: 'etc/hosts', content: '127.0.0.1\tlocalhost\n' },
    { path: 'etc/nsswitch.conf', content: 'hosts: files dns\n' },
    { path: 'root', folder: true, mode: 0o700 },
    { path: 'tmp', folder: true, mode: 0o1777 },
    // httpd runs it for `/` when the folder it serves has no index.html.
    { path: 'www/cgi-bin/index.cgi', content: INDEX, mode: 0o755 }
  ],
  config: { Env: ['PATH=/bin'], Cmd: ['/bin/httpd', '-f', '-p', '8080', '-h', '/www'], WorkingDir: '/', Labels: LABEL }
})

/** Builds the images that are missing or made from other content than this version's, and only those. */
export const ensureImages = async (docker: Docker, report: (line: string) => void): Promise<void> => {
  const architecture = await engineArchitecture(docker)
  const ensure = async (spec: ImageSpec, what: string): Promise<void> => {
    const digest = (await imageArchive(architecture, spec)).id
    if ((await digestOf(docker, spec.tag)) === digest) return
    report(`making the image ${spec.tag} (${what})`)
    await buildImage(docker, { ...spec, config: { ...spec.config, Labels: { ...LABEL, [DIGEST]: digest } } })
  }
  await ensure(pauseImage(architecture), "the process that holds a pod's namespaces")
  const busybox = await staticBusybox(report)
  const { stdout } = await promisify(execFile)(busybox, ['--list'])
  await ensure(
    demoImage(
      readFileSync(busybox),
      stdout.split('\n').filter((name) => name !== '')
    ),
    `a small web server, from ${busybox}`
  )
}

/** A label, since an Engine may number images by other things than their content. */
const DIGEST = 'reckon.content'

/** What the Engine's image of this tag was made from; undefined when there is none, or another's. */
const digestOf = async (docker: Docker, tag: string): Promise<string | undefined> => {
  try {
    return (await docker.getImage(tag).inspect()).Config.Labels?.[DIGEST]
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode === 404) return undefined
    throw error
  }
}
