/** Finds a nats-server that is new enough, or gets one: the official release, else Debian's newer package. */
import { createHash } from 'node:crypto'
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { get, type RequestOptions } from 'node:https'
import type { IncomingMessage } from 'node:http'
import { dirname, join } from 'node:path'
import { NATS_SERVER, told } from '#ops/environment.ts'
import { downloadDebianPackage } from '#ops/setup/apt.ts'
import { CACHE, findProgram, PROJECT, type Report, run } from '#ops/setup/project.ts'

/** Atomic batches, filtered expectations and `sync_interval` are all there from this version on. */
const MINIMUM_NATS_VERSION = '2.12.0'

const RELEASE = '2.15.0'
/** From the release's own SHA256SUMS. */
const RELEASE_SHA256: Readonly<Record<string, string>> = {
  amd64: '5d2c51caca950333aba84911df7d377f826f3a59ec36061c6539105084f65c92',
  arm64: 'cdc208f5a3f42963a52b6ab06ef65626bb870315dc936e26ba571780c6351112'
}
const CONNECT_TIMEOUT_MS = 3000
const DOWNLOAD_TIMEOUT_MS = 120_000
const VERSION_LIMIT_MS = 10_000
const MAX_DOWNLOAD_BYTES = 64 * 1024 * 1024

export interface NatsBinary {
  readonly path: string
  readonly version: string
}

/**
 * A nats-server of 2.12 or newer: $RECKON_NATS_SERVER, one on PATH, the one fetched before, the official release, or
 * Debian's package from sid. The last two are unpacked beside the project. Throws with what to do when none can be had.
 */
export const ensureNatsServer = async (report: Report, env: NodeJS.ProcessEnv = process.env): Promise<NatsBinary> => {
  const chosen = told(NATS_SERVER, env)
  if (chosen !== undefined) {
    const version = await natsVersion(chosen)
    if (version === undefined) throw new Error(`RECKON_NATS_SERVER=${chosen} does not run`)
    if (!atLeast(version, MINIMUM_NATS_VERSION)) throw new Error(tooOld(chosen, version))
    return { path: chosen, version }
  }
  const cached = join(CACHE, 'nats-server', 'nats-server')
  for (const path of [findProgram('nats-server', env), existsSync(cached) ? cached : undefined]) {
    if (path === undefined) continue
    const version = await natsVersion(path)
    if (version !== undefined && atLeast(version, MINIMUM_NATS_VERSION)) return { path, version }
    if (version !== undefined) report(`${tooOld(path, version)}; it is left alone and a newer one is fetched`)
  }
  const failures: string[] = []
  for (const [name, fetchTo] of [
    [`the official release v${RELEASE}`, fetchRelease],
    ["Debian's package (sid)", fetchDebian]
  ] as const) {
    report(`fetching nats-server, the log's server: ${name}, into ${relativeToProject(dirname(cached))}`)
    try {
      await fetchTo(cached, report)
      const version = await natsVersion(cached)
      if (version === undefined) throw new Error('the program does not run on this machine')
      if (!atLeast(version, MINIMUM_NATS_VERSION)) throw new Error(tooOld(cached, version))
      report(`nats-server ${version} is in ${relativeToProject(cached)}`)
      return { path: cached, version }
    } catch (error) {
      rmSync(cached, { force: true })
      failures.push(`${name}: ${(error as Error).message}`)
      report(`that did not work (${(error as Error).message.split('\n')[0]})`)
    }
  }
  throw new Error(
    `no nats-server ${MINIMUM_NATS_VERSION} or newer could be had:\n  ${failures.join('\n  ')}\n` +
      `Put one on PATH, or name it in RECKON_NATS_SERVER, and run this again.`
  )
}

const relativeToProject = (path: string): string => path.replace(`${PROJECT}/`, '')

const tooOld = (path: string, version: string): string =>
  `${path} is nats-server ${version}, and reckon needs ${MINIMUM_NATS_VERSION} or newer (atomic batches)`

