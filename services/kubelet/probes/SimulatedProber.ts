/** Probes of every kind, answered by the scripts of the simulated runtime's containers. */
import type { SimulatedRuntime } from '#services/platform/SimulatedRuntime.ts'
import type { ProbeAction, Prober, ProbeTarget } from './Prober.ts'
import type { ProbeOutcome } from './outcome.ts'

export class SimulatedProber implements Prober {
  readonly #runtime: SimulatedRuntime

  constructor(runtime: SimulatedRuntime) {
    this.#runtime = runtime
  }
  async probe(_action: ProbeAction, { containerId }: ProbeTarget): Promise<ProbeOutcome> {
    return this.#runtime.answers(containerId) ? { ok: true, message: '' } : { ok: false, message: 'simulated failure' }
  }
}
