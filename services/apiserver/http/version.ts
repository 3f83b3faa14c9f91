/** What `/version` says: the Kubernetes API level served, and that it is reckon who serves it. */
import { arch } from 'node:process'
import project from '../../../package.json' with { type: 'json' }

export const KUBERNETES_VERSION = 'v1.36.0'

export const VERSION_INFO = {
  major: '1',
  minor: '36',
  emulationMajor: '1',
  emulationMinor: '36',
  minCompatibilityMajor: '1',
  minCompatibilityMinor: '35',
  gitVersion: `${KUBERNETES_VERSION}+reckon.${project.version}`,
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '2026-01-01T00:00:00Z',
  goVersion: `node ${process.version}`,
  compiler: 'node',
  platform: `linux/${arch === 'x64' ? 'amd64' : arch}`
} as const