/** `nats-server: v2.15.1` → `2.15.1`; undefined when the program does not run. */
const natsVersion = async (path: string): Promise<string | undefined> => {
  try {
    return /v?(\d+\.\d+\.\d+)/.exec(await run(path, ['--version'], { timeout: VERSION_LIMIT_MS }))?.[1]
  } catch {
    return undefined
  }
}

/** Compares dotted numbers: 2.12.0 is at least 2.9.10. */
export const atLeast = (version: string, minimum: string): boolean => {
  const have = version.split('.').map(Number)
  const want = minimum.split('.').map(Number)
  for (const [index, number] of want.entries()) {
    const mine = have[index] ?? 0
    if (mine !== number) return mine > number
  }
  return true
}

const fetchDebian = async (target: string, report: Report): Promise<void> => {
  const unpacked = join(CACHE, 'nats-server-debian')
  await downloadDebianPackage({ name: 'nats-server', into: unpacked, suite: 'sid', report })
  const program = ['usr/sbin', 'usr/bin'].map((folder) => join(unpacked, folder, 'nats-server')).find((path) => existsSync(path))
  if (program === undefined) throw new Error('the package holds no nats-server')
  putInPlace(program, target)
  rmSync(unpacked, { recursive: true, force: true })
}

const fetchRelease = async (target: string): Promise<void> => {
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch
  const expected = RELEASE_SHA256[architecture]
  if (expected === undefined) throw new Error(`no pinned checksum for ${architecture}`)
  const name = `nats-server-v${RELEASE}-linux-${architecture}`
  const archive = await download(`https://github.com/nats-io/nats-server/releases/download/v${RELEASE}/${name}.tar.gz`)
  const actual = createHash('sha256').update(archive).digest('hex')
  if (actual !== expected) throw new Error(`the download's SHA-256 is ${actual}, expected ${expected}: refused`)
  mkdirSync(CACHE, { recursive: true })
  const work = mkdtempSync(join(CACHE, 'nats-'))
  try {
    writeFileSync(join(work, 'release.tar.gz'), archive)
    await run('tar', ['-xzf', join(work, 'release.tar.gz'), '-C', work])
    putInPlace(join(work, name, 'nats-server'), target)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

const putInPlace = (from: string, to: string): void => {
  mkdirSync(dirname(to), { recursive: true })
  copyFileSync(from, `${to}.new`)
  chmodSync(`${to}.new`, 0o755)
  renameSync(`${to}.new`, to)
}

/** GET with redirects. A machine without a way out learns so within the connect time limit. */
const download = (url: string, redirects = 5): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const options: RequestOptions = { headers: { 'user-agent': 'reckon' } }
    const request = get(url, options, (response: IncomingMessage) => {
      clearTimeout(connecting)
      const { statusCode = 0, headers } = response
      if (statusCode >= 300 && statusCode < 400 && headers.location !== undefined && redirects > 0) {
        response.resume()
        clearTimeout(whole)
        return resolve(download(new URL(headers.location, url).href, redirects - 1))
      }
      if (statusCode !== 200) {
        response.resume()
        return fail(new Error(`${url} answered ${statusCode}`))
      }
      const chunks: Buffer[] = []
      let size = 0
      response.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size > MAX_DOWNLOAD_BYTES) return fail(new Error(`${url} is larger than expected`))
        chunks.push(chunk)
      })
      response.on('end', () => {
        clearTimeout(whole)
        resolve(Buffer.concat(chunks))
      })
      response.on('error', fail)
    })
    const fail = (error: Error): void => {
      clearTimeout(connecting)
      clearTimeout(whole)
      request.destroy()
      reject(error)
    }
    const connecting = setTimeout(() => fail(new Error(`no connection to ${new URL(url).host} within 3 s`)), CONNECT_TIMEOUT_MS)
    const whole = setTimeout(() => fail(new Error(`${url} took longer than two minutes`)), DOWNLOAD_TIMEOUT_MS)
    request.on('error', fail)
  })
