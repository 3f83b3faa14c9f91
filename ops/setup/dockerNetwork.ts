/** What a Docker Engine adds to the machine's network (docker0, its chains, forwarding), so that it can be taken away again. */
import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { findProgram, run } from './project.ts'

export interface NetworkBefore {
  /** `iptables-save` output. */
  readonly rules: string
  readonly bridge: boolean
  readonly forwarding: string
}

const FORWARDING = '/proc/sys/net/ipv4/ip_forward'
const BRIDGE = 'docker0'

/** The network as it is before Docker Engine starts. */
export const captureNetwork = async (): Promise<NetworkBefore> => ({
  rules: await savedRules(),
  bridge: hasBridge(),
  forwarding: readFileSync(FORWARDING, 'utf8').trim()
})

/** Takes away what Docker Engine added since; rules and interfaces of others stay. */
export const restoreNetwork = async (before: NetworkBefore): Promise<void> => {
  const undo = undoRules(before.rules, await savedRules())
  if (undo !== '') await feed('iptables-restore', ['--noflush'], undo)
  if (!before.bridge && hasBridge()) await run('ip', ['link', 'delete', BRIDGE])
  if (before.forwarding === '0') writeFileSync(FORWARDING, '0\n')
}

/** From /proc, which always shows our own network namespace; a mounted /sys may be another's. */
const hasBridge = (): boolean => new RegExp(`^ *${BRIDGE}:`, 'm').test(readFileSync('/proc/net/dev', 'utf8'))

const savedRules = async (): Promise<string> => {
  const program = findProgram('iptables-save')
  return program === undefined ? '' : run(program, [])
}

/**
 * The `iptables-restore --noflush` text that removes Docker's chains and rules which stand in `after` and not in
 * `before`, and gives FORWARD its policy back. Empty when there is nothing to undo.
 */
export const undoRules = (before: string, after: string): string => {
  const known = tablesOf(before)
  let text = ''
  for (const [table, lines] of tablesOf(after)) {
    const earlier = known.get(table) ?? new Set()
    const chains = [...lines]
      .filter((line) => line.startsWith(':DOCKER'))
      .map((line) => line.slice(1).split(' ')[0] ?? '')
      .filter((chain) => ![...earlier].some((line) => line.startsWith(`:${chain} `)))
    const commands: string[] = []
    for (const line of lines) {
      if (!line.startsWith('-A ') || earlier.has(line) || !/\bDOCKER\b|DOCKER-|\bdocker0\b/.test(line)) continue
      if (!chains.includes(line.split(' ')[1] ?? '')) commands.push(line.replace('-A', '-D'))
    }
    commands.push(...chains.map((chain) => `-F ${chain}`), ...chains.map((chain) => `-X ${chain}`))
    const policy = [...earlier].find((line) => line.startsWith(':FORWARD '))?.split(' ')[1] ?? 'ACCEPT'
    const policyNow = [...lines].find((line) => line.startsWith(':FORWARD '))?.split(' ')[1]
    const restore = table === 'filter' && chains.length > 0 && policyNow !== undefined && policyNow !== policy
    if (restore) commands.unshift(`:FORWARD ${policy} [0:0]`)
    if (commands.length > 0) text += `*${table}\n${commands.join('\n')}\nCOMMIT\n`
  }
  return text
}

const tablesOf = (saved: string): Map<string, Set<string>> => {
  const tables = new Map<string, Set<string>>()
  let current = new Set<string>()
  for (const line of saved.split('\n')) {
    if (line.startsWith('*')) tables.set(line.slice(1), (current = new Set()))
    else if (line.startsWith(':') || line.startsWith('-A ')) current.add(line.replace(/ \[\d+:\d+\]$/, ''))
  }
  return tables
}

const feed = (command: string, args: readonly string[], input: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['pipe', 'ignore', 'pipe'] })
    let errors = ''
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
    child.on('error', reject)
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`${command} failed: ${errors.trim()}`))))
    child.stdin.end(input)
  })
