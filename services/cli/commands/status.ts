/** `reckon status`: what runs, and how much history there is. */
import { CliError, type Environment } from '#services/cli/Environment.ts'
import { encoded, out, table } from '#services/cli/print.ts'

interface Status {
  readonly running: boolean
  readonly home: string
  readonly server?: string
  readonly version?: string
  readonly pid?: number
  readonly natsPid?: number
  readonly nodes: readonly { readonly name: string; readonly ready: boolean; readonly pods: number }[]
  readonly streams: readonly { readonly name: string; readonly messages: number; readonly bytes: number; readonly lastSequence: number }[]
  readonly pods: { readonly running: number; readonly total: number }
  /** What it says instead of being ready. */
  readonly faults?: string
  readonly notes: readonly string[]
}

const statusText = ({ running, home, server, version, pid, natsPid, nodes, streams, pods, faults, notes }: Status): string => {
  if (!running) {
    const state =
      pid === undefined
        ? 'does not run'
        : faults === undefined
          ? `does not answer (process ${pid})`
          : `is not ready (process ${pid}):\n  ${faults.replaceAll('\n', '\n  ')}\n`
    return [`The cluster in ${home} ${state}${state.endsWith('\n') ? '' : '.'}`, ...notes].join('\n')
  }
  const what = `${pods.running} of ${pods.total} pods running.`
  return [
    `The cluster in ${home} runs: ${server}, ${version}, process ${pid}, nats-server ${natsPid}; ${what}`,
    ...notes,
    '',
    table(
      ['NODE', 'STATUS', 'PODS'],
      nodes.map((node) => [node.name, node.ready ? 'Ready' : 'NotReady', String(node.pods)])
    ),
    '',
    table(
      ['STREAM', 'MESSAGES', 'SIZE', 'LAST SEQUENCE'],
      streams.map(({ name, messages, bytes, lastSequence }) => [
        name,
        String(messages),
        `${(bytes / 2 ** 20).toFixed(1)} MiB`,
        String(lastSequence)
      ])
    )
  ].join('\n')
}

export const status = async (environment: Environment['Service'], format: 'table' | 'json' | 'yaml'): Promise<void> => {
  const now = (await environment.status()) as Status
  if (format !== 'table') return out(encoded(now, format))
  out(statusText(now))
  if (!now.running) throw new CliError('')
}
