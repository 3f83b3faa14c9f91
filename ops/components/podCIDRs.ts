/** This machine's part of the pod network: what it brought along, or what the cluster gives its node and it remembers. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { jetstream } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import * as Data from 'effect/Data'
import * as Effect from 'effect/Effect'
import * as Schedule from 'effect/Schedule'
import { parseCIDR } from '#events/meta/cidr.ts'
import { pulseSubject, type Pulse, type SelfAnswer } from '#events/node/messages.ts'
import { encodeToken } from '#events/Subject.ts'
import { writeSecret } from '#ops/home.ts'
import { connection } from './connection.ts'
import { Place } from './place.ts'

const ASK_MS = 2_000
/** Between two looks, and of these between two pulses: a node that waits must not seem lost. */
const AGAIN = '1 second'
const LOOKS_PER_PULSE = 10

const rememberedFile = (home: string): string => join(home, 'network/podCIDRs.json')

/** What it was given before; undefined for a node that never was given any. */
export const rememberedPodCIDRs = (home: string): readonly string[] | undefined => {
  if (!existsSync(rememberedFile(home))) return undefined
  try {
    const known: unknown = JSON.parse(readFileSync(rememberedFile(home), 'utf8'))
    return Array.isArray(known) && known.length > 0 && known.every((cidr) => typeof cidr === 'string' && parseCIDR(cidr) !== undefined)
      ? (known as string[])
      : undefined
  } catch {
    return undefined
  }
}

/** What the cluster says now; undefined when nobody answers. */
export const askPodCIDRs = async (nats: NatsConnection, node: string): Promise<readonly string[] | undefined> => {
  try {
    const { podCIDRs } = (await nats.request(`self.node-${encodeToken(node)}`, '', { timeout: ASK_MS })).json<Partial<SelfAnswer>>()
    return podCIDRs
  } catch {
    return undefined
  }
}

/** Once more: nobody has given it any yet. */
class NoneGiven extends Data.TaggedError('NoneGiven') {}

/**
 * Waits until there is some. `pulse`: how the node makes itself known meanwhile, for who is not known is given nothing. One that was
 * given its part before goes on with it when nobody answers: its pods have addresses of it.
 */
export const podCIDRs = (pulse: () => Pulse) =>
  Effect.gen(function* () {
    const { home, config, warn } = yield* Place
    if (config.nodePodCIDR !== '') return [config.nodePodCIDR]
    const nats = yield* connection(`node-${encodeToken(config.nodeName)}`)
    let looks = 0
    const look = Effect.gen(function* () {
      const given = yield* Effect.promise(() => askPodCIDRs(nats, config.nodeName))
      if (given !== undefined && given.length > 0) {
        writeSecret(rememberedFile(home), JSON.stringify(given))
        return given
      }
      const known = rememberedPodCIDRs(home)
      if (known !== undefined) return known
      if (looks === 0) warn('network', `waiting for the cluster to give node ${config.nodeName} a part of the pod network`)
      // Lost, it is said again soon.
      const say = Effect.promise(() =>
        jetstream(nats)
          .publish(pulseSubject(config.nodeName), JSON.stringify(pulse()))
          .catch(() => {})
      )
      if (looks++ % LOOKS_PER_PULSE === 0) yield* say
      return yield* new NoneGiven()
    })
    // The schedule has no end, so there is no last failure.
    return yield* look.pipe(Effect.retry(Schedule.spaced(AGAIN)), Effect.orDie)
  })
