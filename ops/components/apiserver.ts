/** The API server as a service of the process: views, decider, both doors, and the agents' side. */
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import type { NatsConnection } from '@nats-io/transport-node'
import * as Context from 'effect/Context'
import * as Effect from 'effect/Effect'
import * as Layer from 'effect/Layer'
import type { Damage } from '#events/Log.ts'
import type { StreamName } from '#events/Subject.ts'
import { clusterCIDRsOf } from '#ops/configuration.ts'
import { ensurePki, firstServiceAddress, pkiFile, type Pki } from '#ops/pki/pki.ts'
import { durationOf } from '#ops/home.ts'
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
import { ApiServer as HttpServer, type TlsFiles } from '#services/apiserver/http/ApiServer.ts'
import { PING } from '#services/apiserver/http/health.ts'
import { BindingPublisher } from '#services/apiserver/nodes/BindingPublisher.ts'
import { identityOf, Peers } from '#services/apiserver/nodes/Peers.ts'
import { Pulses } from '#services/apiserver/nodes/Pulses.ts'
import { ReportIngest } from '#services/apiserver/nodes/ReportIngest.ts'
import { SigningKeys, type KeyMaterial } from '#services/apiserver/nodes/SigningKeys.ts'
import { Tokens } from '#services/apiserver/nodes/Tokens.ts'
import { Retention } from '#services/apiserver/secrets/Retention.ts'
import { Stillness } from '#services/apiserver/Stillness.ts'
import { LastOnly } from '#services/apiserver/time-travel/LastOnly.ts'
import { placesOf } from '#services/apiserver/time-travel/places.ts'
import { systemClock, type Timer } from '#services/platform/Clock.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { JetStreamWorkQueue } from '#services/platform/jetstream/JetStreamWorkQueue.ts'
import { NatsNodeCalls } from '#services/platform/node-calls/NatsNodeCalls.ts'
import { allNodes } from '#services/platform/secrets/NodeKeys.ts'
import type { PastIndex } from '#services/platform/past/PastIndex.ts'
import type { View } from '#services/platform/View.ts'
import type { Views } from '#services/platform/Views.ts'
import { podSecurityOf } from '#ops/home.ts'
import { bridgeAddress, DNS_PORT } from './addresses.ts'
import { auditTrail } from './audit.ts'
import { connection, wholeViews } from './connection.ts'
import { LogDisk } from './disk.ts'
import { attempt, usable } from './errors.ts'
import { history } from './history.ts'
import { nodeAccess } from './nodeAccess.ts'
import { OpenLog } from './openLog.ts'
import { OwnHome } from './ownHome.ts'
import { Place } from './place.ts'
import { briefly, running } from './scoped.ts'
import { condemn, Damages, scrub } from './scrub.ts'

/** A door on NATS; at its end what is being answered is, for a moment. */
const opened = (open: () => { close(): Promise<void> }) => Effect.acquireRelease(Effect.sync(open), (door) => briefly(() => door.close()))

export const signingMaterial = ({ serviceAccountKey, serviceAccountPublicKeys }: Pki): KeyMaterial => ({
  privateKey: serviceAccountKey,
  publicKeys: serviceAccountPublicKeys
})

const complaints = Effect.map(
  Place,
  ({ warn }) =>
    (error: unknown): void =>
      warn('apiserver', error)
)

/**
 * What the historian finds at a reconnect the views find as well, who were there when it happened: theirs is the word that is
 * remembered. What only the historian finds is told so much later.
 */
const VIEWS_FIRST_MS = 2_000

/** What there is, and where its past is. */
const state = (nats: NatsConnection) =>
  Effect.gen(function* () {
    const disk = yield* LogDisk
    const found = yield* condemn
    // Begins with the views and beside them: nobody waits for it.
    const early: Damage[] = []
    let onDamaged = (damage: Damage): void => void early.push(damage)
    const indexed = yield* history((damage) => onDamaged(damage))
    const views = yield* wholeViews('apiserver', nats, disk.appends)
    const waiting = new Set<Timer>()
    onDamaged = (damage) => {
      const view = views.byStream.get(damage.stream)
      const timer = systemClock.after(VIEWS_FIRST_MS, () => {
        waiting.delete(timer)
        if (view?.failed === undefined) found(damage, view?.integrity?.ledger)
      })
      waiting.add(timer)
    }
    yield* Effect.addFinalizer(() => Effect.sync(() => waiting.forEach((timer) => timer.cancel())))
    early.forEach(onDamaged)
    const histories = new Map<StreamName, PastIndex>([...indexed, ['PULSE', new LastOnly(views.byStream.get('PULSE') as View)]])
    return { views, histories }
  })

