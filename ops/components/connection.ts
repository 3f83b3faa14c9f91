/** Connections and views as scoped resources: what every component begins with. */
import { join } from 'node:path'
import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import * as Effect from 'effect/Effect'
import type { Api } from '#events/Api.ts'
import { REPLICAS } from '#events/Follow.ts'
import type { ResourceRef } from '#events/Key.ts'
import { builtInApi } from '#events/scheme.ts'
import type { LogEntry } from '#events/Log.ts'
import { loadMasters, loadSeal } from '#ops/log/keys.ts'
import { takeLock } from '#ops/setup/lock.ts'
import { connectNats } from '#ops/nats/connect.ts'
import { KeyframeStore } from '#services/historian/KeyframeStore.ts'
import { systemClock } from '#services/platform/Clock.ts'
import type { Appends } from '#services/platform/jetstream/Appends.ts'
import { askedConsumers } from '#services/platform/jetstream/consumers.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { ObjectStoreKeyframes } from '#services/platform/jetstream/ObjectStoreKeyframes.ts'
import { FileLedger } from '#services/platform/ledger/FileLedger.ts'
import { Integrity, type IntegrityOptions } from '#services/platform/ledger/Integrity.ts'
import type { Seal } from '#services/platform/ledger/Seal.ts'
import { KEYS, ObjectKeys } from '#services/platform/secrets/ObjectKeys.ts'
import { Vault } from '#services/platform/secrets/Vault.ts'
import { endpointPartOf, ENDPOINT_PARTS, HELD_OF_ENDPOINTS } from '#services/platform/endpoints.ts'
import { FEW_NAMES, paysOff } from '#services/platform/standing.ts'
import type { ViewOptions } from '#services/platform/viewOptions.ts'
import { View } from '#services/platform/View.ts'
import { Views } from '#services/platform/Views.ts'
import { messageOf, NotStarted, reading, readingSync } from './errors.ts'
import { OpenLog } from './openLog.ts'
import { Place } from './place.ts'
import { briefly } from './scoped.ts'

/** PULSE holds the agents' pulses as well, which are no objects. */
const LEASES = 'pulse.object.>'

const DRAINING = '3 seconds'

/** Connected as one of the cluster's users; drained when the scope closes. */
export const connection = (user: string) =>
  Effect.gen(function* () {
    const { home, config } = yield* Place
    return yield* Effect.acquireRelease(
      Effect.tryPromise({
        try: () => connectNats(home, config, user),
        catch: (cause) => new NotStarted({ message: `can't connect to NATS as ${user}: ${String(cause)}`, cause })
      }),
      (connected) => briefly(() => connected.close(), DRAINING)
    )
  })

const started = (component: string, view: View) =>
  Effect.gen(function* () {
    const place = yield* Place
    return yield* Effect.acquireRelease(
      reading(async () => {
        await view.start()
        view.onFailed = (error) => place.fatal(component, error)
        return view
      }),
      () =>
        Effect.sync(() => {
          view.onFailed = () => {}
          view.close()
        })
    )
  })

/** How a stream of objects is followed: which leave old entries behind, and whether every sequence comes by. */
const FOLLOWED: Readonly<Record<View['stream'], { readonly expires: boolean; readonly filter?: string }>> = {
  EVENTS: { expires: false },
  NOTICES: { expires: true },
  PULSE: { expires: true, filter: LEASES }
}

/** Checks a stream's entries for this home. */
export const integrityOf = (component: string, seal: Seal, stream: string, options: Pick<IntegrityOptions, 'whole' | 'expires' | 'tail'>) =>
  Effect.gen(function* () {
    const { warn } = yield* Place
    const { ledgers } = yield* OpenLog
    const ledger = yield* Effect.acquireRelease(
      readingSync(() => new FileLedger(ledgers, stream)),
      (open) => Effect.sync(() => open.close())
    )
    const onForeign = ({ sequence, subject }: LogEntry): void => {
      const what = `${stream} ${sequence} (${subject}) was not written by this cluster's API server and is passed over`
      warn(component, new Error(`${what}; see \`reckon log quarantine\``))
    }
    return new Integrity({ seal, ledger, ...options, onForeign })
  })

/** The keys of confidential objects, all of them known. */
const vault = (component: string, seal: Seal, nats: NatsConnection) =>
  Effect.gen(function* () {
    const place = yield* Place
    const integrity = yield* integrityOf(component, seal, KEYS, { whole: false, expires: true })
    const jsm = yield* Effect.tryPromise({
      try: () => jetstreamManager(nats, { checkAPI: false }),
      catch: (cause) => new NotStarted({ message: String(cause), cause })
    })
    const keys = new ObjectKeys({
      log: new JetStreamLog(nats, KEYS, { gapless: false }),
      masters: loadMasters(place.home),
      clock: systemClock,
      integrity,
      onFailed: (error) => place.fatal(component, error),
      shred: async (sequence) => void (await jsm.streams.deleteMessage(KEYS, sequence, true))
    })
    return yield* Effect.acquireRelease(
      reading(async () => {
        const settled = await new JetStreamLog(nats, 'EVENTS').lastSequence()
        await keys.start()
        return new Vault(keys, settled)
      }),
      () => Effect.sync(() => keys.close())
    )
  })

