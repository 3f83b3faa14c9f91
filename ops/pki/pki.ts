/** The cluster's certificate authority and everything it signs: serving certificates, client certificates, the kubeconfig. */
import 'reflect-metadata'
import { createHash, createPublicKey, randomBytes, webcrypto, X509Certificate } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync } from 'node:fs'
import { hostname, networkInterfaces } from 'node:os'
import { dirname, join } from 'node:path'
import * as x509 from '@peculiar/x509'
import { stringify } from 'yaml'
import { addressAt, parseCIDR } from '#events/meta/cidr.ts'
import { canonicalIP, type Network, parseIP } from '#events/meta/ip.ts'
import { type ClusterConfig, writeSecret } from '#ops/home.ts'
import { natsNames } from '#ops/nats/reach.ts'

/** Not into a home that is gone: it would come back with an authority of its own. */
const store = (path: string, text: string): void => {
  const folder = dirname(path)
  if (!existsSync(folder)) mkdirSync(folder, { mode: 0o700 })
  writeSecret(path, text)
}

export interface KeyPair {
  /** PEM. */
  readonly certificate: string
  /** PEM, PKCS #8. */
  readonly key: string
}

export interface Pki {
  readonly ca: string
  readonly apiserver: KeyPair
  readonly nats: KeyPair
  readonly admin: KeyPair
  /** Signs service account tokens (ES256). PEM. */
  readonly serviceAccountKey: string
  /** What tokens are checked with, the newest first: one that was replaced counts until its last token has expired. PEM. */
  readonly serviceAccountPublicKeys: readonly string[]
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const DAY = 24 * 60 * 60 * 1000
const CA_LIFE = 3650 * DAY
const LEAF_LIFE = 365 * DAY
const RENEW_BEFORE = 30 * DAY
const SIGNING_KEY_LIFE = 365 * DAY
/** No token lives longer than a day. */
const OLD_KEY_LIFE = 2 * DAY

x509.cryptoProvider.set(webcrypto as unknown as Parameters<typeof x509.cryptoProvider.set>[0])

export const pkiFile = (home: string, name: string): string => join(home, 'pki', name)

/** Makes what is missing, near its end, or names other hosts than it must; returns all of it. Files are 0600. `now`: milliseconds. */
export const ensurePki = async (home: string, config: ClusterConfig, now = Date.now()): Promise<Pki> => {
  const ca = await ensureAuthority(home, config, now)
  const machine = [hostname(), config.nodeName, 'localhost', '127.0.0.1', '::1', ...nodeAddresses()]
  const service = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', `kubernetes.default.svc.${config.clusterDomain}`]
  const apiserver = await ensureLeaf(home, ca, now, 'apiserver', {
    subject: { commonName: 'kube-apiserver', organizations: [] },
    usage: 'server',
    names: [...service, ...machine, firstServiceAddress(config.serviceCIDR)]
  })
  const nats = await ensureLeaf(home, ca, now, 'nats', {
    subject: { commonName: 'nats-server', organizations: [] },
    usage: 'server',
    names: [...machine, ...natsNames(config)]
  })
  const admin = await ensureLeaf(home, ca, now, 'admin', {
    subject: { commonName: 'kubernetes-admin', organizations: ['system:masters'] },
    usage: 'client',
    names: []
  })
  const signing = await ensureSigningKeys(home, now)
  return {
    ca: ca.certificate.toString('pem'),
    apiserver,
    nats,
    admin,
    serviceAccountKey: signing.key,
    serviceAccountPublicKeys: signing.publicKeys
  }
}

/** The authority's public key as kubeadm names it: `sha256:` and the hash of its SubjectPublicKeyInfo. */
export const authorityPin = (pem: string): string =>
  `sha256:${createHash('sha256')
    .update(new X509Certificate(pem).publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex')}`

/**
 * When the authority's own certificate ends, milliseconds: it is the one thing that does not renew itself, since every client trusts it by
 * name.
 */
export const authorityEnds = (home: string): number =>
  new x509.X509Certificate(readFileSync(pkiFile(home, 'ca.crt'), 'utf8')).notAfter.getTime()

export interface Subject {
  /** The user's name to the API server. */
  readonly commonName: string
  /** The groups. */
  readonly organizations: readonly string[]
}

/** Signs a new client certificate, valid for a year. Nothing is written. */
export const clientCertificate = async (home: string, subject: Subject): Promise<KeyPair> =>
  issue(await readAuthority(home), Date.now(), { subject, usage: 'client', names: [] })

/** Writes `kubeconfig` into the home, for kubernetes-admin on this machine, and returns its path. */
export const writeKubeconfig = async (home: string, config: ClusterConfig): Promise<string> => {
  const pki = await ensurePki(home, config)
  const path = join(home, 'kubeconfig')
  const base64 = (text: string): string => Buffer.from(text).toString('base64')
  const text = stringify(
    {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [
        {
          name: 'reckon',
          cluster: { server: `https://127.0.0.1:${config.apiPort}`, 'certificate-authority-data': base64(pki.ca) }
        }
      ],
      users: [
        {
          name: 'kubernetes-admin',
          user: { 'client-certificate-data': base64(pki.admin.certificate), 'client-key-data': base64(pki.admin.key) }
        }
      ],
      contexts: [{ name: 'reckon', context: { cluster: 'reckon', user: 'kubernetes-admin', namespace: 'default' } }],
      'current-context': 'reckon'
    },
    { lineWidth: 0 }
  )
  if (!existsSync(path) || readFileSync(path, 'utf8') !== text) store(path, text)
  return path
}

/** The address of the `kubernetes` Service: the first of the range. */
export const firstServiceAddress = (serviceCIDR: string): string => addressAt(parseCIDR(serviceCIDR) as Network, 1)

/** The machine's own addresses; those of bridges and of pods' interfaces come and go and are left out. */
const nodeAddresses = (): string[] =>
  Object.entries(networkInterfaces())
    .filter(([name]) => !/^(lo|docker|br-|veth|rk|cni|virbr)/.test(name))
    .flatMap(([, addresses]) => addresses ?? [])
    .filter((address) => !address.internal && !address.address.startsWith('fe80:'))
    .map((address) => address.address)

interface Authority {
  readonly certificate: x509.X509Certificate
  readonly key: webcrypto.CryptoKey
}

const ensureAuthority = async (home: string, config: ClusterConfig, now: number): Promise<Authority> => {
  if (existsSync(pkiFile(home, 'ca.crt')) && existsSync(pkiFile(home, 'ca.key'))) return readAuthority(home)
  const keys = await newKeys()
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: nameOf({ commonName: `reckon-${config.instance}`, organizations: [] }),
    ...validFor(CA_LIFE, now),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey)
    ]
  })
  store(pkiFile(home, 'ca.key'), await pemOf(keys.privateKey))
  store(pkiFile(home, 'ca.crt'), `${certificate.toString('pem')}\n`)
  return { certificate, key: keys.privateKey }
}

