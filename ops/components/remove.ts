/** Taking a node's traces off the machine: containers, interfaces, rules, mounts. The history stays. */
import { parseCIDR } from '#events/meta/cidr.ts'
import { MemoryLink } from '#services/kubelet/MemoryLink.ts'
import { removeProxyRules } from '#services/kube-proxy/KubeProxy.ts'
import { HostIptables } from '#services/platform/Iptables.ts'
import type { ClusterConfig } from '#ops/home.ts'
import { dockerAnswers } from '#ops/setup/dockerEngine.ts'
import { findProgram } from '#ops/setup/project.ts'
import { bridgeNetwork, makeKubelet } from './agent.ts'
import type { Place } from './place.ts'
import { rememberedPodCIDRs } from './podCIDRs.ts'

export const removeNode = async (home: string, known: ClusterConfig, report: (line: string) => void): Promise<void> => {
  const [nodePodCIDR = known.nodePodCIDR] = rememberedPodCIDRs(home) ?? []
  // A node that was never given a part of the pod network has nothing on its machine.
  if (nodePodCIDR === '') return
  const config = { ...known, nodePodCIDR }
  const warn = (component: string, error: unknown): void =>
    report(`${component}: ${error instanceof Error ? error.message : String(error)}`)
  const place: Place['Service'] = { home, config, warn, fatal: warn }
  const network = bridgeNetwork(place)
  if (await dockerAnswers()) {
    report('removing its containers')
    const { agent } = await makeKubelet(place, network, new MemoryLink())
    agent.stop()
    await agent.removeEverything()
  }
  if (findProgram('iptables-save') === undefined) return
  report('removing its interfaces and rules')
  await removeProxyRules(new HostIptables(undefined, parseCIDR(nodePodCIDR)?.family), config.instance)
  await network.removeEverything()
}
