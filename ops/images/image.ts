/** Makes container images without a registry or a builder: one layer from given files, loaded through the Engine's API. */
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import type Docker from 'dockerode'
import { pack } from 'tar-stream'
import type { Architecture } from './pause/elf.ts'

export interface ImageFile {
  /** Inside the image, without a leading slash; parent folders are made. */
  readonly path: string
  readonly content?: string | Uint8Array
  /** Makes a symbolic link to this path instead of a file. */
  readonly link?: string
  /** Makes a folder instead of a file. */
  readonly folder?: boolean
  /** Permission bits; 0644 for files, 0755 for folders. */
  readonly mode?: number
}

/** What `docker inspect` shows as Config: Cmd, Entrypoint, Env, Labels, WorkingDir, User … */
export type ImageConfig = Readonly<Record<string, unknown>>

export interface ImageSpec {
  readonly tag: string
  readonly files: readonly ImageFile[]
  readonly config: ImageConfig
}

/** One time for every file and image: the same content then has the same image id on every node. */
const CREATED = new Date('2025-01-01T00:00:00Z')

/** The architecture of the Engine's machine in the words of image manifests; throws on one no pause program is made for. */
export const engineArchitecture = async (docker: Docker): Promise<Architecture> => {
  const architecture = (await docker.version()).Arch
  if (architecture === 'amd64' || architecture === 'arm64') return architecture
  throw new Error(`no pause image for a Docker Engine on ${architecture}: amd64 and arm64 are supported`)
}

/** Loads the image into the Engine and returns its id (`sha256:…`). An image of the same tag is replaced. */
export const buildImage = async (docker: Docker, spec: ImageSpec): Promise<string> => {
  const { archive, id } = await imageArchive(await engineArchitecture(docker), spec)
  // dockerode's types promise less than it returns: the answer is a stream, and a failed load is told inside a 200.
  const answer: AsyncIterable<Buffer> = (await docker.loadImage(Readable.from([archive]))) as never
  let text = ''
  for await (const chunk of answer) text += chunk.toString()
  const error = text.split('\n').find((line) => line.includes('"error"'))
  if (error !== undefined) throw new Error(`Docker Engine refused the image ${spec.tag}: ${error.trim()}`)
  return id
}

/** The `docker load` archive of an image, and the id it gets. Equal input gives equal bytes. */
export const imageArchive = async (
  architecture: Architecture,
  spec: ImageSpec
): Promise<{ readonly archive: Buffer; readonly id: string }> => {
  const layer = await tarOf(withFolders(spec.files))
  const config = JSON.stringify({
    architecture,
    os: 'linux',
    created: CREATED.toISOString(),
    config: spec.config,
    rootfs: { type: 'layers', diff_ids: [`sha256:${sha256(layer)}`] },
    history: [{ created: CREATED.toISOString(), created_by: 'reckon' }]
  })
  const id = sha256(config)
  const archive = await tarOf([
    { path: `${id}.json`, content: config },
    { path: 'layer.tar', content: layer },
    { path: 'manifest.json', content: JSON.stringify([{ Config: `${id}.json`, RepoTags: [spec.tag], Layers: ['layer.tar'] }]) }
  ])
  return { archive, id: `sha256:${id}` }
}

const sha256 = (content: string | Uint8Array): string => createHash('sha256').update(content).digest('hex')

/** The files with every parent folder before them, sorted, so that the layer does not depend on the order given. */
const withFolders = (files: readonly ImageFile[]): ImageFile[] => {
  const all = new Map<string, ImageFile>()
  for (const file of files) {
    const parts = file.path.split('/')
    for (let depth = 1; depth < parts.length; depth++) {
      const path = parts.slice(0, depth).join('/')
      if (!all.has(path)) all.set(path, { path, folder: true })
    }
    all.set(file.path, file)
  }
  return [...all.values()].sort((a, b) => (a.path < b.path ? -1 : 1))
}

const tarOf = async (files: readonly ImageFile[]): Promise<Buffer> => {
  const tar = pack()
  for (const file of files) {
    const common = { mtime: CREATED, uid: 0, gid: 0, uname: 'root', gname: 'root' }
    if (file.folder === true) tar.entry({ ...common, name: `${file.path}/`, type: 'directory', mode: file.mode ?? 0o755 })
    else if (file.link !== undefined) tar.entry({ ...common, name: file.path, type: 'symlink', linkname: file.link, mode: 0o777 })
    else tar.entry({ ...common, name: file.path, mode: file.mode ?? 0o644 }, Buffer.from(file.content ?? ''))
  }
  tar.finalize()
  const chunks: Buffer[] = []
  for await (const chunk of tar) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}
