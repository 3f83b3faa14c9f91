/** What the kernel tells of rules, on programs that play the machine's tools. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { RuleMonitor } from '#services/platform/iptables/RuleMonitor.ts'

const OURS = 4711

/** A folder in front of the PATH with an `iptables` of that backend, and a `stdbuf` that runs the script. */
const withTools = async (backend: string, stdbuf: string, work: (monitor: RuleMonitor) => Promise<void>): Promise<void> => {
  const folder = mkdtempSync(join(tmpdir(), 'reckon-tools-'))
  const path = process.env['PATH']
  const tool = (name: string, script: string): void => {
    writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`)
    chmodSync(join(folder, name), 0o755)
  }
  tool('iptables', `echo 'iptables v1.8.9 (${backend})'`)
  tool('stdbuf', stdbuf)
  process.env['PATH'] = `${folder}:${path}`
  try {
    await work(new RuleMonitor({ enter: [], isOurs: (pid) => pid === OURS, pollMs: 400, restartMs: 100 }))
  } finally {
    process.env['PATH'] = path
    rmSync(folder, { recursive: true })
  }
}

const says = (...lines: string[]): string => [...lines.map((line) => `echo '${line}'`), 'exec sleep 60'].join('\n')

const monitor = suite('RuleMonitor')

monitor('tells who watches the chains that somebody else changed, once for each change', () =>
  withTools(
    'nf_tables',
    says(
      'EVENT: -4 -t nat -D RK-a-SERVICES -d 10.96.0.1/32 -j RK-a-SVC',
      'EVENT: -4 -t nat -D RK-a-PROXY -j RK-a-SERVICES',
      'NEWGEN: GENID=1 PID=1 NAME=iptables',
      'EVENT: -4 -t filter -D FORWARD -j RKN-a-FORWARD',
      'NEWGEN: GENID=2 PID=2 NAME=iptables',
      'EVENT: -4 -t nat -A RK-a-SERVICES -d 10.96.0.1/32 -j RK-a-SVC',
      `NEWGEN: GENID=3 PID=${OURS} NAME=iptables-restor`,
      'EVENT: -4 -t nat -N OTHER',
      'NEWGEN: GENID=4 PID=3 NAME=iptables'
    ),
    async (it) => {
      const heard: string[] = []
      const subscriptions = [it.watch('RK-a-', () => heard.push('proxy')), it.watch('RKN-a-', () => heard.push('network'))]
      for (const deadline = Date.now() + 5_000; heard.length < 2 && Date.now() < deadline; await wait(10));
      await wait(100)
      assert.equal(heard, ['proxy', 'network'])
      for (const subscription of subscriptions) subscription.close()
    }
  )
)
monitor('begins anew when it ends, and tells everybody to look', () =>
  withTools('nf_tables', 'exit 0', async (it) => {
    let heard = 0
    const subscription = it.watch('RK-a-', () => heard++)
    for (const deadline = Date.now() + 5_000; heard < 2 && Date.now() < deadline; await wait(10));
    assert.ok(heard >= 2)
    subscription.close()
    const before = heard
    await wait(500)
    assert.is(heard, before)
  })
)
for (const [what, backend, stdbuf] of [
  ['the legacy tables tell nobody', 'legacy', says('EVENT: never')],
  ['there is nothing to listen with', 'nf_tables', 'exit 127']
] as const)
  monitor(`where ${what}, everybody looks every few seconds`, () =>
    withTools(backend, stdbuf, async (it) => {
      const heard: number[] = []
      const began = performance.now()
      const subscription = it.watch('RK-a-', () => heard.push(performance.now() - began))
      await wait(2_000)
      subscription.close()
      const gaps = heard.map((at, index) => at - (heard[index - 1] ?? 0))
      assert.ok(heard.length >= 3 && heard.length <= 8, heard.join())
      assert.ok(Math.max(...gaps) < 1_000, `${Math.max(...gaps).toFixed(0)} ms without a look`)
    })
  )
monitor.run()
