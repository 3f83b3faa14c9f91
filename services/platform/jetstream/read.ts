/**
 * Reading a range of a stream by direct batch gets (ADR-31): each batch is one request, bounded in bytes, made when the
 * reader asks for it.
 *
 * A consumer would be simpler, and is what following uses; but it pushes what it has whether or not the reader keeps up,
 * and it stays on the server for a while after its reader is gone: a hundred late watches left a hundred of them.
 */
import type { JetStreamManager, StoredMsg } from '@nats-io/jetstream'
import type { LogEntry, ReadRange } from '#events/Log.ts'
import { entryOfStored } from './entry.ts'
import { BatchStalled, isNotFound } from './errors.ts'

/** One batch; an entry that is larger comes alone. */
const BATCH_BYTES = 256 * 1024
const BATCH_COUNT = 1_000
/** Between two messages of a batch. */
const STALL_MS = 5_000

export interface Batch {
  readonly entries: readonly LogEntry[]
  /** Nothing is stored behind these entries. */
  readonly last: boolean
}

export async function* readRange({ from, to }: ReadRange, fetch: (from: number) => Promise<Batch>): AsyncGenerator<readonly LogEntry[]> {
  for (let next = Math.max(1, from); next <= to;) {
    const { entries, last } = await fetch(next)
    const end = entries.at(-1)?.sequence ?? to
    const wanted = end <= to ? entries : entries.filter(({ sequence }) => sequence <= to)
    if (wanted.length > 0) yield wanted
    if (last) return
    next = end + 1
  }
}

/** Rejects when the connection is lost in between: asked again from the same place, nothing is doubled. */
export const fetchBatch = (jsm: JetStreamManager, stream: string, from: number, filter: string | undefined): Promise<Batch> =>
  new Promise((resolve, reject) => {
    const entries: LogEntry[] = []
    let pending = 0
    let stop: () => void = () => {}
    const stalled = (): void => {
      stop()
      reject(new BatchStalled(`${stream}: a batch from ${from} stopped after ${entries.length} entries`))
    }
    let timer = setTimeout(stalled, STALL_MS)
    const onMessage = (done: { readonly err?: Error } | null, message: StoredMsg): void => {
      clearTimeout(timer)
      if (done === null) {
        entries.push(entryOfStored(message))
        pending = message.pending
        timer = setTimeout(stalled, STALL_MS)
      } else if (done.err === undefined || isNotFound(done.err)) resolve({ entries, last: pending === 0 })
      else reject(done.err)
    }
    // With a callback the library ends its subscription with the batch; as an iterator it keeps it.
    jsm.direct
      .getBatch(stream, {
        seq: from,
        batch: BATCH_COUNT,
        max_bytes: BATCH_BYTES,
        ...(filter === undefined ? {} : { next_by_subj: filter }),
        callback: onMessage
      })
      .then(
        (batch) => (stop = () => batch.stop()),
        (error: unknown) => {
          clearTimeout(timer)
          reject(error)
        }
      )
  })
