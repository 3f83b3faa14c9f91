/** Waiting for a reader: the way on for whoever writes an answer at its reader's pace. */
import type { Writable } from 'node:stream'

/** Resolves when what waits is taken, or never will be. */
export const drained = (stream: Writable): Promise<void> =>
  new Promise((resolve) => {
    const settle = (): void => {
      stream.off('drain', settle)
      stream.off('close', settle)
      resolve()
    }
    stream.on('drain', settle)
    stream.on('close', settle)
  })
