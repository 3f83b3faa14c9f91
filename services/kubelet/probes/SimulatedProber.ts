/** Probes of every kind, answered by the scripts of the simulated runtime's containers. */
import type { SimulatedRuntime } from '../../platform/SimulatedRuntime.ts'
import type { ProbeAction, ProbeOutcome, Prober, ProbeTarget } from './Prober.ts'

export class SimulatedProber implements Prober {
  readonly #runtime: SimulatedRuntime

  constructor(runtime: SimulatedRuntime) {
    this.#runtime = runtime
  }
  async probe(_action: ProbeAction, { containerId }: ProbeTarget): Promise<ProbeOutcome> {
    return this.#runtime.answers(containerId) ? { ok: true, message: '' } : { ok: false, message: 'simulated failure' }
  }
}