const readAuthority = async (home: string): Promise<Authority> => ({
  certificate: new x509.X509Certificate(readFileSync(pkiFile(home, 'ca.crt'), 'utf8')),
  key: await importKey(readFileSync(pkiFile(home, 'ca.key'), 'utf8'))
})

interface LeafSpec {
  readonly subject: Subject
  readonly usage: 'server' | 'client'
  /** DNS names and IP addresses. */
  readonly names: readonly string[]
}

const ensureLeaf = async (home: string, authority: Authority, now: number, name: string, spec: LeafSpec): Promise<KeyPair> => {
  const certificateFile = pkiFile(home, `${name}.crt`)
  const keyFile = pkiFile(home, `${name}.key`)
  if (existsSync(certificateFile) && existsSync(keyFile)) {
    const pair = { certificate: readFileSync(certificateFile, 'utf8'), key: readFileSync(keyFile, 'utf8') }
    if (await isCurrent(pair.certificate, authority, now, spec)) return pair
  }
  const pair = await issue(authority, now, spec)
  store(keyFile, pair.key)
  store(certificateFile, pair.certificate)
  return pair
}

const isCurrent = async (pem: string, authority: Authority, now: number, spec: LeafSpec): Promise<boolean> => {
  const certificate = new x509.X509Certificate(pem)
  if (certificate.notAfter.getTime() - now < RENEW_BEFORE) return false
  if (!(await certificate.verify({ publicKey: authority.certificate, signatureOnly: true }))) return false
  const names = certificate.getExtension(x509.SubjectAlternativeNameExtension)?.names.items.map((item) => item.value) ?? []
  return JSON.stringify(names.map(plainAddress).sort()) === JSON.stringify(unique(spec.names).map(plainAddress).sort())
}

