/** The controllers a controller manager runs. Each acts under an identity of its own, which may do its job only. */
import type { UserInfo } from '#events/Intent.ts'
import type { ControllerDefinition } from '#services/platform/decision.ts'
import { customresourcedefinition } from './customresourcedefinition/controller.ts'
import { deployment } from './deployment/controller.ts'
import { endpoint } from './endpoint/controller.ts'
import { endpointslice } from './endpointslice/controller.ts'
import { garbageCollector } from './garbage-collector/controller.ts'
import { namespace } from './namespace/controller.ts'
import { nodeIpam } from './node-ipam/controller.ts'
import type { NodeIpamConfig } from './node-ipam/decide.ts'
import { nodeLifecycle } from './node-lifecycle/controller.ts'
import { podGc } from './pod-gc/controller.ts'
import { replicaset } from './replicaset/controller.ts'
import { rootCaCertPublisher } from './root-ca-cert-publisher/controller.ts'
import { serviceaccount } from './serviceaccount/controller.ts'
import { servicecidr } from './servicecidr/controller.ts'

export interface ControllersConfig {
  /** The cluster's CA certificate, PEM. */
  readonly clusterCA: string
  /** What nodes are given of the pod network; absent: nobody gives them any. */
  readonly nodeIpam?: NodeIpamConfig
}

export const controllers = ({ clusterCA, nodeIpam: ipam }: ControllersConfig): readonly ControllerDefinition[] => [
  serviceaccount,
  servicecidr,
  rootCaCertPublisher(clusterCA),
  deployment,
  replicaset,
  endpoint,
  endpointslice,
  customresourcedefinition,
  garbageCollector,
  namespace,
  nodeLifecycle(),
  ...(ipam === undefined ? [] : [nodeIpam(ipam)]),
  podGc()
]

/** `system:serviceaccount:kube-system:deployment-controller` */
export const userNameOf = (controller: string): string => `system:serviceaccount:kube-system:${controller}`

export const userOf = (controller: string): UserInfo => ({
  username: userNameOf(controller),
  groups: ['system:serviceaccounts', 'system:serviceaccounts:kube-system', 'system:authenticated']
})
