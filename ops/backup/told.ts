/** A restore is an event of the restored log: what it is from, up to when, and what is left out. */
import { randomUUID } from 'node:crypto'
import type { NatsConnection } from '@nats-io/transport-node'
import { encodeEvent } from '#events/Event.ts'
import { subjectOf } from '#events/Subject.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import type { Seal } from '#services/platform/ledger/Seal.ts'
import type { Manifest } from './format.ts'
import type { UpTo } from './moment.ts'

export interface Told {
  readonly manifest: Manifest
  readonly upTo: UpTo
  readonly next: number
  readonly command: string
}

export const tellRestored = async (
  nats: NatsConnection,
  seal: Seal,
  { manifest: { events, taken }, upTo, next, command }: Told
): Promise<void> => {
  const id = randomUUID()
  const time = new Date().toISOString()
  const key = { group: 'reckon.io', resource: 'restores', namespace: '', name: `restored-${time.toLowerCase().replace(/[^a-z0-9]/g, '-')}` }
  const spec = {
    from: events.identity,
    taken,
    upTo: upTo.sequence,
    time: new Date(upTo.time).toISOString(),
    leftOut: events.last - upTo.sequence,
    steppedOver: `${upTo.sequence + 1}-${next - 1}`
  }
  const object = {
    apiVersion: 'reckon.io/v1',
    kind: 'Restore',
    metadata: { name: key.name, uid: id, creationTimestamp: `${time.slice(0, 19)}Z` },
    spec
  }
  const event = {
    stream: 'EVENTS',
    key,
    id,
    type: 'reckon.log.restored.v1',
    source: 'reckon',
    time,
    user: 'keeper',
    correlationId: id,
    verb: 'create',
    command,
    deleted: false,
    object,
    expected: 0
  } as const
  await new JetStreamLog(nats, 'EVENTS').append([
    seal.seal('EVENTS', { subject: subjectOf('EVENTS', key), ...encodeEvent(event), expected: 0 }, undefined)
  ])
}
