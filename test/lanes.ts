/**
 * Which test files may run beside each other. A file has the machine's only one of something (its Docker Engine, its rules, network
 * namespaces by name) or it has everything to itself (a home, a nats-server, ports that nobody else is given).
 * test/unit/lanes.test.ts holds this table against what the files import and start.
 */

/** Parts of paths below test/. One of these files at a time; any other one may run beside it. */
export const MACHINE: readonly string[] = [
  'contract/runtime.test.ts',
  'e2e/',
  'integration/dns.test.ts',
  'integration/flush.test.ts',
  'integration/images.test.ts',
  'integration/kubelet.test.ts',
  'integration/network.test.ts',
  'integration/proxy.test.ts',
  'integration/subpath.test.ts',
  'integration/systemd.test.ts'
]

/** `machine`: one at a time. `own`: beside anything. */
export type Lane = 'machine' | 'own'

/** @param path below test/ */
export const laneOf = (path: string): Lane => (MACHINE.some((part) => path.startsWith(part)) ? 'machine' : 'own')

/** About how long the long ones take, seconds: they begin first, so that no lane is left with one at the end. Only the order is by it. */
const LONG: Readonly<Record<string, number>> = {
  'e2e/kubectl.test.ts': 70,
  'e2e/cluster.test.ts': 52,
  'e2e/lostHome.test.ts': 32,
  'e2e/cli.test.ts': 31,
  'e2e/strays.test.ts': 22,
  'e2e/backup.test.ts': 20,
  'integration/backup.test.ts': 50,
  'integration/campaign.test.ts': 39,
  'integration/compaction.test.ts': 40,
  'integration/damage.test.ts': 40,
  'integration/disk.test.ts': 43,
  'integration/flush.test.ts': 48,
  'integration/keeper.test.ts': 60,
  'integration/kubelet.test.ts': 32,
  'integration/lostHome.test.ts': 20,
  'integration/nodeAccess.test.ts': 26,
  'integration/several.test.ts': 41,
  'integration/supervisor.test.ts': 69,
  'simulation/simulation.test.ts': 99,
  'unit/ops/backup.test.ts': 20,
  'unit/tidy.test.ts': 40
}

export const secondsOf = (path: string): number => LONG[path] ?? 10

export interface Task {
  readonly name: string
  readonly stage: number
  readonly lane: Lane
  run(): Promise<void>
}

/**
 * Runs tasks, so many at a time, in their order but for this: a stage's tasks of the machine begin as soon as the one before ended, since
 * they can't be beside each other, and what is left of them at the end would run alone.
 *
 * @param onBegin told of each, and what runs already
 */
export const runLanes = async (
  tasks: readonly Task[],
  width: number,
  onBegin: (task: Task, beside: readonly string[]) => void
): Promise<void> => {
  const waiting = [...tasks]
  const running = new Set<Task>()
  const next = (): Task | undefined => {
    const stage = waiting[0]?.stage
    const isFree = ![...running].some(({ lane }) => lane === 'machine')
    const one =
      (isFree ? waiting.find((task) => task.stage === stage && task.lane === 'machine') : undefined) ??
      waiting.find(({ lane }) => lane === 'own' || isFree)
    if (one !== undefined) waiting.splice(waiting.indexOf(one), 1)
    return one
  }
  await new Promise<void>((resolve, reject) => {
    const fill = (): void => {
      for (let task = running.size < width ? next() : undefined; task !== undefined; task = running.size < width ? next() : undefined) {
        const begun = task
        onBegin(
          begun,
          [...running].map(({ name }) => name)
        )
        running.add(begun)
        begun
          .run()
          .finally(() => running.delete(begun))
          .then(fill, reject)
      }
      if (running.size === 0) resolve()
    }
    fill()
  })
}
