/** Claim: the API server takes ≥ 3,000 creates a second from 64 clients over TLS, every one on disk when acknowledged. */
import { performance } from 'node:perf_hooks'
import { latencies, machine, startApi } from './support.ts'

const COUNTS = [
  [1, 1_000],
  [16, 8_000],
  [64, 20_000]
] as const

const api = await startApi()
console.log(`machine: ${machine()}`)
try {
  for (const [clients, total] of [[64, 4_000] as const, ...COUNTS]) {
    const times: number[] = []
    let next = 0
    const began = performance.now()
    const client = async (): Promise<void> => {
      while (next < total) {
        const name = `c${clients}-${total}-${next++}`
        const from = performance.now()
        const { status, body } = await api.call('POST', '/api/v1/namespaces/default/configmaps', {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata: { name, labels: { app: 'bench' } },
          data: { key: 'value'.repeat(40) }
        })
        if (status !== 201) throw new Error(body)
        times.push(performance.now() - from)
      }
    }
    await Promise.all(Array.from({ length: clients }, client))
    const seconds = (performance.now() - began) / 1000
    if (total === 4_000) continue
    console.log(
      `${String(clients).padStart(2)} clients: ${Math.round(total / seconds)} creates/s, ${latencies(times)} (n=${total}, client in the same machine's second process)`
    )
  }
} finally {
  await api.stop()
}
