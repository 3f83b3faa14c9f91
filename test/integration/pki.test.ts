/** The cluster's certificates, used as they are meant to be: a TLS server and a client that know each other by the CA. */
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, createServer, type TLSSocket } from 'node:tls'
import { importPKCS8, importSPKI, jwtVerify, SignJWT } from 'jose'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parse } from 'yaml'
import { type ClusterConfig, loadOrCreateConfig } from '#ops/home.ts'
import { clientCertificate, ensurePki, type Pki, writeKubeconfig } from '#ops/pki/pki.ts'

const certificates = suite('pki')
const home = mkdtempSync(join(tmpdir(), 'reckon-pki-'))
let config: ClusterConfig
let pki: Pki

certificates.before(async () => {
  config = await loadOrCreateConfig(home, () => {})
  pki = await ensurePki(home, config)
})
certificates.after(() => rmSync(home, { recursive: true, force: true }))

certificates('the API server is known by the names of its Service and of the machine', () => {
  const certificate = new X509Certificate(pki.apiserver.certificate)
  for (const name of ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', 'kubernetes.default.svc.cluster.local', 'localhost']) {
    assert.is(certificate.checkHost(name), name)
  }
  assert.is(certificate.checkIP('127.0.0.1'), '127.0.0.1')
  assert.is(certificate.checkIP(config.clusterDNS.replace(/10$/, '1')), config.clusterDNS.replace(/10$/, '1'))
  assert.ok(certificate.checkIssued(new X509Certificate(pki.ca)))
  assert.not.ok(certificate.ca)
})

certificates("files are their owner's only", () => {
  assert.is(statSync(home).mode & 0o777, 0o700)
  for (const file of readdirSync(join(home, 'pki'))) assert.is(statSync(join(home, 'pki', file)).mode & 0o077, 0, file)
  assert.is(statSync(join(home, 'config.json')).mode & 0o777, 0o600)
})

certificates('asking again changes nothing; other names make another certificate and keep the CA', async () => {
  assert.equal(await ensurePki(home, config), pki)
  const moved = await ensurePki(home, { ...config, serviceCIDR: '10.200.0.0/16' })
  assert.is(moved.ca, pki.ca)
  assert.is(moved.admin.certificate, pki.admin.certificate)
  assert.is(new X509Certificate(moved.apiserver.certificate).checkIP('10.200.0.1'), '10.200.0.1')
  pki = await ensurePki(home, config)
})

certificates('what is near its end is renewed, the authority and the other keys stay', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'reckon-pki-'))
  try {
    const now = Date.now()
    const day = 86_400_000
    const first = await ensurePki(folder, config, now)
    assert.equal(await ensurePki(folder, config, now + 334 * day), first)
    const second = await ensurePki(folder, config, now + 336 * day)
    assert.is(second.ca, first.ca)
    assert.is(second.serviceAccountKey, first.serviceAccountKey)
    for (const name of ['apiserver', 'nats', 'admin'] as const) {
      assert.is.not(second[name].certificate, first[name].certificate)
      assert.ok(Date.parse(new X509Certificate(second[name].certificate).validTo) > now + 700 * day)
    }
    // A year on the signing key is another; tokens of the one before are good until the last of them has expired.
    const third = await ensurePki(folder, config, now + 366 * day)
    assert.is.not(third.serviceAccountKey, first.serviceAccountKey)
    assert.equal(third.serviceAccountPublicKeys.slice(1), first.serviceAccountPublicKeys)
    assert.is((await ensurePki(folder, config, now + 369 * day)).serviceAccountPublicKeys.length, 1)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

/** What a server of ours learns of a client with this certificate. */
const handshake = async (client: { certificate: string; key: string } | undefined): Promise<{ authorized: boolean; subject: unknown }> => {
  const server = createServer({
    cert: pki.apiserver.certificate,
    key: pki.apiserver.key,
    ca: pki.ca,
    requestCert: true,
    rejectUnauthorized: false,
    minVersion: 'TLSv1.2'
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>
  const socket = connect({
    port: (server.address() as AddressInfo).port,
    host: '127.0.0.1',
    ca: pki.ca,
    cert: client?.certificate,
    key: client?.key
  })
  // The client may be done before the server is, or the other way round.
  const connected = once(socket, 'secureConnect')
  const [peer] = await accepted
  await connected
  const result = { authorized: peer.authorized, subject: { ...peer.getPeerCertificate().subject } }
  socket.destroy()
  peer.destroy()
  server.close()
  return result
}

certificates('a client is its common name, and its organizations are its groups', async () => {
  assert.equal(await handshake(pki.admin), { authorized: true, subject: { O: 'system:masters', CN: 'kubernetes-admin' } })
  const node = await clientCertificate(home, { commonName: 'system:node:n1', organizations: ['system:nodes', 'more'] })
  assert.equal(await handshake(node), { authorized: true, subject: { O: ['system:nodes', 'more'], CN: 'system:node:n1' } })
  assert.is((await handshake(undefined)).authorized, false)
})

certificates("another cluster's client is not ours", async () => {
  const other = mkdtempSync(join(tmpdir(), 'reckon-pki-other-'))
  try {
    const stranger = await ensurePki(other, await loadOrCreateConfig(other, () => {}))
    assert.is((await handshake(stranger.admin)).authorized, false)
  } finally {
    rmSync(other, { recursive: true, force: true })
  }
})

certificates('tokens are signed with one key and checked with the other', async () => {
  const token = await new SignJWT({ sub: 'x' }).setProtectedHeader({ alg: 'ES256' }).sign(await importPKCS8(pki.serviceAccountKey, 'ES256'))
  const { payload } = await jwtVerify(token, await importSPKI(pki.serviceAccountPublicKeys[0] as string, 'ES256'))
  assert.is(payload.sub, 'x')
})

certificates('the kubeconfig names the server, the CA and the administrator', async () => {
  const path = await writeKubeconfig(home, config)
  assert.is(statSync(path).mode & 0o777, 0o600)
  const kubeconfig = parse(readFileSync(path, 'utf8'))
  assert.is(kubeconfig['current-context'], 'reckon')
  assert.is(kubeconfig.clusters[0].cluster.server, `https://127.0.0.1:${config.apiPort}`)
  assert.is(Buffer.from(kubeconfig.clusters[0].cluster['certificate-authority-data'], 'base64').toString(), pki.ca)
  assert.is(kubeconfig.contexts[0].context.namespace, 'default')
})

certificates.run()