/** Where many objects were deleted, a view of EVENTS begins at the historian's last keyframe. */
const startingAt = (component: string, seal: Seal, nats: NatsConnection) =>
  Effect.map(Place, ({ warn }): Pick<ViewOptions, 'keyframe' | 'onUnused'> => {
    const onUnused = (error: unknown): void => warn(component, new Error(`a start without keyframe: ${messageOf(error)}`, { cause: error }))
    const keyframes = new KeyframeStore({
      stream: 'EVENTS',
      keyframes: new ObjectStoreKeyframes(nats),
      seal,
      clock: systemClock,
      onRefused: (sequence, why) => onUnused(new Error(`that of ${sequence} is not used: ${why}`))
    })
    return {
      onUnused,
      keyframe: async (state, upTo) => {
        if ((state.subjects ?? 0) <= FEW_NAMES) return undefined
        const newest = await keyframes.newest(state, 1, upTo)
        return newest !== undefined && paysOff(state, newest) ? newest : undefined
      }
    }
  })

/** The whole state, checked entry by entry. Fails with DamagedLog when a stream is not what this home remembers of it. */
export const wholeViews = (component: string, nats: NatsConnection, appends: Appends) =>
  Effect.gen(function* () {
    const { home } = yield* Place
    const views: View[] = []
    const api = builtInApi()
    const seal = loadSeal(home)
    const keys = yield* vault(component, seal, nats)
    for (const stream of ['EVENTS', 'NOTICES', 'PULSE'] as const) {
      const { expires, filter } = FOLLOWED[stream]
      const integrity = yield* integrityOf(component, seal, stream, { whole: filter === undefined, expires })
      const log = new JetStreamLog(nats, stream, { appends, ...(filter === undefined ? {} : { gapless: false, filter }) })
      const resuming = stream === 'EVENTS' ? yield* startingAt(component, seal, nats) : {}
      const view = new View(stream, log, systemClock, { api, integrity, expires, vault: keys, ...resuming })
      views.push(yield* started(component, view))
    }
    return new Views(views, api)
  })

type Part = readonly [stream: View['stream'], part: string]

const takePlace = (home: string, user: string): { readonly number: number; readonly giveBack: () => void } => {
  for (let number = 0; number < REPLICAS; number++) {
    try {
      return { number, giveBack: takeLock(join(home, `run/${user}.${number}.lock`), user) }
    } catch (error) {
      if (number < REPLICAS - 1) continue
      throw new Error(`${REPLICAS} processes of ${user} run in ${home} already; more are not known to NATS`, { cause: error })
    }
  }
  throw new Error(`there is no place for ${user}`)
}

/**
 * Which of the processes of a user this is: the first place in the home that nobody has. Another one may follow the same parts at
 * the same time.
 */
const replica = (user: string) =>
  Effect.gen(function* () {
    const { home } = yield* Place
    const { number } = yield* Effect.acquireRelease(
      Effect.try({ try: () => takePlace(home, user), catch: (cause) => new NotStarted({ message: messageOf(cause), cause }) }),
      ({ giveBack }) => Effect.sync(giveBack)
    )
    return number
  })

interface PartViews extends Pick<ViewOptions, 'narrow' | 'parsedBytes' | 'names'> {
  readonly component: string
  readonly user: string
  readonly parts: readonly Part[]
  /** Where a kind's objects are. */
  readonly partOf: (ref: ResourceRef, api: Api) => string
  readonly replica?: number
}

/** Parts of the log that the API server hands out to this user, each as a view of its own. */
const partViews = (nats: NatsConnection, { component, user, parts, partOf, replica: number = 0, ...more }: PartViews) =>
  Effect.gen(function* () {
    const { warn } = yield* Place
    const api = builtInApi()
    const views = yield* Effect.forEach(parts, ([stream, part]) => {
      const log = new JetStreamLog(nats, stream, { consumers: askedConsumers(nats, user, part, undefined, number), gapless: false })
      const onPassed = ({ sequence, subject }: LogEntry): void =>
        warn(component, new Error(`${stream} ${sequence} (${subject}) can't be read and is passed over`))
      const { expires } = FOLLOWED[stream]
      return started(component, new View(stream, log, systemClock, { api, name: part, expires, onPassed, ...more }))
    })
    return new Views(views, api, (ref) => partOf(ref, api))
  })

const PART_OF: Readonly<Record<View['stream'], string>> = { EVENTS: 'events', NOTICES: 'notices', PULSE: 'pulse' }

/** What the scheduler and the controllers see when they run in a process of their own. */
export const componentViews = (user: 'scheduler' | 'controller-manager', nats: NatsConnection) =>
  Effect.gen(function* () {
    const leases = user === 'scheduler' ? 'leases' : PART_OF.PULSE
    return yield* partViews(nats, {
      component: user,
      user,
      parts: [
        ['EVENTS', PART_OF.EVENTS],
        ['NOTICES', PART_OF.NOTICES],
        ['PULSE', leases]
      ],
      partOf: (ref, api) => (api.streamOf(ref) === 'PULSE' ? leases : PART_OF[api.streamOf(ref)]),
      replica: yield* replica(user)
    })
  })

/** Services and EndpointSlices only: all that kube-proxy and the DNS may see. */
export const endpointViews = (component: string, user: string, nats: NatsConnection) =>
  partViews(nats, {
    component,
    user,
    parts: ENDPOINT_PARTS.map((part) => ['EVENTS', part]),
    partOf: endpointPartOf,
    ...HELD_OF_ENDPOINTS
  })
