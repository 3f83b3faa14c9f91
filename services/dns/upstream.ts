/** Names that are not the cluster's, asked of the machine's own name servers: the question as it came, the reply as it is. */
import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import type { Clock } from '#services/platform/Clock.ts'

export interface Server {
  readonly address: string
  readonly port: number
}

const TIMEOUT_MS = 2_000
const MAX_SERVERS = 3

/** The name servers of resolv.conf(5), without those that would lead back here. */
export const nameServers = (resolvConf: string, own: readonly string[]): Server[] =>
  resolvConf
    .split('\n')
    .flatMap((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? [])
    .filter((address) => !own.includes(address))
    .slice(0, MAX_SERVERS)
    .map((address) => ({ address, port: 53 }))

export const readNameServers = async (own: readonly string[], path = '/etc/resolv.conf'): Promise<Server[]> =>
  nameServers(await readFile(path, 'utf8').catch(() => ''), own)

/** The first reply; undefined when no server gave one in time. */
export const ask = async (
  servers: readonly Server[],
  query: Buffer,
  transport: 'udp' | 'tcp',
  clock: Clock
): Promise<Buffer | undefined> => {
  for (const server of servers) {
    // A fresh id and a fresh port for each question: both must be guessed to forge a reply (RFC 5452).
    // Not the clock's chance, which may be foreseen.
    const question = Buffer.from(query)
    question.writeUInt16BE(randomInt(65_536), 0)
    const reply = await (transport === 'udp' ? askUdp(server, question, clock) : askTcp(server, question, clock))
    if (reply === undefined) continue
    const own = Buffer.from(reply)
    own.writeUInt16BE(query.readUInt16BE(0), 0)
    return own
  }
  return undefined
}

/** Same id, a reply, and the same question, byte for byte but for case. */
const belongs = (question: Buffer, reply: Buffer): boolean => {
  if (reply.length < 12 || reply.readUInt16BE(0) !== question.readUInt16BE(0) || (reply.readUInt16BE(2) & 0x8000) === 0) return false
  let end = 12
  while (end < question.length && question[end] !== 0) end += (question[end] as number) + 1
  const shown = (bytes: Buffer): string =>
    bytes
      .subarray(12, end + 5)
      .toString('latin1')
      .toLowerCase()
  return reply.readUInt16BE(4) === 0 || shown(reply) === shown(question)
}

const askUdp = ({ address, port }: Server, question: Buffer, clock: Clock): Promise<Buffer | undefined> =>
  new Promise((resolve) => {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
    const done = (reply?: Buffer): void => {
      timer.cancel()
      socket.removeAllListeners()
      socket.on('error', () => {})
      socket.close()
      resolve(reply)
    }
    const timer = clock.after(TIMEOUT_MS, () => done())
    socket.on('error', () => done())
    socket.on('message', (reply) => belongs(question, reply) && done(reply))
    // Connected: the kernel drops what comes from anybody else, and tells when nobody listens there.
    socket.connect(port, address, () => socket.send(question))
  })

const askTcp = ({ address, port }: Server, question: Buffer, clock: Clock): Promise<Buffer | undefined> =>
  new Promise((resolve) => {
    const socket = connect({ host: address, port })
    let received = Buffer.alloc(0)
    const done = (reply?: Buffer): void => {
      timer.cancel()
      socket.destroy()
      resolve(reply)
    }
    const timer = clock.after(TIMEOUT_MS, () => done())
    socket.on('error', () => done())
    socket.on('close', () => done())
    socket.on('connect', () => socket.write(framed(question)))
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      if (received.length < 2) return
      const length = received.readUInt16BE(0)
      if (received.length < length + 2) return
      const reply = received.subarray(2, length + 2)
      done(belongs(question, reply) ? reply : undefined)
    })
  })

/** A message with its length in front, as on TCP (RFC 1035 §4.2.2). */
export const framed = (message: Buffer): Buffer => {
  const out = Buffer.alloc(message.length + 2)
  out.writeUInt16BE(message.length, 0)
  message.copy(out, 2)
  return out
}
