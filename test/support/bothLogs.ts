/** A contract of what stands on all streams, held by the logs in memory and by nats-server's. */
import type { Log } from '#events/Log.ts'
import type { StreamName } from '#events/Subject.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { MemoryLog } from '#services/platform/MemoryLog.ts'
import { startNats, type TestNats } from './nats.ts'

/** What an API server folds. */
export const STREAMS = ['EVENTS', 'NOTICES', 'PULSE'] as const

export type LogOf = (stream: StreamName) => Log

type Contract = (twin: string, open: () => Promise<LogOf>, close: () => Promise<void>) => void

export const onBothLogs = (contract: Contract): void => {
  const memory = new Map(STREAMS.map((stream) => [stream, new MemoryLog(stream, systemClock)]))
  contract(
    'memory',
    async () => (stream) => memory.get(stream) as MemoryLog,
    async () => {}
  )
  let nats: TestNats
  contract(
    'JetStream',
    async () => {
      nats = await startNats()
      const connection = await nats.as('apiserver')
      const logs = new Map(STREAMS.map((stream) => [stream, new JetStreamLog(connection, stream, { gapless: stream === 'EVENTS' })]))
      return (stream) => logs.get(stream) as JetStreamLog
    },
    () => nats.stop()
  )
}
