/** Clients as benchmarks need them: ones that do not read, ones that read slowly, and one that keeps asking how long an answer takes. */
import { connect as connectHttp2, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2'
import { readFileSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { connect, type TLSSocket } from 'node:tls'
import { setTimeout as wait } from 'node:timers/promises'
import { pkiFile } from '#ops/pki/pki.ts'
import { percentile, usageOf, type Api } from './support.ts'

const credentials = ({ home }: Api): { ca: string; cert: string; key: string } => ({
  ca: readFileSync(pkiFile(home, 'ca.crt'), 'utf8'),
  cert: readFileSync(pkiFile(home, 'admin.crt'), 'utf8'),
  key: readFileSync(pkiFile(home, 'admin.key'), 'utf8')
})

/** A connection of its own over HTTP/1.1: the request is sent, and not a byte of the answer is read. */
export const openUnread = (api: Api, path: string, headers = ''): Promise<TLSSocket> =>
  new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: api.config.apiPort, ...credentials(api) }, () => {
      socket.write(`GET ${path} HTTP/1.1\r\nhost: bench\r\n${headers}\r\n`)
      socket.pause()
      resolve(socket)
    })
    socket.on('error', reject)
  })

export const openSession = (api: Api): Promise<ClientHttp2Session> =>
  new Promise((resolve, reject) => {
    const session = connectHttp2(`https://127.0.0.1:${api.config.apiPort}`, credentials(api))
    session.once('connect', () => resolve(session))
    session.on('error', reject)
  })

export const openStream = (session: ClientHttp2Session, path: string, headers: Record<string, string> = {}): Promise<ClientHttp2Stream> =>
  new Promise((resolve, reject) => {
    const stream = session.request({ ':path': path, ...headers })
    stream.on('error', reject)
    stream.on('response', () => resolve(stream))
  })

/** Reads at most so many bytes a second, for so long or to the end; the bytes read. */
export const readSlowly = async (stream: ClientHttp2Stream, bytesPerSecond: number, seconds: number): Promise<number> => {
  let size = 0
  const began = performance.now()
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    size += chunk.length
    const ahead = size / bytesPerSecond - (performance.now() - began) / 1000
    if (ahead > 0) await wait(ahead * 1000)
    if (performance.now() - began > seconds * 1000) break
  }
  return size
}

/** Asks for one small object again and again while something else goes on; how long that took. */
export const probing = async <Result>(
  api: Api,
  path: string,
  during: Promise<Result>
): Promise<{ readonly result: Result; readonly text: string }> => {
  const times: number[] = []
  let over = false
  void during.finally(() => (over = true)).catch(() => {})
  while (!over) {
    const began = performance.now()
    const { status } = await api.call('GET', path)
    if (status !== 200) throw new Error(`${path}: ${status}`)
    times.push(performance.now() - began)
    await wait(5)
  }
  times.sort((a, b) => a - b)
  return {
    result: await during,
    text: `one small GET meanwhile: p50 ${percentile(times, 0.5).toFixed(1)} ms, p99 ${percentile(times, 0.99).toFixed(1)} ms, max ${(times.at(-1) ?? 0).toFixed(0)} ms (n=${times.length})`
  }
}

export const rssOf = (api: Api): number => usageOf(api.process.pid as number).rssMiB

/** The highest resident size while something goes on, MiB. */
export const peakRss = async <Result>(api: Api, during: Promise<Result>): Promise<{ readonly result: Result; readonly peak: number }> => {
  let peak = rssOf(api)
  const timer = setInterval(() => (peak = Math.max(peak, rssOf(api))), 100)
  try {
    return { result: await during, peak }
  } finally {
    clearInterval(timer)
  }
}

/** Creates objects with so many requests at a time. */
export const createMany = async (api: Api, path: string, count: number, object: (n: number) => unknown): Promise<void> => {
  let next = 0
  await Promise.all(
    Array.from({ length: 64 }, async () => {
      while (next < count) {
        const { status, body } = await api.call('POST', path, object(next++))
        if (status !== 201) throw new Error(body)
      }
    })
  )
}
