/** Which faults, in which order: chosen by a seed, so that a campaign can be run again. Plain. */
import { generator } from '#test/simulation/VirtualClock.ts'

export const KINDS = ['kill', 'freeze', 'disk', 'corrupt'] as const
export type Kind = (typeof KINDS)[number]

export const VICTIMS = ['the control plane', 'nats-server', 'both', 'nats-server, and again while it starts'] as const
export type Victim = (typeof VICTIMS)[number]

export const STREAMS = ['EVENTS', 'EVENTS', 'EVENTS', 'NOTICES', 'PULSE', 'AUDIT', 'BINDINGS', 'REPORTS'] as const
export const DAMAGES = [
  'bits flipped',
  'the tail cut off',
  'a range zeroed',
  'a block removed',
  'the index removed',
  'a bit of the index flipped',
  'a bit of the settings flipped',
  'the stream removed',
  'garbage appended'
] as const
export type DamageName = (typeof DAMAGES)[number]

export type Round =
  | { readonly kind: 'kill'; readonly victim: Victim; readonly afterMs: number }
  | { readonly kind: 'freeze'; readonly victim: 'the control plane' | 'nats-server'; readonly seconds: number }
  /** `leave`: bytes of the disk another program does not take. */
  | { readonly kind: 'disk'; readonly leave: number; readonly seconds: number }
  | {
      readonly kind: 'corrupt'
      readonly damage: DamageName
      readonly stream: (typeof STREAMS)[number]
      /** How the cluster was stopped before: by kill -9 of everything, or as it should be. */
      readonly stopped: 'killed' | 'stopped'
      /** In [0, 1): where, and how much. */
      readonly at: number
      readonly amount: number
    }

export interface PlanOptions {
  readonly seed: number
  readonly rounds: number
  readonly only?: Kind
  /** A freeze lasts no longer, seconds. */
  readonly longest: number
}

const MIB = 1024 * 1024

export const planOf = ({ seed, rounds, only, longest }: PlanOptions): readonly Round[] => {
  const random = generator(seed)
  const pick = <Choice>(choices: readonly Choice[]): Choice => choices[Math.floor(random() * choices.length)] as Choice
  return Array.from({ length: rounds }, (_, number): Round => {
    const kind = only ?? (KINDS[number % KINDS.length] as Kind)
    switch (kind) {
      case 'kill':
        return { kind, victim: pick(VICTIMS), afterMs: Math.floor(random() * 1_500) }
      case 'freeze':
        // Short ones are many, long ones few.
        return {
          kind,
          victim: pick(['nats-server', 'nats-server', 'the control plane'] as const),
          seconds: Math.max(1, Math.round(longest ** random()))
        }
      case 'disk':
        return { kind, leave: pick([0, 0, 0, 4 * MIB, 150 * MIB]), seconds: 1 + Math.floor(random() * 8) }
      case 'corrupt':
        return {
          kind,
          damage: pick(DAMAGES),
          stream: pick(STREAMS),
          stopped: pick(['killed', 'stopped'] as const),
          at: random(),
          amount: random()
        }
    }
  })
}

export const nameOf = (round: Round): string => {
  switch (round.kind) {
    case 'kill':
      return `kill -9: ${round.victim}, after ${round.afterMs} ms`
    case 'freeze':
      return `SIGSTOP: ${round.victim}, ${round.seconds} s`
    case 'disk':
      return `disk filled up to ${round.leave === 0 ? 'the last byte' : `the last ${round.leave / MIB} MiB`}, ${round.seconds} s`
    case 'corrupt':
      return `${round.stream}: ${round.damage}, after everything was ${round.stopped}`
  }
}
