/** How this machine reaches Debian and npm, carried into the bare system: mirrors, proxies, npm's files, certificates. */
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { debianMirror, repositories } from '#ops/setup/apt.ts'
import { run } from '#ops/setup/project.ts'

export const SUITE = 'bookworm'
export const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'
const BUNDLE = '/etc/ssl/certs/ca-certificates.crt'

/** The machine as its loopback is reached from inside (slirp4netns(1)). */
const GATEWAY = '10.0.2.2'
const NAMESERVER = '10.0.2.3'

export interface Settings {
  /** Debian's mirror. */
  readonly mirror: string
  /** Its security archive's, where this machine has one. */
  readonly security: string | undefined
  /** Lines for apt.conf(5): how archives are reached. */
  readonly apt: readonly string[]
  /** npm's own files: where it finds them inside, and where they are here. */
  readonly npm: readonly { readonly path: string; readonly from: string }[]
  /** What programs are told by the environment. */
  readonly env: Readonly<Record<string, string>>
  /** True when a proxy on this machine's own loopback is needed. */
  readonly loopback: boolean
}

const CARRIED =
  /^((https?|ftp|all|no)_proxy|node_extra_ca_certs|ssl_cert_file|ssl_cert_dir|npm_config_(registry|https?_proxy|proxy|noproxy|cafile|strict_ssl))$/i

export const hostSettings = async (env: NodeJS.ProcessEnv = process.env): Promise<Settings> => {
  const here = await repositories()
  const config = await run('apt-config', ['dump'])
  const fromEnvironment = Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => (value !== undefined && value !== '' && CARRIED.test(name) ? [[name, value]] : []))
  )
  const apt = acquireSettings(config)
  const [user, all] = await Promise.all(
    ['userconfig', 'globalconfig'].map(async (key) => (await run('npm', ['config', 'get', key], { cwd: homedir() })).trim())
  )
  const npm = [
    { path: '/root/.npmrc', from: user ?? '' },
    { path: '/usr/local/etc/npmrc', from: all ?? '' }
  ].filter(({ from }) => existsSync(from))
  return {
    mirror: await debianMirror(),
    security: here.find(({ suite }) => suite.endsWith('-security'))?.uri,
    apt: apt.map(throughGateway),
    npm,
    env: Object.fromEntries(Object.entries(fromEnvironment).map(([key, value]) => [key, throughGateway(value)])),
    loopback: [...Object.values(fromEnvironment), ...apt, ...npm.map(({ from }) => readFileSync(from, 'utf8'))].some(
      (text) => throughGateway(text) !== text
    )
  }
}

/** A URL on this machine's loopback as the bare system reaches it; anything else as it is. */
export const throughGateway = (text: string): string =>
  text.replace(/(:\/\/(?:[^/@\s]*@)?)(localhost|127\.\d+\.\d+\.\d+|\[::1\])(?=[:/"]|$)/g, `$1${GATEWAY}`)

/** From `apt-config dump`: proxies, certificates, checks and time limits; not which indexes to read, nor hooks. */
export const acquireSettings = (dump: string): string[] =>
  dump
    .split('\n')
    .filter(
      (line) => /^Acquire::\S+ ".+";$/.test(line) && !/^Acquire::(IndexTargets|Changelogs|CompressionTypes|GzipIndexes)\b/i.test(line)
    )

/** Files a setting names by path: `cafile=…`, `Acquire::https::CAInfo "…"`, NODE_EXTRA_CA_CERTS. */
const namedFiles = (settings: Settings): string[] => {
  const texts = [...settings.apt, ...settings.npm.map(({ from }) => readFileSync(from, 'utf8')), ...Object.values(settings.env)]
  const paths = texts.flatMap((text) => [...text.matchAll(/(?:^|["'=\s])(\/[\w./+@-]+)(?=["'\s;]|$)/gm)].map((match) => match[1] as string))
  return [...new Set([BUNDLE, ...paths])].filter(
    (path) => existsSync(path) && statSync(path).isFile() && /\.(crt|pem|cer|key|ca)$/i.test(path)
  )
}

/** What the base needs to be made with, and everything later comes by: sources, how to reach them, certificates, npm's settings. */
export const writeSettings = (root: string, settings: Settings, name: string): void => {
  const put = (path: string, text: string, mode = 0o644): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text, { mode })
  }
  const source = (uri: string, suites: string): string =>
    `Types: deb\nURIs: ${uri}\nSuites: ${suites}\nComponents: main\nSigned-By: ${KEYRING}\n`
  put('/etc/apt/sources.list', '')
  put(
    '/etc/apt/sources.list.d/debian.sources',
    [
      source(settings.mirror, `${SUITE} ${SUITE}-updates`),
      ...(settings.security === undefined ? [] : [source(settings.security, `${SUITE}-security`)])
    ].join('\n')
  )
  put('/etc/apt/apt.conf.d/99machine', settings.apt.map((line) => `${line}\n`).join(''))
  for (const file of ['auth.conf', 'auth.conf.d'])
    if (existsSync(`/etc/apt/${file}`)) cpSync(`/etc/apt/${file}`, join(root, '/etc/apt', file), { recursive: true })
  for (const { path, from } of settings.npm) put(path, throughGateway(readFileSync(from, 'utf8')), 0o600)
  for (const path of namedFiles(settings)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    copyFileSync(path, join(root, path))
  }
  // A package that rebuilds the bundle takes the machine's own authorities from here.
  if (existsSync('/usr/local/share/ca-certificates'))
    cpSync('/usr/local/share/ca-certificates', join(root, '/usr/local/share/ca-certificates'), { recursive: true })
  put('/etc/hostname', `${name}\n`)
  put('/etc/hosts', `127.0.0.1\tlocalhost ${name}\n::1\tlocalhost ip6-localhost ip6-loopback\n`)
  put('/etc/resolv.conf', `nameserver ${NAMESERVER}\n`)
}

/** The environment of a root shell there, and what this machine's carries into it. */
export const environmentIn = (settings: Settings): Record<string, string> => ({
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  USER: 'root',
  SHELL: '/bin/bash',
  TERM: 'dumb',
  LANG: 'C.UTF-8',
  ...settings.env
})
