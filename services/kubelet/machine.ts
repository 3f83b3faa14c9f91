/** What this machine is and has, for the node's capacity and info. */
import { readFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { availableParallelism, totalmem } from 'node:os'
import type { Machine } from './container/spec.ts'

export interface MachineFacts extends Machine {
  /** Bytes of the file system the kubelet's folder is on. */
  readonly ephemeralStorage: number
  readonly machineID: string
  readonly bootID: string
}

const read = (path: string): string => {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return ''
  }
}

/** Bit of CAP_SYS_RESOURCE in the bounding set. */
const SYS_RESOURCE = 24n

export const machineFacts = async (folder: string): Promise<MachineFacts> => {
  const disk = await statfs(folder)
  const bounding = /CapBnd:\s*([0-9a-f]+)/.exec(read('/proc/self/status'))?.[1] ?? '0'
  return {
    cores: availableParallelism(),
    memory: totalmem(),
    negativeScores: ((BigInt(`0x${bounding}`) >> SYS_RESOURCE) & 1n) === 1n,
    ephemeralStorage: disk.blocks * disk.bsize,
    machineID: read('/etc/machine-id'),
    bootID: read('/proc/sys/kernel/random/boot_id')
  }
}
