/** The Service shapes whose rules are kept as golden files. */
import type { KubeObject } from '#events/KubeObject.ts'
import { service, slice, type EndpointShape } from '#test/support/services.ts'
import { chainHash } from '#services/kube-proxy/chainHash.ts'
import type { ProxyConfig } from '#services/kube-proxy/chains.ts'

export const CONFIG: ProxyConfig = {
  instance: 'abcde',
  nodeName: 'n1',
  clusterCIDR: '10.244.0.0/16',
  masqueradeMark: 0x4000,
  hash: chainHash
}

const three: readonly EndpointShape[] = [
  { ip: '10.244.0.2', node: 'n1' },
  { ip: '10.244.0.3', node: 'n1' },
  { ip: '10.244.1.2', node: 'n2' }
]
const away: readonly EndpointShape[] = [{ ip: '10.244.1.2', node: 'n2' }]

export const SHAPES: Readonly<Record<string, readonly KubeObject[]>> = {
  'cluster-ip': [service('web', '10.96.0.20', [{ name: 'http', port: 80 }]), slice('web', three, [{ name: 'http', port: 8080 }])],
  'node-port': [service('web', '10.96.0.20', [{ port: 80, nodePort: 30080 }]), slice('web', three, [{ port: 8080 }])],
  'no-endpoints': [service('web', '10.96.0.20', [{ port: 80, nodePort: 30080 }], { externalIPs: ['192.0.2.10'] })],
  'dns-tcp-and-udp': [
    service('dns', '10.96.0.10', [
      { name: 'dns', port: 53, protocol: 'UDP' },
      { name: 'dns-tcp', port: 53 }
    ]),
    slice(
      'dns',
      [{ ip: '10.244.0.1' }],
      [
        { name: 'dns', port: 10053, protocol: 'UDP' },
        { name: 'dns-tcp', port: 10053 }
      ]
    )
  ],
  affinity: [
    service('web', '10.96.0.20', [{ port: 80 }], {
      sessionAffinity: 'ClientIP',
      sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } }
    }),
    slice('web', three, [{ port: 80 }])
  ],
  'external-local': [
    service('web', '10.96.0.20', [{ port: 80, nodePort: 30080 }], { externalTrafficPolicy: 'Local', externalIPs: ['192.0.2.10'] }),
    slice('web', three, [{ port: 80 }])
  ],
  'external-local-elsewhere': [
    service('web', '10.96.0.20', [{ port: 80, nodePort: 30080 }], { externalTrafficPolicy: 'Local' }),
    slice('web', away, [{ port: 80 }])
  ],
  'internal-local': [service('web', '10.96.0.20', [{ port: 80 }], { internalTrafficPolicy: 'Local' }), slice('web', three, [{ port: 80 }])],
  'internal-local-elsewhere': [
    service('web', '10.96.0.20', [{ port: 80 }], { internalTrafficPolicy: 'Local' }),
    slice('web', away, [{ port: 80 }])
  ]
}
