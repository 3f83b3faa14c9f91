/** Certificates and keys that renew themselves while the process runs: looked at now and then, replaced before they end. */
import * as Effect from 'effect/Effect'
import * as Layer from 'effect/Layer'
import * as Schedule from 'effect/Schedule'
import { runningServer } from '#ops/nats/server.ts'
import { authorityEnds, ensurePki, pkiFile, writeKubeconfig, type Pki } from '#ops/pki/pki.ts'
import { ApiServer, signingMaterial } from './apiserver.ts'
import { OwnHome } from './ownHome.ts'
import { Place } from './place.ts'

const EVERY = '6 hours'
const YEAR_MS = 365 * 24 * 60 * 60 * 1000

/** Puts into use what is new. Returns what it was, for the log. */
export const putIntoUse = async (
  { home, config }: Pick<Place['Service'], 'home' | 'config'>,
  api: Pick<ApiServer['Service'], 'renew'>,
  before: Pki,
  after: Pki
): Promise<readonly string[]> => {
  const renewed: string[] = []
  if (after.serviceAccountKey !== before.serviceAccountKey || after.apiserver.certificate !== before.apiserver.certificate) {
    api.renew({ certificate: after.apiserver.certificate, key: after.apiserver.key, clientCA: after.ca }, signingMaterial(after))
    if (after.apiserver.certificate !== before.apiserver.certificate) renewed.push("the API server's certificate")
    if (after.serviceAccountKey !== before.serviceAccountKey) renewed.push('the key of service account tokens')
  }
  if (after.nats.certificate !== before.nats.certificate) {
    // It reads its files again; connections stay.
    const nats = runningServer(home)
    if (nats !== undefined) process.kill(nats.pid, 'SIGHUP')
    renewed.push("nats-server's certificate")
  }
  if (after.admin.certificate !== before.admin.certificate) {
    await writeKubeconfig(home, config)
    renewed.push("the administrator's certificate, in the kubeconfig")
  }
  return renewed
}

const authorityEnding = (home: string): string => {
  const until = new Date(authorityEnds(home)).toISOString().slice(0, 10)
  const why = 'every client trusts it by name, so it is not replaced by itself'
  return `the cluster's authority (${pkiFile(home, 'ca.crt')}) ends on ${until}; ${why}`
}

export const renewal = Layer.effectDiscard(
  Effect.gen(function* () {
    const place = yield* Place
    const api = yield* ApiServer
    const own = yield* OwnHome
    const { home, config, warn } = place
    let known: Pki | undefined
    const look = Effect.tryPromise(async () => {
      // In one that is gone it would make an authority of its own.
      await own.look()
      if (own.closed() !== undefined) return
      const next = await ensurePki(home, config)
      for (const what of await putIntoUse(place, api, known ?? next, next)) warn('certificates', `${what} was near its end and is renewed`)
      known = next
      if (authorityEnds(home) - Date.now() < YEAR_MS) warn('certificates', authorityEnding(home))
    }).pipe(Effect.catch((error) => Effect.sync(() => warn('certificates', error))))
    yield* Effect.forkScoped(look.pipe(Effect.repeat(Schedule.spaced(EVERY))))
  })
)
