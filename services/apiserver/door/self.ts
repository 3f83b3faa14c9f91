/**
 * Serves `self.<user>`: a node is told what the cluster has given it. It reads no Node objects, its own included, for it has no part of
 * EVENTS.
 */
import type { NatsConnection } from '@nats-io/transport-node'
import { NODES } from '#events/collections.ts'
import type { SelfAnswer } from '#events/node/messages.ts'
import { decodeToken } from '#events/Subject.ts'
import type { Views } from '#services/platform/Views.ts'
import { serveDoor, type Door, type DoorLimits } from './serve.ts'

const LARGEST_REQUEST = 1024
const LIMITS: DoorLimits = { requests: { total: 256, perUser: 2 }, bytes: { total: 256 * LARGEST_REQUEST, perUser: 2 * LARGEST_REQUEST } }

export interface SelfDoorOptions {
  readonly views: Views
  readonly connection: NatsConnection
  readonly onError: (error: unknown) => void
}

export const serveSelf = ({ views, connection, onError }: SelfDoorOptions): Door =>
  serveDoor({
    connection,
    subject: 'self.*',
    limits: LIMITS,
    largest: LARGEST_REQUEST,
    answer: (user) => {
      const node = views.get({ ...NODES, namespace: '', name: decodeToken(user.replace(/^node-/, '')) })
      const answer: SelfAnswer = { podCIDRs: node?.object.spec?.podCIDRs ?? [] }
      return Promise.resolve(JSON.stringify(answer))
    },
    refuse: (status) => JSON.stringify({ status }),
    onError
  })
