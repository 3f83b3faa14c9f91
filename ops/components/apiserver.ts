/** The API server as a scoped resource: views, decider, both doors, and the agents' side. */
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import * as Effect from 'effect/Effect'
import type * as Scope from 'effect/Scope'
import type { Damage } from '#events/Log.ts'
import type { StreamName } from '#events/Subject.ts'
import { ensurePki, firstServiceAddress, pkiFile, type Pki } from '#ops/pki/pki.ts'
import { durationOf } from '#ops/home.ts'
import { damageLines } from '#ops/log/damage.ts'
import { loadMasters } from '#ops/log/keys.ts'
import { audited } from '#services/apiserver/audit/audited.ts'
import { bootstrap } from '#services/apiserver/bootstrap.ts'
import { gated } from '#services/apiserver/gated.ts'
import { ClaimRepair } from '#services/apiserver/claims/ClaimRepair.ts'
import { ApiDecider, type Decider } from '#services/apiserver/Decider.ts'
import { serveErase } from '#services/apiserver/door/erase.ts'
import { serveFollows } from '#services/apiserver/door/follow.ts'
import { serveIntents } from '#services/apiserver/door/door.ts'
import { serveGone } from '#services/apiserver/door/gone.ts'
import { servePulses } from '#services/apiserver/door/pulses.ts'
import { serveSelf } from '#services/apiserver/door/self.ts'
import { logChecks, ShutdownCheck } from '#services/apiserver/health.ts'
import { Freshness } from '#services/apiserver/Freshness.ts'
import { KubernetesEndpoints } from '#services/apiserver/kubernetesEndpoints.ts'
import { ApiServer, type TlsFiles } from '#services/apiserver/http/ApiServer.ts'
import { PING } from '#services/apiserver/http/health.ts'
import { BindingPublisher } from '#services/apiserver/nodes/BindingPublisher.ts'
import { identityOf, Peers } from '#services/apiserver/nodes/Peers.ts'
import { Pulses } from '#services/apiserver/nodes/Pulses.ts'
import { ReportIngest } from '#services/apiserver/nodes/ReportIngest.ts'
import { SigningKeys, type KeyMaterial } from '#services/apiserver/nodes/SigningKeys.ts'
import { Tokens } from '#services/apiserver/nodes/Tokens.ts'
import { Retention } from '#services/apiserver/secrets/Retention.ts'
import { LastOnly } from '#services/apiserver/time-travel/LastOnly.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { JetStreamWorkQueue } from '#services/platform/jetstream/JetStreamWorkQueue.ts'
import { NatsNodeCalls } from '#services/platform/node-calls/NatsNodeCalls.ts'
import { allNodes } from '#services/platform/secrets/NodeKeys.ts'
import type { PastIndex } from '#services/platform/past/PastIndex.ts'
import type { View, Views } from '#services/platform/View.ts'
import { podSecurityOf } from '#ops/home.ts'
import { bridgeAddress, DNS_PORT } from './addresses.ts'
import { auditTrail } from './audit.ts'
import { connection, wholeViews, type Place } from './connection.ts'
import type { LogDisk } from './disk.ts'
import { history } from './history.ts'
import type { HomeWatch } from './ownHome.ts'
import { nodeAccess } from './nodeAccess.ts'
import { noDamages, scrub } from './scrub.ts'

export interface RunningApiServer {
  readonly views: Views
  readonly decider: Decider
  /** Puts renewed certificates and keys into use. */
  renew(tls: TlsFiles, signing: KeyMaterial): void
  /** Not ready from now on. */
  ending(): void
}

