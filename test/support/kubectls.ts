/** The kubectls tests run with: every version this machine has, and Debian's, which any machine with apt can have. */
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { downloadDebianPackage } from '#ops/setup/apt.ts'
import { CACHE, findProgram, type Report, run } from '#ops/setup/project.ts'

export interface Kubectl {
  /** `1.32.3` */
  readonly version: string
  /** 32 */
  readonly minor: number
  readonly path: string
  readonly from: string
}

const CLOUD_SDK = '/usr/lib/google-cloud-sdk/bin'
/** The oldest reckon is made for; bookworm's own package is 1.20. */
const OLDEST = 27

interface Candidate {
  readonly path: string
  readonly from: string
}

/**
 * Oldest to newest, one per minor version. RECKON_TEST_KUBECTL, paths with colons between them, names them instead.
 * Throws with what to do when there is none: a test without kubectl would show nothing.
 */
export const kubectls = async (report: Report = () => {}): Promise<readonly Kubectl[]> => {
  const given = process.env['RECKON_TEST_KUBECTL']
  const named = given === undefined || given === '' ? undefined : given.split(delimiter)
  const here = await asked(named?.map((path) => ({ path, from: 'RECKON_TEST_KUBECTL' })) ?? onMachine(), report)
  // Debian's newest, and an older one where the machine has none.
  const suites = named !== undefined ? [] : here.length > 0 ? ['sid'] : ['trixie', 'sid']
  const found = [...here, ...(await asked(await debians(suites, report), report))]
  if (found.length === 0) throw new Error(`there is no kubectl here, and Debian's could not be fetched: ${WHAT_TO_DO}`)
  return found.filter(({ minor }, at) => found.findIndex((other) => other.minor === minor) === at).sort((a, b) => a.minor - b.minor)
}

const WHAT_TO_DO = 'put one on PATH, or name it in RECKON_TEST_KUBECTL, and run this again'

/** Those that say their version and are not too old. */
const asked = async (candidates: readonly Candidate[], report: Report): Promise<Kubectl[]> => {
  const all: Kubectl[] = []
  for (const { path, from } of candidates) {
    const version = await versionOf(path)
    const minor = Number(version?.split('.')[1])
    if (version === undefined) report(`${path} does not say its version, and is left out`)
    else if (minor < OLDEST) report(`${path} is kubectl ${version}, older than reckon is made for, and is left out`)
    else all.push({ version, minor, path, from })
  }
  return all
}

/** "1.27.16, 1.30.12 (this machine), 1.36.4 (Debian sid)" */
export const inWords = (all: readonly Kubectl[]): string =>
  all.map(({ version, from }, at) => (all[at + 1]?.from === from ? version : `${version} (${from})`)).join(', ')

const onMachine = (): Candidate[] => {
  const sdk = Array.from({ length: 20 }, (_, n) => join(CLOUD_SDK, `kubectl.1.${n + 27}`)).filter((path) => existsSync(path))
  const onPath = findProgram('kubectl')
  return [...sdk, ...(onPath === undefined ? [] : [onPath])].map((path) => ({ path, from: 'this machine' }))
}

const debians = (suites: readonly string[], report: Report): Promise<Candidate[]> =>
  Promise.all(
    suites.map(async (suite) => {
      const into = join(CACHE, `kubectl-${suite}`)
      const path = join(into, 'usr/bin/kubectl')
      // By suite: a machine may have a kubectl package of another origin with a higher version number.
      if (!existsSync(path))
        await downloadDebianPackage({ name: `kubectl/${suite}`, into, suite, report }).catch((error: Error) =>
          report(`Debian's kubectl (${suite}) could not be fetched, and the tests do without: ${error.message.split('\n').join(' ')}`)
        )
      return { path, from: `Debian ${suite}` }
    })
  ).then((all) => all.filter(({ path }) => existsSync(path)))

const versionOf = async (path: string): Promise<string | undefined> => {
  try {
    const { clientVersion } = JSON.parse(await run(path, ['version', '--client', '--output=json'])) as {
      clientVersion: { gitVersion: string }
    }
    return /^v(\d+\.\d+\.\d+)/.exec(clientVersion.gitVersion)?.[1]
  } catch {
    return undefined
  }
}

/** Those between which something changed that the server must know: WebSocket for SPDY (1.30), protobuf (1.32); and the ends. */
export const milestones = (all: readonly Kubectl[]): readonly Kubectl[] => {
  const ends = [all[0]?.minor, all.at(-1)?.minor]
  return all.filter(({ minor }) => [27, 30, 32, 33].includes(minor) || ends.includes(minor))
}
