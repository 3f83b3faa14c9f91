/** `reckon node credentials`: what a machine needs to become a node of this cluster, made and taken back; and the home it is put into. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { NodeBundle } from '#services/cli/Environment.ts'
import { apart } from './configuration.ts'
import { bridgeOf, writeConfig, writeSecret, type ClusterConfig } from './home.ts'
import { installNodeKeys, nodeKeysOf } from './log/keys.ts'
import { AlreadyAdmitted, NodeAccess, type Admitted } from './nats/access.ts'
import { connectNats } from './nats/connect.ts'
import { credentialsFile } from './nats/credentials.ts'
import { Held } from './nats/held.ts'
import { ensureOperatorKeys } from './nats/keys.ts'
import { urlsOf } from './nats/reach.ts'
import { ACCOUNTANT, nodeUsers } from './nats/users.ts'
import { authorityPin, pkiFile } from './pki/pki.ts'

const NODE_NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/

const withAccess = async <Value>(home: string, config: ClusterConfig, work: (access: NodeAccess) => Promise<Value>): Promise<Value> => {
  if (!existsSync(pkiFile(home, 'ca.key'))) throw new Error(`${home} is a node's: credentials are made where the cluster's authority is`)
  const nats = await connectNats(home, config, ACCOUNTANT.name, { waitOnFirstConnect: false, reconnect: false })
  try {
    return await work(new NodeAccess(new Held(nats), ensureOperatorKeys(home)))
  } finally {
    await nats.close()
  }
}

/** Valid at once. Rejects with AlreadyAdmitted. */
export const createNodeCredentials = (home: string, config: ClusterConfig, node: string): Promise<NodeBundle> => {
  if (!NODE_NAME.test(node))
    throw new Error(`"${node}" is no node name: lowercase letters, digits, '-' and '.', beginning and ending with a letter or digit`)
  if (node === config.nodeName) throw new AlreadyAdmitted(node)
  return withAccess(home, config, async (access) => {
    const { settings: _, ...shared } = apart({ ...config }).cluster
    const ca = readFileSync(pkiFile(home, 'ca.crt'), 'utf8')
    return {
      cluster: shared,
      node: { nodeName: node, natsURLs: urlsOf(config), caPin: authorityPin(ca) },
      ca,
      keys: nodeKeysOf(home, node),
      credentials: await access.create(node)
    }
  })
}

/** False when it had none. */
export const revokeNodeCredentials = (home: string, config: ClusterConfig, node: string): Promise<boolean> => {
  if (node === config.nodeName) {
    const why =
      "which has the operator's key: nobody is kept out by revoking its credentials. Leave its agent out with settings.components."
    throw new Error(`node "${node}" is this machine, ${why}`)
  }
  return withAccess(home, config, (access) => access.revoke(node))
}

export const listNodeCredentials = (home: string, config: ClusterConfig): Promise<readonly Admitted[]> =>
  withAccess(home, config, (access) => access.list())

/** Makes an empty home that of a node. Throws when the authority in the bundle is not the one it pins. */
export const installNode = (home: string, { cluster, node, ca, keys, credentials }: NodeBundle): void => {
  if (authorityPin(ca) !== node.caPin)
    throw new Error(`the cluster's authority is not the one that was named (${node.caPin}): somebody else may have answered`)
  const missing = nodeUsers(node.nodeName).find(({ name }) => credentials[name] === undefined)
  if (missing !== undefined) throw new Error(`there are no credentials for ${missing.name}`)
  for (const { name } of nodeUsers(node.nodeName)) writeSecret(credentialsFile(home, name), credentials[name] as string)
  installNodeKeys(home, node.nodeName, keys)
  writeSecret(join(home, 'pki/ca.crt'), ca)
  writeConfig(home, { ...cluster, bridge: bridgeOf(String(cluster['instance'])), ...node } as unknown as ClusterConfig)
}
