/** A program for tests inside network namespaces: `serve NAME PORT`, `tcp HOST PORT COUNT`, `udp HOST PORT COUNT [LOCALPORT]`, `dns`. */
import { createSocket } from 'node:dgram'
import { connect, createServer } from 'node:net'
import { systemClock } from '#services/platform/Clock.ts'
import { Dns } from '#services/dns/Dns.ts'
import { service, ServiceSource, slice } from './services.ts'

const [mode, ...args] = process.argv.slice(2) as [string, string, string, string, string?]
const PATIENCE_MS = 1_500

/** Answers every connection and datagram with its name and the source it sees. */
const serve = (name: string, port: number): void => {
  const udp = createSocket('udp4')
  udp.on('message', (_, from) => udp.send(`${name} ${from.address}`, from.port, from.address))
  udp.bind(port, () => {
    createServer((socket) => {
      socket.on('error', () => {})
      socket.end(`${name} ${socket.remoteAddress?.replace('::ffff:', '')}`)
    }).listen(port, () => console.log('ready'))
  })
}

const overTcp = (host: string, port: number): Promise<string> =>
  new Promise((resolve) => {
    let text = ''
    const socket = connect({ host, port, timeout: PATIENCE_MS })
    socket.on('timeout', () => {
      socket.destroy()
      resolve('timeout')
    })
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'))
    socket.on('data', (chunk) => (text += chunk.toString()))
    socket.on('end', () => resolve(text))
  })

/** From the same local port it is the same flow to the kernel. */
const overUdp = (host: string, port: number, localPort = 0): Promise<string> =>
  new Promise((resolve) => {
    const socket = createSocket('udp4')
    const done = (text: string): void => {
      clearTimeout(timer)
      socket.close()
      resolve(text)
    }
    const timer = setTimeout(() => done('timeout'), PATIENCE_MS)
    socket.on('message', (bytes) => done(bytes.toString()))
    socket.on('error', (error: NodeJS.ErrnoException) => done(error.code ?? 'error'))
    socket.bind(localPort, () => socket.connect(port, host, () => socket.send('?')))
  })

const repeat = async (count: number, once: () => Promise<string>): Promise<void> => {
  const results: string[] = []
  const begun = performance.now()
  for (let n = 0; n < count; n++) results.push(await once())
  console.log(JSON.stringify({ results, ms: performance.now() - begun }))
}

const serveDns = async (address: string, port: number): Promise<void> => {
  const source = new ServiceSource()
  source.put(
    service('web', '10.98.0.20', [{ name: 'http', port: 80 }]),
    service('db', 'None', [{ port: 5432 }]),
    slice('db', [{ ip: '10.97.0.5', hostname: 'db-0' }], [{ port: 5432 }])
  )
  const config = { domain: 'cluster.local', clusterDNS: '10.98.0.10', reverse: ['10.98.0.0/16', '10.97.0.0/16'] }
  await new Dns({ source, clock: systemClock, address, port, config, upstreams: [] }).start()
  console.log('ready')
}

if (mode === 'serve') serve(args[0], Number(args[1]))
else if (mode === 'dns') await serveDns(args[0], Number(args[1]))
else
  await repeat(Number(args[2]), () =>
    mode === 'tcp' ? overTcp(args[0], Number(args[1])) : overUdp(args[0], Number(args[1]), Number(args[3] ?? 0))
  )
