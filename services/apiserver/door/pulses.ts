/**
 * Hears the agents' pulses. They are stored for late readers; here only the live ones count, each at one API server. None
 * waits: of each node the newest is kept, and the one that is being decided.
 */
import type { NatsConnection } from '@nats-io/transport-node'
import { decodeToken } from '#events/Subject.ts'
import { BadReport, pulseOf } from '#services/apiserver/nodes/check.ts'
import type { Pulses } from '#services/apiserver/nodes/Pulses.ts'

const SUBJECT = 'pulse.node.'
/** A node with hundreds of labels and addresses says less. */
const LARGEST = 256 * 1024

export const servePulses = (connection: NatsConnection, pulses: Pulses, onError: (error: unknown) => void): { close(): void } => {
  const subscription = connection.subscribe(`${SUBJECT}*`, {
    queue: 'apiserver',
    callback: (error, message) => {
      if (error !== null) return onError(error)
      try {
        if (message.data.length > LARGEST) throw new BadReport(`${message.subject}: the pulse has more than ${LARGEST} bytes`)
        const pulse = pulseOf(message.json())
        // A node speaks for itself only.
        if (pulse.node !== decodeToken(message.subject.slice(SUBJECT.length)))
          throw new BadReport(`${message.subject}: the pulse is another node's`)
        pulses.take(pulse)
      } catch (bad) {
        onError(bad)
      }
    }
  })
  return {
    close: () => {
      subscription.unsubscribe()
      pulses.stop()
    }
  }
}
