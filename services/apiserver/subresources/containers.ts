/** pods/log, pods/exec and pods/attach: which container of which node is meant, and with what options. */
import { PODS } from '#events/collections.ts'
import { asOneOf } from '#events/KubeObject.ts'
import { badRequest, type Refusal } from '#events/Refusal.ts'
import type { Entry } from '#projections/Objects.ts'
import type { ContainerRef, ExecOptions, LogOptions } from '#services/platform/NodeLink.ts'

const DEFAULT_CONTAINER = 'kubectl.kubernetes.io/default-container'

export const containerOf = (entry: Entry, asked: string | null): { readonly node: string; readonly container: ContainerRef } => {
  const pod = asOneOf(PODS, entry.object)
  const { spec } = pod
  const names = spec.containers.map(({ name }) => name)
  const inits = (spec.initContainers ?? []).map(({ name }) => name)
  const pod_ = entry.key.name
  let container = asked ?? ''
  if (container === '') {
    container = pod.metadata.annotations?.[DEFAULT_CONTAINER] ?? (names.length === 1 ? (names[0] as string) : '')
    if (container === '')
      throw badRequest(
        `a container name must be specified for pod ${pod_}, choose one of: [${names.join(' ')}]${inits.length === 0 ? '' : ` or one of the init containers: [${inits.join(' ')}]`}`
      )
  }
  if (!names.includes(container) && !inits.includes(container)) throw badRequest(`container ${container} is not valid for pod ${pod_}`)
  if ((spec.nodeName ?? '') === '') throw badRequest(`pod ${pod_} does not have a host assigned`)
  return {
    node: spec.nodeName as string,
    container: { namespace: entry.key.namespace, pod: pod_, uid: pod.metadata.uid as string, container }
  }
}

/** The kubelet has nothing to show of a container that has not started; it says what it waits for. */
export const notStarted = (entry: Entry, container: string): Refusal | undefined => {
  const { containerStatuses = [], initContainerStatuses = [] } = asOneOf(PODS, entry.object).status ?? {}
  const status = [...containerStatuses, ...initContainerStatuses].find(({ name }) => name === container)
  if (status?.state?.waiting !== undefined && status.lastState?.terminated === undefined)
    return badRequest(
      `container "${container}" in pod "${entry.key.name}" is waiting to start: ${status.state.waiting.reason ?? 'ContainerCreating'}`
    )
  return undefined
}

const flag = (query: URLSearchParams, name: string): boolean => ['true', '1'].includes(query.get(name) ?? '')

const count = (query: URLSearchParams, name: string): number | undefined => {
  const text = query.get(name)
  if (text === null || text === '') return undefined
  if (!/^\d{1,15}$/.test(text)) throw badRequest(`invalid value "${text}" for ${name}: must be a non-negative integer`)
  return Number(text)
}

export const logOptionsOf = (query: URLSearchParams): LogOptions => {
  const sinceSeconds = count(query, 'sinceSeconds')
  const tailLines = count(query, 'tailLines')
  const limitBytes = count(query, 'limitBytes')
  const sinceTime = query.get('sinceTime')
  if (sinceTime !== null && Number.isNaN(Date.parse(sinceTime))) throw badRequest(`sinceTime "${sinceTime}" is not a time`)
  if (sinceTime !== null && sinceSeconds !== undefined) throw badRequest('at most one of `sinceTime` or `sinceSeconds` may be specified')
  return {
    ...(flag(query, 'follow') ? { follow: true } : {}),
    ...(flag(query, 'previous') ? { previous: true } : {}),
    ...(flag(query, 'timestamps') ? { timestamps: true } : {}),
    ...(sinceSeconds === undefined ? {} : { sinceSeconds }),
    ...(sinceTime === null ? {} : { sinceTime }),
    ...(tailLines === undefined ? {} : { tailLines }),
    ...(limitBytes === undefined ? {} : { limitBytes })
  }
}

export const execOptionsOf = (query: URLSearchParams): ExecOptions => {
  const options = {
    command: query.getAll('command'),
    stdin: flag(query, 'stdin'),
    stdout: flag(query, 'stdout'),
    stderr: flag(query, 'stderr'),
    tty: flag(query, 'tty')
  }
  if (!options.stdin && !options.stdout && !options.stderr) throw badRequest('you must specify at least 1 of stdin, stdout, stderr')
  return options
}
