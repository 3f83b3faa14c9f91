/** Real containers beside a campaign: whatever is done to the control plane and the log, they go on as they are. */
import { setTimeout as wait } from 'node:timers/promises'
import Docker from 'dockerode'
import { removeNode } from '#ops/components/remove.ts'
import { ensureImages } from '#ops/images/images.ts'
import { releaseDocker } from '#ops/setup/dockerEngine.ts'
import { ensureMachine } from '#ops/setup/setup.ts'
import type { CampaignCluster } from './cluster.ts'

export const COMPONENTS = 'apiserver,scheduler,controller-manager,kubelet,kube-proxy,dns'
const REPLICAS = 6
const READY_MS = 120_000

export interface ContainerWatch {
  /** What happened to containers that were there at the beginning: one sentence each. */
  disturbed(): Promise<readonly string[]>
}

const quiet = (): void => {}
const docker = new Docker({ socketPath: '/var/run/docker.sock' })

/** What the machine needs for it; before the cluster is started. */
export const prepare = async ({ plane }: CampaignCluster): Promise<void> => {
  await ensureMachine(quiet, plane.home)
  await ensureImages(docker, quiet)
}

/** Takes everything off the machine; after the cluster was stopped. */
export const cleanUp = async ({ plane }: CampaignCluster): Promise<void> => {
  await removeNode(plane.home, plane.config, quiet)
  await releaseDocker(plane.home, quiet)
}

export const containerWatch = async ({ plane }: CampaignCluster): Promise<ContainerWatch> => {
  const template = {
    metadata: { labels: { app: 'campaign' } },
    spec: { terminationGracePeriodSeconds: 1, containers: [{ name: 'c', image: 'reckon/demo:1', command: ['sleep', '100000'] }] }
  }
  const deployment = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'campaign' },
    spec: { replicas: REPLICAS, selector: { matchLabels: { app: 'campaign' } }, template }
  }
  const { status, body } = await plane.call('POST', '/apis/apps/v1/namespaces/default/deployments', deployment)
  if (status !== 201) throw new Error(`the deployment was answered with ${status}: ${body}`)
  const available = async (): Promise<number> =>
    (
      JSON.parse((await plane.call('GET', '/apis/apps/v1/namespaces/default/deployments/campaign')).body) as {
        status?: { availableReplicas?: number }
      }
    ).status?.availableReplicas ?? 0
  for (const deadline = Date.now() + READY_MS; (await available()) < REPLICAS; await wait(200))
    if (Date.now() > deadline) throw new Error('the containers of the campaign do not start')
  const mine = { label: [`io.reckon.instance=${plane.config.instance}`] }
  const seen = new Map<string, string>()
  const look = async (): Promise<ReadonlyMap<string, string>> =>
    new Map(
      await Promise.all(
        (await docker.listContainers({ filters: mine })).map(async ({ Id }) => {
          const { State } = await docker.getContainer(Id).inspect()
          return [Id, `${State.Pid} since ${State.StartedAt}`] as const
        })
      )
    )
  for (const [id, state] of await look()) seen.set(id, state)
  return {
    disturbed: async () => {
      const now = await look()
      return [...seen]
        .filter(([id, state]) => now.get(id) !== state)
        .map(([id, state]) => `container ${id.slice(0, 12)} (${state}) ${now.has(id) ? `is ${now.get(id)} now` : 'is gone'}`)
    }
  }
}
