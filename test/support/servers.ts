/** Several API servers over one log: each with views and a decider of its own, as in as many processes. */
import type { Api } from '#events/Api.ts'
import type { Intent, IntentResult } from '#events/Intent.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import type { Log } from '#events/Log.ts'
import { bootstrap } from '#services/apiserver/bootstrap.ts'
import { ApiDecider, type DeciderOptions } from '#services/apiserver/Decider.ts'
import type { Clock } from '#services/platform/Clock.ts'
import { View } from '#services/platform/View.ts'
import { Views } from '#services/platform/Views.ts'
import type { StreamName } from '#events/Subject.ts'
import { ADMIN, kindFor } from './api.ts'
import { builtIns } from './builtIns.ts'

export const SETTINGS = { serviceCIDR: '10.96.0.0/16', nodePorts: [30000, 32767] } as const

export interface Server {
  readonly views: Views
  readonly decider: ApiDecider
  submit(intent: Partial<Intent> & Pick<Intent, 'verb' | 'ref'>): Promise<IntentResult>
  create(object: KubeObject, more?: Partial<Intent>): Promise<IntentResult>
  remove(kind: string, name: string): Promise<IntentResult>
}

const STREAMS = ['EVENTS', 'NOTICES', 'PULSE'] as const

/** `open`: a log as the next server reaches it. */
export const startServers = async (
  count: number,
  open: (stream: StreamName) => Log,
  clock: Clock,
  options: Partial<DeciderOptions> = {},
  api: Api = builtIns
): Promise<readonly Server[]> => {
  const servers: Server[] = []
  for (let n = 0; n < count; n++) {
    const list = STREAMS.map((stream) => new View(stream, open(stream), clock, { api }))
    for (const view of list) await view.start()
    const views = new Views(list, api)
    const settings = options.settings ?? SETTINGS
    const decider = new ApiDecider({ views, clock, ...options, settings })
    if (n === 0) {
      const prefix = settings.serviceCIDR.split('.').slice(0, 3).join('.')
      await bootstrap({
        views,
        decider,
        clock,
        apiAddress: '10.244.0.1',
        apiPort: 6443,
        serviceCIDR: settings.serviceCIDR,
        kubernetesIP: `${prefix}.1`,
        dnsIP: `${prefix}.10`,
        dnsAddress: '10.244.0.1',
        dnsPort: 10053
      })
    }
    const submit: Server['submit'] = (intent) =>
      decider.submit({ id: clock.uuid(), version: 'v1', namespace: 'default', name: '', source: 'test', ...intent }, ADMIN)
    servers.push({
      views,
      decider,
      submit,
      create: (object, more = {}) => {
        const { group, resource, version, namespaced } = kindFor(object.apiVersion, object.kind)
        return submit({
          verb: 'create',
          ref: { group, resource },
          version,
          namespace: namespaced ? 'default' : '',
          name: object.metadata.name ?? '',
          object,
          ...more
        })
      },
      remove: (kind, name) => submit({ verb: 'delete', ref: { group: '', resource: kind }, name })
    })
  }
  return servers
}

export const settled = async (servers: readonly Server[]): Promise<void> => {
  for (const { views } of servers) {
    const view = views.of({ group: '', resource: 'services' })
    await view.waitFor(await view.log.lastSequence())
  }
}
