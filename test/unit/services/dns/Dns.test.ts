/** The DNS server on loopback: sizes, transports, other name servers, broken messages. */
import { createSocket } from 'node:dgram'
import { connect } from 'node:net'
import { decode, encode, type DecodedPacket, type RecordType } from 'dns-packet'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '#services/platform/Clock.ts'
import { Dns } from '#services/dns/Dns.ts'
import { framed, nameServers } from '#services/dns/upstream.ts'
import { service, ServiceSource, slice } from '#test/support/services.ts'

const dns = suite('Dns')

const many = Array.from({ length: 60 }, (_, n) => ({ ip: `10.244.1.${n + 1}` }))
const source = new ServiceSource()
source.put(
  service('web', '10.96.0.20', [{ port: 80 }]),
  service('many', 'None', [{ port: 80 }]),
  slice('many', many, [{ port: 80 }]),
  service('out', '', [], { type: 'ExternalName', externalName: 'example.org', clusterIPs: [] })
)
const config = { domain: 'cluster.local', clusterDNS: '10.96.0.10', reverse: ['10.96.0.0/16'] }
const upstream = createSocket('udp4')
let server: Dns
let port = 0

dns.before(async () => {
  upstream.on('message', (bytes, from) => {
    const query = decode(bytes)
    const name = query.questions![0]!.name
    upstream.send(
      encode({
        type: 'response',
        id: query.id!,
        flags: 0x0180,
        questions: query.questions!,
        answers: [{ type: 'A', name, ttl: 60, data: '192.0.2.7' }]
      }),
      from.port,
      from.address
    )
  })
  await new Promise<void>((resolve) => upstream.bind(0, '127.0.0.1', resolve))
  server = new Dns({
    source,
    clock: systemClock,
    address: '127.0.0.1',
    port: 0,
    config,
    upstreams: [{ address: '127.0.0.1', port: upstream.address().port }]
  })
  port = (await server.start()).port
})
dns.after(async () => {
  await server.stop()
  await new Promise<void>((resolve) => upstream.close(() => resolve()))
})

const query = (name: string, type: RecordType = 'A', udpPayloadSize?: number): Buffer =>
  encode({
    type: 'query',
    id: 4711,
    flags: 0x0100,
    questions: [{ name, type, class: 'IN' }],
    additionals:
      udpPayloadSize === undefined
        ? []
        : [{ type: 'OPT', name: '.', udpPayloadSize, extendedRcode: 0, ednsVersion: 0, flags: 0, flag_do: false, options: [] }]
  })

const send = (bytes: Buffer, to = port): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const socket = createSocket('udp4')
    socket.on('error', reject)
    socket.on('message', (reply) => {
      socket.close()
      resolve(reply)
    })
    socket.send(bytes, to, '127.0.0.1')
  })
const udp = async (bytes: Buffer): Promise<DecodedPacket> => decode(await send(bytes))
const tcp = (...messages: readonly Buffer[]): Promise<DecodedPacket[]> =>
  new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => messages.forEach((message) => socket.write(framed(message))))
    let received = Buffer.alloc(0)
    const replies: DecodedPacket[] = []
    socket.on('error', reject)
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      while (received.length >= 2 && received.length >= received.readUInt16BE(0) + 2) {
        const length = received.readUInt16BE(0)
        replies.push(decode(received.subarray(2, length + 2)))
        received = received.subarray(length + 2)
      }
      if (replies.length < messages.length) return
      socket.destroy()
      resolve(replies)
    })
  })
const datas = (packet: DecodedPacket | undefined) => packet?.answers?.map((record) => ('data' in record ? record.data : undefined))

dns('answers over UDP, with authority', async () => {
  const reply = await udp(query('web.default.svc.cluster.local'))
  assert.is(reply.id, 4711)
  assert.is(reply.flag_aa, true)
  assert.equal(datas(reply), ['10.96.0.20'])
})
dns('a reply that does not fit is marked, and whole over TCP', async () => {
  const short = await udp(query('many.default.svc.cluster.local'))
  assert.is(short.flag_tc, true)
  assert.equal(short.answers, [])
  const [whole] = await tcp(query('many.default.svc.cluster.local'))
  assert.is(whole?.flag_tc, false)
  assert.is(whole?.answers?.length, 60)
})
dns('a client that takes more gets more', async () => {
  const bytes = await send(query('many.default.svc.cluster.local', 'A', 4096))
  assert.ok(bytes.length <= 1232)
})
dns('several questions on one connection', async () => {
  const replies = await tcp(query('web.default.svc.cluster.local'), query('nobody.default.svc.cluster.local'), query('example.org'))
  assert.is(replies.length, 3)
})
dns("other names come from the machine's name servers", async () => {
  const reply = await udp(query('example.org'))
  assert.is(reply.id, 4711)
  assert.equal(datas(reply), ['192.0.2.7'])
})
dns('an ExternalName comes with what it leads to', async () => {
  assert.equal(datas(await udp(query('out.default.svc.cluster.local'))), ['example.org', '192.0.2.7'])
})
dns('without name servers: SERVFAIL', async () => {
  const alone = new Dns({ source, clock: systemClock, address: '127.0.0.1', port: 0, config, upstreams: [] })
  const at = await alone.start()
  const reply = await send(query('example.org'), at.port)
  assert.is(reply.readUInt16BE(2) & 0xf, 2)
  await alone.stop()
})
dns('broken and strange messages do no harm', async () => {
  const broken = Buffer.concat([query('web.default.svc.cluster.local').subarray(0, 12), Buffer.from([63, 1, 2])])
  assert.is((await send(broken)).readUInt16BE(2) & 0xf, 1)
  const update = query('web.default.svc.cluster.local')
  update.writeUInt16BE(5 << 11, 2)
  assert.is((await send(update)).readUInt16BE(2) & 0xf, 4)
  const reply = query('x')
  reply.writeUInt16BE(0x8000, 2)
  const socket = createSocket('udp4')
  await new Promise<void>((resolve) => socket.send(reply, port, '127.0.0.1', () => resolve()))
  await new Promise<void>((resolve) => socket.send(Buffer.from([1]), port, '127.0.0.1', () => resolve()))
  socket.close()
  assert.equal(datas(await udp(query('web.default.svc.cluster.local'))), ['10.96.0.20'])
})
dns('name servers that would lead back here are left out', () => {
  assert.equal(
    nameServers('# x\nnameserver 10.96.0.10\nnameserver 192.0.2.53\nsearch a\n nameserver 10.244.0.1\n', ['10.96.0.10', '10.244.0.1']),
    [{ address: '192.0.2.53', port: 53 }]
  )
})

dns.run()
