/** Everything that goes through apt: installing on the machine, and fetching a package beside the project without touching it. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { CACHE, findProgram, type Report, run } from './project.ts'

const DEBIAN_KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'

/** Installs Debian packages on the machine. `why` reads as "for what": it is printed. */
export const installPackages = async (packages: readonly string[], why: string, report: Report): Promise<void> => {
  const list = packages.join(' ')
  if (findProgram('apt-get') === undefined) throw new Error(`${list} missing (${why}), and there is no apt-get here: install them by hand`)
  if (process.getuid?.() !== 0) throw new Error(`${list} missing (${why}): run this as root, or as root run: apt-get install ${list}`)
  if (!hasPackageLists()) await updateLists(report)
  report(`installing ${list} with apt-get: ${why}`)
  const install = () => run('apt-get', ['install', '-y', '--no-install-recommends', '-o', 'Dpkg::Use-Pty=0', ...packages], { env: quiet() })
  try {
    await install()
  } catch {
    // The usual reason is a package list older than the mirror.
    await updateLists(report)
    await install()
  }
}

const updateLists = async (report: Report): Promise<void> => {
  report('reading the package lists (apt-get update)')
  await run('apt-get', ['update', '-q'], { env: quiet() })
}

const quiet = (): NodeJS.ProcessEnv => ({ ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' })

const hasPackageLists = (): boolean => {
  try {
    return readdirSync('/var/lib/apt/lists').some((file) => file.includes('_Packages'))
  } catch {
    return false
  }
}

export interface DebianPackage {
  readonly name: string
  /** The folder it is unpacked into; it appears there whole or not at all. */
  readonly into: string
  /** Another suite than the machine's, `sid` for one; read with a private apt configuration. */
  readonly suite?: string
  readonly report?: Report
}

/**
 * Downloads a package and unpacks it into a folder, without installing it. The archive's signature is checked as
 * always. Neither /etc/apt nor the machine's package lists change when a suite is named.
 */
export const downloadDebianPackage = async ({ name, into, suite, report }: DebianPackage): Promise<void> => {
  for (const program of ['apt-get', 'dpkg']) if (findProgram(program) === undefined) throw new Error(`no ${program} on this machine`)
  mkdirSync(CACHE, { recursive: true })
  const work = mkdtempSync(join(CACHE, 'apt-'))
  try {
    const options = suite === undefined ? [] : await privateConfiguration(work, suite)
    if (suite !== undefined || !hasPackageLists()) {
      await readLists(options, report)
    }
    await run('apt-get', [...options, '-q', '-o', 'APT::Sandbox::User=root', 'download', name], { cwd: work, env: quiet() })
    const archive = readdirSync(work).find((file) => file.endsWith('.deb'))
    if (archive === undefined) throw new Error(`apt-get download left no package file for ${name}`)
    const unpacked = join(work, 'unpacked')
    await run('dpkg', ['-x', join(work, archive), unpacked])
    rmSync(into, { recursive: true, force: true })
    mkdirSync(dirname(into), { recursive: true })
    renameSync(unpacked, into)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

export interface DebianTree {
  readonly names: readonly string[]
  /** The folder they are unpacked into; it appears there whole or not at all. */
  readonly into: string
  readonly report?: Report
}

/** Folders at the root of a file system that are links since everything is in /usr; packages of before still name them. */
const MERGED = ['bin', 'sbin', 'lib', 'lib64'] as const

/**
 * Downloads packages of the machine's own release with all that they depend on, and unpacks them into a folder, as the
 * root of a file system: their programs find their libraries there. Nothing is configured, and the machine stays as it is.
 */
export const downloadDebianTree = async ({ names, into, report }: DebianTree): Promise<void> => {
  for (const program of ['apt-get', 'dpkg-deb']) if (findProgram(program) === undefined) throw new Error(`no ${program} on this machine`)
  mkdirSync(CACHE, { recursive: true })
  const work = mkdtempSync(join(CACHE, 'apt-'))
  try {
    if (!hasPackageLists()) await readLists([], report)
    const archives = join(work, 'archives')
    const status = join(work, 'status')
    const tree = join(work, 'tree')
    mkdirSync(join(archives, 'partial'), { recursive: true })
    // Nothing is installed as far as apt knows: what the machine has already is needed in there too.
    writeFileSync(status, '')
    const own = [`Dir::State::status=${status}`, `Dir::Cache::archives=${archives}/`]
    const options = [...own, 'Debug::NoLocking=1', 'APT::Sandbox::User=root'].flatMap((setting) => ['-o', setting])
    await run('apt-get', [...options, '-q', 'install', '-y', '--download-only', '--no-install-recommends', ...names], { env: quiet() })
    for (const folder of MERGED) {
      mkdirSync(join(tree, 'usr', folder), { recursive: true })
      symlinkSync(`usr/${folder}`, join(tree, folder))
    }
    for (const archive of readdirSync(archives)
      .filter((file) => file.endsWith('.deb'))
      .sort())
      await run('sh', [
        '-c',
        'dpkg-deb --fsys-tarfile "$1" | tar -xp --keep-directory-symlink -C "$2"',
        'sh',
        join(archives, archive),
        tree
      ])
    rmSync(into, { recursive: true, force: true })
    mkdirSync(dirname(into), { recursive: true })
    renameSync(tree, into)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/**
 * A mirror that was frozen serves lists past their own date. They are still signed by Debian, and what is fetched is
 * checked for its version afterwards, so they are used, and it is said.
 */
const readLists = async (options: readonly string[], report: Report | undefined): Promise<void> => {
  const update = (...more: string[]) =>
    run('apt-get', [...options, ...more, '-q', '-o', 'APT::Update::Error-Mode=any', 'update'], { env: quiet() })
  try {
    await update()
  } catch (error) {
    if (!/Release file for \S+ is expired/.test((error as Error).message)) throw error
    report?.("the mirror's package list is older than its own date; its signature is good, so it is used")
    await update('-o', 'Acquire::Check-Valid-Until=false')
  }
}

/** Options that make apt read only one suite of Debian, with lists and caches of its own under `work`. */
const privateConfiguration = async (work: string, suite: string): Promise<string[]> => {
  if (!existsSync(DEBIAN_KEYRING)) throw new Error(`no ${DEBIAN_KEYRING}: the packages' signature can't be checked`)
  const sources = join(work, 'debian.sources')
  writeFileSync(sources, `Types: deb\nURIs: ${await debianMirror()}\nSuites: ${suite}\nComponents: main\nSigned-By: ${DEBIAN_KEYRING}\n`)
  for (const folder of ['lists/partial', 'cache/archives/partial']) mkdirSync(join(work, folder), { recursive: true })
  const settings: Readonly<Record<string, string>> = {
    'Dir::Etc::sourcelist': sources,
    'Dir::Etc::sourceparts': '-',
    'Dir::Etc::preferences': '-',
    'Dir::Etc::preferencesparts': '-',
    'Dir::State::lists': join(work, 'lists'),
    'Dir::Cache': join(work, 'cache'),
    'APT::Sandbox::User': 'root',
    'Acquire::Languages': 'none'
  }
  return Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`])
}

export interface Repository {
  readonly uri: string
  readonly suite: string
  readonly component: string
}

/** What this machine's apt reads. */
export const repositories = async (): Promise<Repository[]> =>
  parseRepositories(await run('apt-get', ['indextargets', '--format', '$(REPO_URI) $(RELEASE) $(COMPONENT)', 'Identifier: Packages']))

/** Out of `apt-get indextargets` lines "URI suite component". */
export const parseRepositories = (targets: string): Repository[] =>
  targets.split('\n').flatMap((line) => {
    const [uri, suite, component] = line.trim().split(' ')
    return uri === undefined || suite === undefined || component === undefined ? [] : [{ uri: uri.replace(/\/$/, ''), suite, component }]
  })

/** The mirror this machine takes Debian itself from, so that a local mirror is used for other suites too. */
export const debianMirror = async (): Promise<string> => {
  const codename = /^VERSION_CODENAME=(\w+)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'bookworm'
  const mirror = mirrorAmong(await repositories(), codename)
  if (mirror === undefined) throw new Error(`apt names no mirror of Debian's ${codename} on this machine (apt-get indextargets)`)
  return mirror
}

/** The repository that carries a release's `main`. */
export const mirrorAmong = (all: readonly Repository[], codename: string): string | undefined =>
  all.find(({ uri, suite, component }) => suite === codename && component === 'main' && !uri.includes('debian-security'))?.uri
