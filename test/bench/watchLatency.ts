/** From a write's request to the event at the watcher, at 1 and at 200 watchers. */
import { performance } from 'node:perf_hooks'
import { latencies, machine, startApi } from './support.ts'

const WRITES = 300

const api = await startApi()
console.log(`machine: ${machine()}`)
try {
  for (const watchers of [1, 200]) {
    const sent = new Map<string, number>()
    const times: number[] = []
    let arrived: (() => void) | undefined
    let outstanding = 0
    const abort = new AbortController()
    for (let n = 0; n < watchers; n++)
      await api.watch(
        '/api/v1/namespaces/default/configmaps?watch=true&resourceVersion=0',
        (line) => {
          const name = /"name":"(w\d+-\d+)"/.exec(line)?.[1]
          const at = name === undefined ? undefined : sent.get(name)
          if (at === undefined) return
          times.push(performance.now() - at)
          outstanding -= 1
          if (outstanding === 0) arrived?.()
        },
        abort.signal
      )
    for (let n = 0; n < WRITES; n++) {
      const name = `w${watchers}-${n}`
      const all = new Promise<void>((resolve) => (arrived = resolve))
      outstanding = watchers
      sent.set(name, performance.now())
      await api.call('POST', '/api/v1/namespaces/default/configmaps', {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name },
        data: { key: 'value' }
      })
      await all
    }
    abort.abort()
    console.log(`${String(watchers).padStart(3)} watchers: ${latencies(times)} from request to event (n=${times.length})`)
  }
} finally {
  await api.stop()
}