const attempt = <Value>(what: string, run: () => Promise<Value>): Effect.Effect<Value, Error> =>
  Effect.tryPromise({ try: run, catch: (cause) => new Error(`${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause }) })

/** A door on NATS; at its end what is being answered is, for a moment. */
const opened = (open: () => { close(): Promise<void> }): Effect.Effect<unknown, never, Scope.Scope> =>
  Effect.acquireRelease(Effect.sync(open), (door) => Effect.promise(() => door.close()).pipe(Effect.timeout('2 seconds'), Effect.ignore))

export const signingMaterial = ({ serviceAccountKey, serviceAccountPublicKeys }: Pki): KeyMaterial => ({ privateKey: serviceAccountKey, publicKeys: serviceAccountPublicKeys })

/** `beside`: in a process of its own, while another one is the home's: what is done once for the log is that one's. */
export const apiserver = (place: Place, disk: LogDisk, own: HomeWatch, beside = false): Effect.Effect<RunningApiServer, Error, Scope.Scope> =>
  Effect.gen(function* () {
    const { home, config } = place
    const warn = (error: unknown): void => place.warn('apiserver', error)
    const nats = yield* connection(place, 'apiserver')
    // Who floods a door can have the server end the connection it comes in by, as a slow consumer: the log's is another one.
    const doors = yield* connection(place, 'apiserver')
    const damages = noDamages()
    // Begins with the views and beside them: nobody waits for it.
    const early: Damage[] = []
    let onDamaged = (damage: Damage): void => void early.push(damage)
    const indexed = yield* history(place, beside, (damage) => onDamaged(damage))
    const views = yield* wholeViews(place, 'apiserver', nats, disk.appends, () => [])
    onDamaged = (damage) => {
      damages.add(damage)
      views.byStream.get(damage.stream)?.integrity?.ledger.report(damage)
      for (const line of damageLines([damage])) place.warn('the log is damaged', `${line}. Writes are refused from now on; reads go on`)
    }
    early.forEach(onDamaged)
    const histories = new Map<StreamName, PastIndex>([...indexed, ['PULSE', new LastOnly(views.byStream.get('PULSE') as View)]])
    const { trail, ...audit } = yield* auditTrail(place, nats, disk)
    const [low = 30000, high = 32767] = config.nodePortRange.split('-').map(Number)
    const podSecurity = yield* Effect.try({ try: () => podSecurityOf(home, config), catch: (cause) => cause as Error })
    const deciding = new ApiDecider({
      views,
      clock: systemClock,
      settings: { serviceCIDR: config.serviceCIDR, nodePorts: [low, high], podSecurity },
      shortage: () => disk.shortage()
    })
    const decider = gated(deciding, () => own.closed() ?? damages.closed())
    // HTTP notes more of its requests than their intents say, and records them itself.
    const noted = audited(decider, trail, systemClock)
    yield* attempt('the objects every cluster has', () =>
      bootstrap({
        views,
        decider,
        clock: systemClock,
        apiAddress: bridgeAddress(config),
        apiPort: config.apiPort,
        serviceCIDR: config.serviceCIDR,
        kubernetesIP: firstServiceAddress(config.serviceCIDR),
        dnsIP: config.clusterDNS,
        dnsAddress: bridgeAddress(config),
        dnsPort: DNS_PORT,
        beside
      })
    )
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        const repair = new ClaimRepair({ views, decider: deciding, clock: systemClock, onError: warn, closed: () => own.closed() !== undefined || damages.closed() !== undefined })
        repair.start()
        return repair
      }),
      (repair) => Effect.sync(() => repair.stop())
    )
    const read = (name: string): string => readFileSync(pkiFile(home, name), 'utf8')
    const signingKeys = new SigningKeys(signingMaterial(yield* attempt('the certificates', () => ensurePki(home, config))))
    const tokens = new Tokens(signingKeys, systemClock)
    const address = `${bridgeAddress(config)}:${config.apiPort}`
    const peers = yield* Effect.acquireRelease(
      attempt('the Lease', async () => {
        const peers = new Peers({ views, decider, clock: systemClock, identity: identityOf(hostname(), address), host: hostname(), address, onError: warn })
        await peers.start()
        return peers
      }),
      (peers) => Effect.promise(() => peers.stop()).pipe(Effect.timeout('2 seconds'), Effect.ignore)
    )
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        const endpoints = new KubernetesEndpoints({ views, decider, peers, clock: systemClock, onError: warn })
        endpoints.start()
        return endpoints
      }),
      (endpoints) => Effect.sync(() => endpoints.stop())
    )
    const publisher = yield* Effect.acquireRelease(
      attempt('bindings', async () => {
        const publisher = new BindingPublisher({ views, bindings: new JetStreamLog(nats, 'BINDINGS', { gapless: false }), tokens, clusterCA: read('ca.crt'), seal: allNodes(loadMasters(home)), clock: systemClock, share: peers, onError: warn })
        await publisher.start()
        return publisher
      }),
      (publisher) => Effect.sync(() => publisher.stop())
    )
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        const ingest = new ReportIngest({ views, decider: noted, reports: new JetStreamWorkQueue(nats, { stream: 'REPORTS', durable: 'apiserver-reports' }), clock: systemClock, onError: warn })
        ingest.start()
        return ingest
      }),
      (ingest) => Effect.promise(() => ingest.stop()).pipe(Effect.timeout('2 seconds'), Effect.ignore)
    )
    yield* Effect.acquireRelease(
      Effect.sync(() => servePulses(doors, new Pulses({ views, decider: noted, clock: systemClock, onError: warn }), warn)),
      (door) => Effect.sync(() => door.close())
    )
    yield* opened(() => serveFollows({ connection: doors, onError: warn }))
    yield* opened(() => serveGone({ views, connection: doors, onUnbound: (pod) => publisher.renew(pod), onError: warn }))
    yield* opened(() => serveSelf({ views, connection: doors, onError: warn }))
    yield* opened(() => serveIntents(doors, noted, warn))
    yield* nodeAccess(place, views)
    const { vault } = views.of({ group: '', resource: 'secrets' })
    if (vault !== undefined) {
      const { keys } = vault
      yield* opened(() => serveErase({ views, keys, connection: doors, recorder: trail, clock: systemClock, onError: warn }))
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          const retention = new Retention({ views, keys, clock: systemClock, keep: durationOf(config.settings?.keepDeletedSecrets ?? '30d', 'keepDeletedSecrets'), mine: () => peers.current()('secrets'), onError: warn })
          retention.start()
          return retention
        }),
        (retention) => Effect.sync(() => retention.stop())
      )
    }
    if (!beside) yield* scrub(place, [...views.byStream.values(), audit], damages)
    const shutdown = new ShutdownCheck()
    const checks = logChecks({ connection: nats, clock: systemClock, views: [...views.byStream.values()].filter(({ stream }) => stream !== 'PULSE'), appends: disk.appends })
    const asked = [PING, ...checks, own.check, disk.check, damages.check]
    const server = yield* Effect.acquireRelease(
      attempt(`the API server on port ${config.apiPort}`, async () => {
        const made = new ApiServer({
          decider,
          audit: trail,
          views,
          histories,
          nodeCalls: new NatsNodeCalls(nats),
          clock: systemClock,
          tokens,
          signingKeys,
          address: `127.0.0.1:${config.apiPort}`,
          onError: warn,
          upToDate: new Freshness(() => peers.live.length > 1, systemClock).of,
          health: { livez: [PING, ...checks.filter(({ name }) => name === 'log')], healthz: asked, readyz: [...asked, shutdown] }
        })
        await made.listen({ certificate: read('apiserver.crt'), key: read('apiserver.key'), clientCA: read('ca.crt') }, config.apiPort)
        return made
      }),
      (listening) => Effect.promise(() => listening.close())
    )
    return {
      views,
      decider: noted,
      ending: () => shutdown.begin(),
      renew: (tls, signing) => {
        server.renew(tls)
        signingKeys.replace(signing)
      }
    }
  })
