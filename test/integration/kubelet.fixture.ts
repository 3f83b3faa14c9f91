/** An agent on the machine's Docker Engine with a link in memory; cleans up everything it made. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Docker from 'dockerode'
import type { Container, Pod, PodSpec } from '#events/schema/generated/core.v1.ts'
import { DEMO_IMAGE, ensureImages, PAUSE_IMAGE } from '#ops/images/images.ts'
import type { Binding } from '#events/node/messages.ts'
import { Agent } from '#services/kubelet/Agent.ts'
import { LocalNodeCalls } from '#services/kubelet/LocalNodeCalls.ts'
import { machineFacts } from '#services/kubelet/machine.ts'
import { MemoryLink } from '#services/kubelet/MemoryLink.ts'
import { SimulatedPodNetwork } from '#services/kubelet/PodNetwork.ts'
import { NetworkProber } from '#services/kubelet/probes/Prober.ts'
import { diskOrigin } from '#services/kubelet/strays/Allegiance.ts'
import { DiskPodFiles } from '#services/kubelet/volumes/PodFiles.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { DockerRuntime } from '#services/platform/Docker.ts'

export const NODE = 'test-node'

export const bindingOf = (
  name: string,
  spec: Partial<PodSpec> & { containers: Container[] },
  extra: Partial<Binding> = {},
  uid = `uid-${name}`
): Binding => ({
  pod: {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', uid, generation: 1 },
    spec: { terminationGracePeriodSeconds: 1, ...spec }
  } as Pod,
  configMaps: {},
  secrets: {},
  serviceEnv: {},
  cause: { eventId: 'event', ref: 'EVENTS:1', correlationId: 'event' },
  ...extra
})

/** A container of the demo image that sleeps and obeys TERM. */
export const sleeper = (name: string, extra: Partial<Container> = {}): Container =>
  ({
    name,
    image: DEMO_IMAGE,
    imagePullPolicy: 'IfNotPresent',
    command: ['/bin/sh', '-c', 'trap "exit 0" TERM; while true; do sleep 0.1; done'],
    ...extra
  }) as Container

export const fixture = async () => {
  const instance = `t${Math.random().toString(36).slice(2, 8)}`
  const folder = mkdtempSync(join(tmpdir(), 'reckon-kubelet-'))
  const docker = new Docker()
  await ensureImages(docker, () => {})
  const runtime = new DockerRuntime({ instance, node: NODE })
  const network = new SimulatedPodNetwork()
  const link = new MemoryLink()
  const errors: unknown[] = []
  const machine = await machineFacts(folder)
  const origin = diskOrigin(folder)
  const newAgent = (): Agent =>
    new Agent({
      node: NODE,
      hostIP: '127.0.0.1',
      podCIDR: '10.244.0.0/24',
      pauseImage: PAUSE_IMAGE,
      link,
      runtime,
      network,
      files: new DiskPodFiles(
        folder,
        systemClock,
        () => ({ clusterDNS: ['10.96.0.10'], clusterDomain: 'cluster.local', node: 'nameserver 192.0.2.1\nsearch example.org\n' }),
        (error) => void errors.push(error)
      ),
      prober: new NetworkProber(runtime),
      machine,
      origin,
      clock: systemClock,
      onError: (error) => void errors.push(error)
    })
  let agent = newAgent()
  const status = (name: string) => link.last(name)?.status
  return {
    docker,
    runtime,
    link,
    folder,
    errors,
    get agent() {
      return agent
    },
    get calls() {
      return new LocalNodeCalls(agent, runtime)
    },
    start: () => agent.start(),
    /** As after kill -9: another agent object, knowing nothing. */
    restart: async () => {
      agent.stop()
      agent = newAgent()
      await agent.start()
    },
    status,
    running: (name: string) => link.until(() => status(name)?.containerStatuses?.every(({ ready }) => ready) === true && status(name)),
    close: async () => {
      agent.stop()
      await agent.removeEverything()
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

export const collect = async (text: AsyncIterable<Uint8Array>): Promise<string> => {
  const parts: Uint8Array[] = []
  for await (const part of text) parts.push(part)
  return Buffer.concat(parts).toString()
}