/** Who decides, and the trail of what makes no event. */
const deciders = (nats: NatsConnection, views: Views) =>
  Effect.gen(function* () {
    const { home, config } = yield* Place
    const own = yield* OwnHome
    const damages = yield* Damages
    const disk = yield* LogDisk
    const { trail, ...audit } = yield* auditTrail(nats)
    const [low = 30000, high = 32767] = config.nodePortRange.split('-').map(Number)
    const podSecurity = yield* usable(() => podSecurityOf(home, config))
    const stillness = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const made = new Stillness(systemClock)
        made.start()
        return made
      }),
      (made) => Effect.sync(() => made.stop())
    )
    const deciding = new ApiDecider({
      views,
      clock: systemClock,
      settings: { serviceCIDR: config.serviceCIDR, nodePorts: [low, high], podCIDRs: clusterCIDRsOf(config), podSecurity },
      shortage: () => disk.shortage(),
      late: stillness.lately
    })
    const decider = gated(deciding, () => own.closed() ?? damages.closed())
    // HTTP notes more of its requests than their intents say, and records them itself.
    return { trail, audit, deciding, decider, noted: audited(decider, trail, systemClock) }
  })

type Deciders = Effect.Success<ReturnType<typeof deciders>>

/** What every cluster has, and who of several API servers does what. */
const membership = (views: Views, { deciding, decider }: Deciders) =>
  Effect.gen(function* () {
    const { config } = yield* Place
    const own = yield* OwnHome
    const log = yield* OpenLog
    const damages = yield* Damages
    const onError = yield* complaints
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
        beside: !log.own
      })
    )
    const closed = (): boolean => own.closed() !== undefined || damages.closed() !== undefined
    yield* running(() => {
      const repair = new ClaimRepair({ views, decider: deciding, clock: systemClock, onError, closed })
      repair.start()
      return repair
    })
    const address = `${bridgeAddress(config)}:${config.apiPort}`
    const host = hostname()
    const peers = yield* Effect.acquireRelease(
      attempt('the Lease', async () => {
        const peers = new Peers({ views, decider, clock: systemClock, identity: identityOf(host, address), host, address, onError })
        await peers.start()
        return peers
      }),
      (peers) => briefly(() => peers.stop())
    )
    yield* running(() => {
      const endpoints = new KubernetesEndpoints({ views, decider, peers, clock: systemClock, onError })
      endpoints.start()
      return endpoints
    })
    return peers
  })

interface NodesSide {
  readonly nats: NatsConnection
  readonly doors: NatsConnection
  readonly views: Views
  readonly histories: ReadonlyMap<StreamName, PastIndex>
  readonly noted: Decider
  readonly peers: Peers
  readonly tokens: Tokens
}

/** What nodes are told and what they say, and the other doors on NATS. */
const doorsOnNats = ({ nats, doors, views, histories, noted, peers, tokens }: NodesSide) =>
  Effect.gen(function* () {
    const { home } = yield* Place
    const onError = yield* complaints
    const publisher = yield* Effect.acquireRelease(
      attempt('bindings', async () => {
        const publisher = new BindingPublisher({
          views,
          bindings: new JetStreamLog(nats, 'BINDINGS', { gapless: false }),
          tokens,
          clusterCA: readFileSync(pkiFile(home, 'ca.crt'), 'utf8'),
          seal: allNodes(loadMasters(home)),
          clock: systemClock,
          share: peers,
          onError
        })
        await publisher.start()
        return publisher
      }),
      (publisher) => Effect.sync(() => publisher.stop())
    )
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        const reports = new JetStreamWorkQueue(nats, { stream: 'REPORTS', durable: 'apiserver-reports' })
        const ingest = new ReportIngest({ views, decider: noted, reports, clock: systemClock, onError })
        ingest.start()
        return ingest
      }),
      (ingest) => briefly(() => ingest.stop())
    )
    yield* Effect.acquireRelease(
      Effect.sync(() => servePulses(doors, new Pulses({ views, decider: noted, clock: systemClock, onError }), onError)),
      (door) => Effect.sync(() => door.close())
    )
    yield* opened(() => serveFollows({ connection: doors, places: (stream, key) => placesOf({ views, histories }, stream, key), onError }))
    yield* opened(() => serveGone({ views, connection: doors, onUnbound: (pod) => publisher.renew(pod), onError }))
    yield* opened(() => serveSelf({ views, connection: doors, onError }))
    yield* opened(() => serveIntents(doors, noted, onError))
    yield* nodeAccess(views)
  })

