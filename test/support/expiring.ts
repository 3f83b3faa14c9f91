/** An API server's write path on logs that keep Leases for an hour and notices for a week, as the real streams do. */
import type { Log } from '#events/Log.ts'
import { builtIns } from './builtIns.ts'
import { bootstrap } from '#services/apiserver/bootstrap.ts'
import { ApiDecider } from '#services/apiserver/Decider.ts'
import type { Clock } from '#services/platform/Clock.ts'
import { MemoryLog } from '#services/platform/MemoryLog.ts'
import { View } from '#services/platform/View.ts'
import { Views } from '#services/platform/Views.ts'

export const HOUR = 3_600_000
export const WEEK = 7 * 24 * HOUR

export interface Logs {
  readonly EVENTS: Log
  readonly NOTICES: Log
  readonly PULSE: Log
}

export const expiringLogs = (clock: Clock) => ({
  EVENTS: new MemoryLog('EVENTS', clock),
  NOTICES: new MemoryLog('NOTICES', clock, { maxAge: WEEK }),
  PULSE: new MemoryLog('PULSE', clock, { maxAge: HOUR, keepLastOnly: true })
})

/** Views and a decider of their own on the logs. */
export const serverOn = async (logs: Logs, clock: Clock) => {
  const list = (['EVENTS', 'NOTICES', 'PULSE'] as const).map(
    (stream) => new View(stream, logs[stream], clock, { api: builtIns, expires: stream !== 'EVENTS' })
  )
  for (const view of list) await view.start()
  const views = new Views(list, builtIns)
  const decider = new ApiDecider({ views, clock, settings: { serviceCIDR: '10.96.0.0/16', nodePorts: [30000, 32767] } })
  await bootstrap({
    views,
    decider,
    clock,
    apiAddress: '10.244.0.1',
    apiPort: 6443,
    serviceCIDR: '10.96.0.0/16',
    kubernetesIP: '10.96.0.1',
    dnsIP: '10.96.0.10',
    dnsAddress: '10.244.0.1',
    dnsPort: 10053
  })
  return { views, decider, close: () => list.forEach((view) => view.close()) }
}
