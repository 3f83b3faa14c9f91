/** Claim: Services with an address and a node port each are created at a rate that several API servers over one log do not bring down. */
import { performance } from 'node:perf_hooks'
import { systemClock } from '#services/platform/Clock.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { claimFaults } from '#test/support/claims.ts'
import { startNats } from '#test/support/nats.ts'
import { settled, startServers, type Server } from '#test/support/servers.ts'
import { latencies, machine } from './support.ts'

const CLIENTS = 64
const TOTAL = 2_000

console.log(`machine: ${machine()}`)
for (const [count, what] of [
  [1, 'NodePort'],
  [3, 'NodePort'],
  [1, 'ClusterIP'],
  [3, 'ClusterIP'],
  [1, 'ConfigMap'],
  [3, 'ConfigMap']
] as const) {
  const nats = await startNats()
  try {
    const connection = await nats.as('apiserver')
    const servers = await startServers(
      count,
      (stream) => new JetStreamLog(connection, stream, { gapless: stream === 'EVENTS' }),
      systemClock
    )
    const times: number[] = []
    let next = 0
    const client = async (server: Server, upTo: number): Promise<void> => {
      while (next < upTo) {
        const metadata = { name: `s${next++}` }
        const object =
          what === 'ConfigMap'
            ? { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { key: 'value' } }
            : { apiVersion: 'v1', kind: 'Service', metadata, spec: { type: what, ports: [{ port: 80 }] } }
        const from = performance.now()
        const result = await server.create(object)
        if (!result.ok) throw new Error(result.status.message)
        times.push(performance.now() - from)
      }
    }
    const all = (upTo: number): Promise<unknown> =>
      Promise.all(Array.from({ length: CLIENTS }, (_, n) => client(servers[n % count] as Server, upTo)))
    await all(200)
    times.length = 0
    const began = performance.now()
    await all(200 + TOTAL)
    const seconds = (performance.now() - began) / 1000
    await settled(servers)
    const faults = claimFaults((servers[0] as Server).views)
    console.log(
      `${what}, ${count} API server${count > 1 ? 's' : ''}: ${Math.round(TOTAL / seconds)} creates/s, ${latencies(times)} (${CLIENTS} clients, one process)${faults.length > 0 ? `; ${faults.length} FAULTS` : ''}`
    )
    for (const { views } of servers) for (const view of views.byStream.values()) view.close()
  } finally {
    await nats.stop()
  }
}
