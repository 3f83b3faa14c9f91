/**
 * A program for tests inside a systemd's namespaces: `start`, `state`, `kill`, `stop`, `left` (of a home that is gone), each with a HOME.
 * Prints JSON.
 */
import { join } from 'node:path'
import { privateFolder, readConfig, type ClusterConfig } from '#ops/home.ts'
import { endLeftBehind } from '#ops/leftBehind.ts'
import { runningServer, stopNatsServer } from '#ops/nats/server.ts'
import { commandOf, logFile, runningCluster } from '#ops/running.ts'
import { startSupervisor, stopSupervisor, supervisorState } from '#ops/supervise/supervisor.ts'

const [what, home = ''] = process.argv.slice(2)
if (what === 'left') {
  const ended: string[] = []
  await endLeftBehind(home, (line) => void ended.push(line))
  console.log(JSON.stringify({ ended }))
  process.exit()
}
const config = readConfig(home) as ClusterConfig
privateFolder(join(home, 'log'))
if (what === 'start')
  await startSupervisor({ home, config, command: [...commandOf(home), '--components', 'apiserver'], log: logFile(home) })
if (what === 'kill') process.kill(runningCluster(home)?.pid ?? 0, 'SIGKILL')
if (what === 'stop') {
  await stopSupervisor(home, config)
  await stopNatsServer(home)
}
console.log(
  JSON.stringify({ supervisor: await supervisorState(home, config), cluster: runningCluster(home)?.pid, nats: runningServer(home)?.pid })
)