/** Of Secrets that were deleted: erased when asked to, and when they were kept long enough. */
const erasing = (doors: NatsConnection, views: Views, { trail }: Deciders, peers: Peers) =>
  Effect.gen(function* () {
    const { config } = yield* Place
    const onError = yield* complaints
    const { vault } = views.of({ group: '', resource: 'secrets' })
    if (vault === undefined) return
    const { keys } = vault
    yield* opened(() => serveErase({ views, keys, connection: doors, recorder: trail, clock: systemClock, onError }))
    yield* running(() => {
      const keep = durationOf(config.settings?.keepDeletedSecrets ?? '30d', 'keepDeletedSecrets')
      const retention = new Retention({ views, keys, clock: systemClock, keep, mine: () => peers.current()('secrets'), onError })
      retention.start()
      return retention
    })
  })

const apiserver = Effect.gen(function* () {
  const { home, config } = yield* Place
  const log = yield* OpenLog
  const disk = yield* LogDisk
  const own = yield* OwnHome
  const damages = yield* Damages
  const onError = yield* complaints
  const nats = yield* connection('apiserver')
  // Who floods a door can have the server end the connection it comes in by, as a slow consumer: the log's is another one.
  const doors = yield* connection('apiserver')
  const { views, histories } = yield* state(nats)
  const who = yield* deciders(nats, views)
  const peers = yield* membership(views, who)
  const signingKeys = new SigningKeys(signingMaterial(yield* attempt('the certificates', () => ensurePki(home, config))))
  const tokens = new Tokens(signingKeys, systemClock)
  yield* doorsOnNats({ nats, doors, views, histories, noted: who.noted, peers, tokens })
  yield* erasing(doors, views, who, peers)
  if (log.own) yield* scrub([...views.byStream.values(), who.audit])
  const shutdown = new ShutdownCheck()
  const followed = [...views.byStream.values()].filter(({ stream }) => stream !== 'PULSE')
  const checks = logChecks({ connection: nats, clock: systemClock, views: followed, appends: disk.appends })
  const asked = [PING, ...checks, own.check, disk.check, damages.check]
  const read = (name: string): string => readFileSync(pkiFile(home, name), 'utf8')
  const server = yield* Effect.acquireRelease(
    attempt(`the API server on port ${config.apiPort}`, async () => {
      const made = new HttpServer({
        decider: who.decider,
        audit: who.trail,
        views,
        histories,
        nodeCalls: new NatsNodeCalls(nats),
        clock: systemClock,
        tokens,
        signingKeys,
        address: `127.0.0.1:${config.apiPort}`,
        onError,
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
    decider: who.noted,
    ending: () => shutdown.begin(),
    renew: (tls: TlsFiles, signing: KeyMaterial) => {
      server.renew(tls)
      signingKeys.replace(signing)
    }
  }
})

/** For who runs in one process with it. */
export class ApiServer extends Context.Service<
  ApiServer,
  {
    readonly views: Views
    readonly decider: Decider
    /** Puts renewed certificates and keys into use. */
    renew(tls: TlsFiles, signing: KeyMaterial): void
    /** Not ready from now on. */
    ending(): void
  }
>()('reckon/ops/ApiServer') {
  static readonly layer = Layer.effect(ApiServer, apiserver).pipe(Layer.provide(Damages.none))
}
