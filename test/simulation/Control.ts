/** Schedulers and controller managers as `ops/components/control.ts` makes them: each is elected by a Lease, and leads or stands by. */
import type { Intents, UserInfo } from '#events/Intent.ts'
import { controllers, userOf } from '#services/controller-manager/controllers.ts'
import { Controller } from '#services/platform/Controller.ts'
import type { ControllerDefinition } from '#services/platform/decision.ts'
import { LeaderElection, type Reign } from '#services/platform/LeaderElection.ts'
import type { Views } from '#services/platform/Views.ts'
import { Scheduler } from '#services/scheduler/Scheduler.ts'
import type { Process } from './Process.ts'

const SCHEDULER: UserInfo = { username: 'system:kube-scheduler', groups: ['system:authenticated'] }
const CONTROLLER_MANAGER: UserInfo = { username: 'system:kube-controller-manager', groups: ['system:authenticated'] }
/** Their Leases. */
export const ELECTED = ['kube-scheduler', 'kube-controller-manager'] as const
export type Elected = (typeof ELECTED)[number]

export interface ControlOptions {
  readonly what: Elected
  readonly process: Process
  readonly views: Views
  readonly intents: (user: UserInfo) => Intents
  /** What is run instead of all of them as they are. */
  readonly definitions?: ((definitions: readonly ControllerDefinition[]) => readonly ControllerDefinition[]) | undefined
  /** A mistake to be found: everybody leads, and nobody's term is told. */
  readonly unelected: boolean
  /** One that is started again goes on under its name. */
  readonly identity: string
  readonly onLeading: (what: string) => void
  readonly onError: (what: string, error: unknown) => void
}

export interface Control {
  /** As on SIGTERM: what it leads is ended, and its Lease given up. */
  stop(): Promise<void>
}

export const startControl = (options: ControlOptions): Control => {
  const { what, process, views, intents, unelected, identity, onLeading, onError } = options
  const own = intents(what === 'kube-scheduler' ? SCHEDULER : CONTROLLER_MANAGER)
  const lead = (under: (intents: Intents) => Intents): Reign => {
    onLeading(`${process.name} leads`)
    const running = what === 'kube-scheduler' ? [scheduler(options, under(own))] : managed(options, (name) => under(intents(userOf(name))))
    for (const one of running) one.start()
    return {
      stop: () => {
        onLeading(`${process.name} leads no longer`)
        for (const one of running) one.stop()
      }
    }
  }
  if (unelected) {
    const reign = lead((same) => same)
    return { stop: async () => reign.stop() }
  }
  const component = what === 'kube-scheduler' ? 'default-scheduler' : what
  const election = new LeaderElection({
    name: what,
    component,
    identity,
    views,
    intents: own,
    clock: process.clock,
    lead,
    onError: (error) => onError('election', error)
  })
  election.start()
  return { stop: () => election.stop() }
}

const scheduler = ({ views, process, onError }: ControlOptions, intents: Intents): Scheduler =>
  new Scheduler(views, intents, process.clock, (error) => onError('scheduling', error))

const managed = ({ definitions, views, process, onError }: ControlOptions, intents: (name: string) => Intents): Controller[] => {
  const all = controllers({ clusterCA: 'ca' })
  return (definitions?.(all) ?? all).map(
    (one) => new Controller(one, views, intents(one.name), process.clock, ({ key, error }) => onError(`${one.name} ${key}`, error))
  )
}
