/** DNS messages for the server: what a request asks, and replies in the size the client can take. */
import { decode, encode, type Answer, type DecodedPacket, type Question } from 'dns-packet'

const CODES = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 } as const
export type Code = keyof typeof CODES

const HEADER = 12
const AUTHORITATIVE = 1 << 10
const TRUNCATED = 1 << 9
const RECURSION_DESIRED = 1 << 8
const RECURSION_AVAILABLE = 1 << 7
const OPCODE = 0b1111 << 11
/** Without EDNS (RFC 1035 §4.2.1), and with it: larger ones may be fragmented (DNS flag day 2020). */
const PLAIN_BYTES = 512
const EDNS_BYTES = 1232
/** Over TCP the length is two bytes. */
const TCP_BYTES = 65_535

export interface Request {
  readonly id: number
  readonly flags: number
  readonly question: Question | undefined
  /** Bytes a UDP reply may have. */
  readonly udpBytes: number
  readonly edns: boolean
}

export type Read =
  { readonly ok: true; readonly request: Request } | { readonly ok: false; readonly request: Request; readonly code: Code } | undefined

/** Undefined: nothing that can or should be answered (too short, or itself a reply). */
export const readRequest = (bytes: Buffer): Read => {
  if (bytes.length < HEADER || (bytes.readUInt16BE(2) & 0x8000) !== 0) return undefined
  const bare = { id: bytes.readUInt16BE(0), flags: bytes.readUInt16BE(2), question: undefined, udpBytes: PLAIN_BYTES, edns: false }
  if ((bare.flags & OPCODE) !== 0) return { ok: false, request: bare, code: 'NOTIMP' }
  let packet: DecodedPacket
  try {
    packet = decode(bytes)
  } catch {
    return { ok: false, request: bare, code: 'FORMERR' }
  }
  const question = packet.questions?.[0]
  const opt = packet.additionals?.find((record) => record.type === 'OPT')
  const offered = opt?.type === 'OPT' ? opt.udpPayloadSize : PLAIN_BYTES
  const request = { ...bare, question, udpBytes: Math.min(Math.max(offered, PLAIN_BYTES), EDNS_BYTES), edns: opt !== undefined }
  if (question === undefined || packet.questions?.length !== 1) return { ok: false, request, code: 'FORMERR' }
  if (question.class !== undefined && question.class !== 'IN' && question.class !== 'ANY') return { ok: false, request, code: 'REFUSED' }
  return { ok: true, request }
}

export interface Sections {
  readonly answers?: readonly Answer[]
  readonly authorities?: readonly Answer[]
  readonly additionals?: readonly Answer[]
}

/** A reply that fits: first without the additional records, then empty and marked as truncated. */
export const writeReply = (request: Request, code: Code, sections: Sections, transport: 'udp' | 'tcp', authoritative: boolean): Buffer => {
  const limit = transport === 'tcp' ? TCP_BYTES : request.udpBytes
  const flags = (request.flags & RECURSION_DESIRED) | RECURSION_AVAILABLE | (authoritative ? AUTHORITATIVE : 0) | CODES[code]
  const opt: Answer[] = request.edns
    ? [{ type: 'OPT', name: '.', udpPayloadSize: EDNS_BYTES, extendedRcode: 0, ednsVersion: 0, flags: 0, flag_do: false, options: [] }]
    : []
  const write = (answers: readonly Answer[], authorities: readonly Answer[], additionals: readonly Answer[], more: number): Buffer =>
    encode({
      type: 'response',
      id: request.id,
      flags: flags | more,
      questions: request.question === undefined ? [] : [request.question],
      answers: [...answers],
      authorities: [...authorities],
      additionals: [...additionals, ...opt]
    })
  const { answers = [], authorities = [], additionals = [] } = sections
  const whole = write(answers, authorities, additionals, 0)
  if (whole.length <= limit) return whole
  const lean = write(answers, authorities, [], 0)
  return lean.length <= limit ? lean : write([], [], [], TRUNCATED)
}
