/** What is decided about keeping a cluster's process running: by whom, and what is known of its ends. Plain. */

export type SupervisorKind = 'systemd' | 'parent'

export interface Machine {
  /** `$RECKON_SUPERVISOR`: a choice that is not the machine's. */
  readonly chosen: string | undefined
  /** systemd is this machine's init (sd_booted(3)). */
  readonly booted: boolean
  readonly systemctl: boolean
  readonly root: boolean
}

/** systemd where it is the init and we may give it a unit; a small parent of our own anywhere else. Throws for a choice there is not. */
export const chooseSupervisor = ({ chosen = '', booted, systemctl, root }: Machine): SupervisorKind => {
  const possible = booted && systemctl && root
  switch (chosen) {
    case '':
      return possible ? 'systemd' : 'parent'
    case 'parent':
      return 'parent'
    case 'systemd':
      if (!possible) throw new Error('RECKON_SUPERVISOR=systemd: systemd is not the init of this machine, or this is not root')
      return 'systemd'
    default:
      throw new Error(`RECKON_SUPERVISOR=${chosen}: must be systemd or parent`)
  }
}

export interface SupervisorState {
  readonly kind: SupervisorKind
  /** Who it is: a unit, or a process. */
  readonly name: string
  /** Times the process was started again since the supervisor began. */
  readonly restarts: number
  /** How the process ended the last time, and when (RFC 3339). */
  readonly lastReason?: string
  readonly lastEnd?: string
  /** Seconds of the pause it is in. */
  readonly waiting?: number
}

/** `key=value` lines, as supervise.sh writes them and `systemctl show` prints them. */
export const valuesOf = (text: string): ReadonlyMap<string, string> =>
  new Map(
    text
      .split('\n')
      .flatMap((line): [string, string][] =>
        line.includes('=') ? [[line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]] : []
      )
  )

const ends = (reason: string | undefined, at: string | undefined): Pick<SupervisorState, 'lastReason' | 'lastEnd'> => ({
  ...(reason === undefined || reason === '' ? {} : { lastReason: reason }),
  ...(at === undefined || at === '' ? {} : { lastEnd: at })
})

/** Of the parent's own state file. */
export const parentState = (text: string): SupervisorState => {
  const values = valuesOf(text)
  const pause = values.get('pause') ?? ''
  return {
    kind: 'parent',
    name: `process ${values.get('supervisor') ?? '?'}`,
    restarts: Number(values.get('restarts') ?? 0),
    ...ends(values.get('reason'), values.get('at')),
    ...(pause === '' || pause === '0' ? {} : { waiting: Number(pause) })
  }
}

/** `ended`: what the unit's ExecStopPost wrote down, for systemd forgets it with the next start. */
export const unitState = (unit: string, shown: string, ended: string): SupervisorState => {
  const values = valuesOf(shown)
  const last = valuesOf(ended)
  return {
    kind: 'systemd',
    name: unit,
    restarts: Number(values.get('NRestarts') ?? 0),
    ...ends(last.get('reason'), last.get('at')),
    ...(values.get('SubState') === 'auto-restart' ? { waiting: 0 } : {})
  }
}

/** A sentence for a person: `started again 3 times, the last time after it was killed (KILL) at …`. */
export const restartsText = ({ kind, name, restarts, lastReason, lastEnd, waiting }: SupervisorState): string => {
  const times =
    restarts === 0
      ? 'not started again so far'
      : `started again ${restarts === 1 ? 'once' : `${restarts} times`}, the last time because it ${lastReason ?? 'ended'}${lastEnd === undefined ? '' : ` at ${lastEnd}`}`
  return `Kept running by ${kind === 'systemd' ? `systemd (${name})` : name}; ${times}${waiting === undefined ? '' : `; in a pause before the next start${waiting === 0 ? '' : ` of ${waiting} s`}`}.`
}
