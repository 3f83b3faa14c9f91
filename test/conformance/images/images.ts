/** Makes the images that conformance specs start, from Go modules and Debian's packages, and loads them into Docker Engine. */
import { createHash } from 'node:crypto'
import { chmodSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type Docker from 'dockerode'
import { engineArchitecture } from '#ops/images/image.ts'
import { staticExecutable } from '#ops/images/pause/elf.ts'
import { PAUSE_CODE } from '#ops/images/pause/pause.gen.ts'
import type { Report } from '#ops/setup/project.ts'
import { buildProgram, fetchModule } from '#test/conformance/go.ts'
import { FOLDER, SUITE, type Suite } from '#test/conformance/suite.ts'
import { stagingVersion } from '#test/conformance/wrapper.ts'
import { layerOf, loadImage, type Layer } from './layers.ts'
import { type LayerName, RECIPES, referencesOf, versionOf } from './recipes.ts'
import { agnhostRoot, busyboxRoot, copy, debianRoot, file, httpdRoot, link, nginxRoot } from './roots.ts'

/** bash, curl, dig, nc and the like, which specs call in agnhost's image. */
const TOOLS = ['bash', 'dash', 'bind9-dnsutils', 'curl', 'netcat-openbsd', 'iproute2', 'iperf', 'libc-bin']

/** Loads what the Engine does not have yet. */
export const ensureSuiteImages = async (docker: Docker, suite: Suite, report: Report): Promise<void> => {
  const architecture = await engineArchitecture(docker)
  const programs = join(FOLDER, SUITE, 'programs')
  const sources = join(suite.sources.folder, 'test/images')
  const fromSuite = (name: string): Promise<string> =>
    buildProgram({ from: suite.sources, package: `k8s.io/kubernetes/test/images/${name}`, into: join(programs, name) }, report)
  /** A program of another module, in the version that the suite's image has. */
  const fromModule = async (name: string, module: string, version: string): Promise<string> => {
    const from = await fetchModule({ module, version }, join(FOLDER, `${name}-${version}`), report)
    return buildProgram({ from, package: module, into: join(programs, name) }, report)
  }
  const versionIn = (path: string): string => versionOf(referencesOf({ path, layers: [], config: {} }, suite.images)[0] as string)

  const fill: Readonly<Record<LayerName, (root: string) => Promise<void> | void>> = {
    busybox: (root) => busyboxRoot(root, FOLDER, report),
    tools: async (root) => {
      await debianRoot(root, TOOLS, report)
      // Debian chooses between several when packages are configured.
      link(root, 'usr/bin/nc', 'nc.openbsd')
      link(root, 'usr/bin/sh', 'dash')
    },
    agnhost: async (root) => agnhostRoot(root, sources, await fromSuite('agnhost')),
    nautilus: (root) => ['nautilus.jpg', 'data.json'].forEach((name) => copy(root, name, join(sources, 'nautilus/html', name), 0o644)),
    nonewprivs: async (root) => {
      copy(root, 'usr/local/bin/nnp', await fromSuite('nonewprivs'))
      chmodSync(join(root, 'usr/local/bin/nnp'), 0o6755)
    },
    // The one every pod of the cluster has: it waits, collects what ended, and leaves at SIGTERM, as the original does.
    pause: (root) => file(root, 'pause', staticExecutable(architecture, Buffer.from(PAUSE_CODE[architecture], 'base64')), 0o755),
    nginx: async (root) => {
      await debianRoot(root, ['nginx'], report)
      nginxRoot(root)
    },
    httpd: async (root) => {
      await debianRoot(root, ['apache2-bin'], report)
      httpdRoot(root)
    },
    etcd: async (root) => {
      const version = `v${versionIn('/etcd').replace(/-\d+$/, '')}`
      copy(root, 'usr/local/bin/etcd', await fromModule('etcd', 'go.etcd.io/etcd/server/v3', version))
    },
    'sample-apiserver': async (root) => {
      const version = stagingVersion(`v${versionIn('/sample-apiserver')}`)
      copy(root, 'sample-apiserver', await fromModule('sample-apiserver', 'k8s.io/sample-apiserver', version))
    }
  }

  const layers = new Map<LayerName, Promise<Layer>>()
  const layer = (name: LayerName): Promise<Layer> => {
    const made = layers.get(name) ?? layerOf(join(FOLDER, SUITE, `layers-${recipesDigest()}`, `${name}.tar`), fill[name])
    layers.set(name, made)
    return made
  }
  for (const recipe of RECIPES) {
    const parts: Layer[] = []
    for (const name of recipe.layers) parts.push(await layer(name))
    for (const tag of referencesOf(recipe, suite.images))
      if (await loadImage(docker, architecture, { tag, layers: parts, config: recipe.config })) report(`loaded the image ${tag}`)
  }
}

/** Layers are made anew when what makes them changes. */
const recipesDigest = (): string => {
  const hash = createHash('sha256')
  for (const name of ['roots.ts', 'images.ts', 'layers.ts']) hash.update(readFileSync(join(import.meta.dirname, name)))
  return hash.digest('hex').slice(0, 12)
}