/** IPv6 addresses have several spellings: compare them in one. */
const plainAddress = (name: string): string => canonicalIP(name) ?? name

const unique = (names: readonly string[]): string[] => [...new Set(names)]

const isAddress = (name: string): boolean => parseIP(name) !== undefined

const issue = async (authority: Authority, now: number, spec: LeafSpec): Promise<KeyPair> => {
  const keys = await newKeys()
  const names = unique(spec.names)
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: nameOf(spec.subject),
    issuer: authority.certificate.subjectName,
    ...validFor(LEAF_LIFE, now),
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: authority.key,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([spec.usage === 'server' ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth]),
      await x509.AuthorityKeyIdentifierExtension.create(authority.certificate),
      ...(names.length === 0
        ? []
        : [new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: isAddress(value) ? 'ip' : 'dns', value }) as const))])
    ]
  })
  return { certificate: `${certificate.toString('pem')}\n`, key: await pemOf(keys.privateKey) }
}

const publicPem = (key: string): string => createPublicKey(key).export({ type: 'spki', format: 'pem' }).toString()

/** A key that has signed for a year is replaced. The public half of the old one stays until nothing it signed is valid. */
const ensureSigningKeys = async (home: string, now: number): Promise<{ readonly key: string; readonly publicKeys: readonly string[] }> => {
  const path = pkiFile(home, 'sa.key')
  const retired = pkiFile(home, 'sa-retired')
  if (existsSync(path) && now - statSync(path).mtimeMs > SIGNING_KEY_LIFE) {
    store(join(retired, `${now}.pub`), publicPem(readFileSync(path, 'utf8')))
    rmSync(path)
  }
  if (!existsSync(path)) {
    store(path, await pemOf((await newKeys()).privateKey))
    utimesSync(path, new Date(now), new Date(now))
  }
  const old = (existsSync(retired) ? readdirSync(retired) : []).sort((a, b) => Number.parseInt(b) - Number.parseInt(a))
  for (const file of old) if (now - Number.parseInt(file) > OLD_KEY_LIFE) rmSync(join(retired, file))
  const key = readFileSync(path, 'utf8')
  return {
    key,
    publicKeys: [
      publicPem(key),
      ...old.filter((file) => now - Number.parseInt(file) <= OLD_KEY_LIFE).map((file) => readFileSync(join(retired, file), 'utf8'))
    ]
  }
}

const newKeys = () => webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])

const pemOf = async (key: webcrypto.CryptoKey): Promise<string> =>
  `${x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`

const importKey = (pem: string): Promise<webcrypto.CryptoKey> =>
  webcrypto.subtle.importKey('pkcs8', x509.PemConverter.decode(pem)[0] ?? new ArrayBuffer(0), ALGORITHM, true, ['sign'])

/** Positive, 127 random bits. */
const serialNumber = (): string => {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return bytes.toString('hex')
}

const nameOf = (subject: Subject): x509.JsonName => [
  ...subject.organizations.map((organization) => ({ O: [organization] })),
  { CN: [subject.commonName] }
]

/** A little before now, for machines whose clocks differ. */
const validFor = (life: number, now: number) => ({ notBefore: new Date(now - 5 * 60 * 1000), notAfter: new Date(now + life) })
