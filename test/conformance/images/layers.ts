/** Images out of layers, and layers out of folders of the disk, packed once; loaded into Docker Engine without a registry or a builder. */
import { createHash } from 'node:crypto'
import { createReadStream, existsSync, mkdirSync, mkdtempSync, readFileSync } from 'node:fs'
import { renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type Docker from 'dockerode'
import { type Pack, pack } from 'tar-stream'
import { run } from '#ops/setup/project.ts'

export interface Layer {
  /** An archive that is not compressed. */
  readonly path: string
  /** `sha256:…` of the archive. */
  readonly digest: string
}

export interface Image {
  readonly tag: string
  /** The lowest first. */
  readonly layers: readonly Layer[]
  /** Cmd, Entrypoint, Env, User …, as `docker inspect` shows them. */
  readonly config: Readonly<Record<string, unknown>>
}

/** One time for every file and image: the same content has the same id everywhere. */
const CREATED = '2025-01-01T00:00:00Z'

/** Links at the root that every layer has: one with a folder in the place of a link would hide what is below it. */
export const MERGED = ['bin', 'sbin', 'lib', 'lib64'] as const

/**
 * The layer at `path`, which is put together by `fill` in an empty root when it is not there yet. The file's name has to change with
 * what `fill` does.
 */
export const layerOf = async (path: string, fill: (root: string) => Promise<void> | void): Promise<Layer> => {
  const digestFile = `${path}.digest`
  if (existsSync(path) && existsSync(digestFile)) return { path, digest: readFileSync(digestFile, 'utf8') }
  mkdirSync(dirname(path), { recursive: true })
  const root = mkdtempSync(join(dirname(path), 'root-'))
  try {
    for (const folder of MERGED) {
      mkdirSync(join(root, 'usr', folder), { recursive: true })
      symlinkSync(`usr/${folder}`, join(root, folder))
    }
    await fill(root)
    const next = `${path}.new`
    await run('tar', ['--sort=name', '--numeric-owner', `--mtime=${CREATED}`, '-C', root, '-cf', next, '.'])
    const digest = `sha256:${await sha256Of(next)}`
    renameSync(next, path)
    writeFileSync(digestFile, digest)
    return { path, digest }
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

const sha256Of = async (path: string): Promise<string> => {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}

/** Loads an image unless the Engine has it, and says whether it did. One with the same tag is replaced. */
export const loadImage = async (docker: Docker, architecture: string, { tag, layers, config }: Image): Promise<boolean> => {
  const content = JSON.stringify({
    architecture,
    os: 'linux',
    created: CREATED,
    // Images of equal content and different names have ids of their own, so that the Engine does not name one for the other.
    config: { ...config, Labels: { 'reckon.conformance': tag } },
    rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
    history: layers.map(() => ({ created: CREATED, created_by: 'reckon' }))
  })
  const id = createHash('sha256').update(content).digest('hex')
  if ((await idOf(docker, tag)) === `sha256:${id}`) return false
  const archive = pack()
  // dockerode's types promise less than it returns: the answer is a stream, and a failed load is told inside a 200.
  const [answer] = await Promise.all([docker.loadImage(Readable.from(archive)), fillArchive(archive, id, content, tag, layers)])
  let text = ''
  for await (const chunk of answer as unknown as AsyncIterable<Buffer>) text += chunk.toString()
  const error = text.split('\n').find((line) => line.includes('"error"'))
  if (error !== undefined) throw new Error(`Docker Engine refused the image ${tag}: ${error.trim()}`)
  return true
}

const idOf = async (docker: Docker, tag: string): Promise<string | undefined> => {
  try {
    return (await docker.getImage(tag).inspect()).Id
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode === 404) return undefined
    throw error
  }
}

/** What `docker load` reads: the manifest's names are paths within the archive. Layers are read as the Engine takes them. */
const fillArchive = async (archive: Pack, id: string, config: string, tag: string, layers: readonly Layer[]): Promise<void> => {
  const names = layers.map((_, at) => `layer-${at}.tar`)
  archive.entry({ name: `${id}.json` }, config)
  archive.entry({ name: 'manifest.json' }, JSON.stringify([{ Config: `${id}.json`, RepoTags: [tag], Layers: names }]))
  for (const [at, { path }] of layers.entries())
    await new Promise<void>((done, fail) => {
      const entry = archive.entry({ name: names[at] as string, size: statSync(path).size }, (error) => (error ? fail(error) : done()))
      createReadStream(path)
        .on('error', fail)
        .pipe(entry as unknown as NodeJS.WritableStream)
    })
  archive.finalize()
}
