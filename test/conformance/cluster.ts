/** The cluster under test: one that runs already, or one of reckon that is started for it and leaves nothing behind. */
import { copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { CoreV1Api, KubeConfig, VersionApi } from '@kubernetes/client-node'
import { loadOrCreateConfig, readConfig, writeConfig } from '#ops/home.ts'
import { logFile } from '#ops/running.ts'
import type { Report } from '#ops/setup/project.ts'
import { down, up } from '#ops/up.ts'

/** Specs ask for ports of this range by number. */
const NODE_PORTS = '30000-32767'

export interface OwnCluster {
  readonly kubeconfig: string
  /** Stops and removes it; its log is copied to `log`. */
  remove(log: string): Promise<void>
}

/** Starts a cluster in `home`; one that an earlier run could not remove goes first. */
export const startOwnCluster = async (home: string, report: Report): Promise<OwnCluster> => {
  const quiet = (): void => {}
  const clear = async (): Promise<void> => {
    if (readConfig(home) !== undefined) await down({ home, report: quiet })
    rmSync(home, { recursive: true, force: true })
  }
  if (existsSync(home)) {
    report('removing the cluster of an earlier run')
    await clear()
  }
  const config = await loadOrCreateConfig(home, quiet)
  if (config.nodePortRange !== NODE_PORTS) {
    report(`another cluster stands on this machine: if it has node ports of ${NODE_PORTS} too, which specs ask for, some of them may fail`)
    writeConfig(home, { ...config, nodePortRange: NODE_PORTS })
  }
  try {
    await up({ home, demo: false, report: quiet })
  } catch (error) {
    await clear().catch((left: Error) => report(`it was not removed: ${left.message}`))
    throw error
  }
  return {
    kubeconfig: join(home, 'kubeconfig'),
    remove: async (log) => {
      mkdirSync(dirname(log), { recursive: true })
      if (existsSync(logFile(home))) copyFileSync(logFile(home), log)
      await clear()
    }
  }
}

/** What of a cluster is asked for beside the specs. */
export interface Target {
  readonly kubeconfig: string
  /** `v1.36.0+reckon`, of `/version`. */
  readonly version: string
  readonly api: CoreV1Api
}

/** Throws when the cluster does not answer. */
export const targetOf = async (kubeconfig: string): Promise<Target> => {
  const config = new KubeConfig()
  config.loadFromFile(kubeconfig)
  const { gitVersion } = await config.makeApiClient(VersionApi).getCode()
  return { kubeconfig, version: gitVersion, api: config.makeApiClient(CoreV1Api) }
}
