/** Runs a command against a control plane of its own (KUBECONFIG is set), and ends both: `withApi.ts bench --what watch`. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { writeKubeconfig } from '#ops/pki/pki.ts'
import { startApi, usageOf } from './support.ts'
const api = await startApi(['apiserver', 'scheduler', 'controller-manager'])
const kubeconfig = await writeKubeconfig(api.home, api.config)
const [program = 'true', ...args] = process.argv.slice(2)
const ran = spawn(program, args, { stdio: 'inherit', env: { ...process.env, KUBECONFIG: kubeconfig, API_PID: String(api.process.pid) } })
await new Promise((resolve) => ran.once('exit', resolve))
const u = usageOf(api.process.pid as number)
console.log(`api: cpu ${u.cpuMs} ms, rss ${u.rssMiB.toFixed(0)} MiB`)
await api.stop()
