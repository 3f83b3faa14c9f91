/** What a client is told when the log could not do what was decided. Plain. */
import { AppendUncertain, LogAway, LogRefused } from '#events/Log.ts'
import { badRequest, insufficientStorage, logAway, timedOut, tooLarge, type Refusal } from '#events/Refusal.ts'
import { ViewBehind } from '#services/platform/View.ts'
import { Unresolved } from './Committer.ts'

/** The refusal that says it, or undefined for what is no fault of the log's. */
export const refusalOfLog = (error: unknown): Refusal | undefined => {
  if (error instanceof LogAway) return logAway()
  if (error instanceof Unresolved || error instanceof AppendUncertain)
    return timedOut('the log did not acknowledge the write in time, and whether it is stored can not be told yet; try again')
  if (error instanceof ViewBehind)
    return timedOut(
      `the API server has not seen yet what the log has (${error.message}), and the write may be stored: look before you try again`
    )
  if (!(error instanceof LogRefused)) return undefined
  switch (error.why) {
    case 'full':
      return insufficientStorage('the disk that holds the log is full, and this request stored nothing: free space on it')
    case 'too-large':
      return tooLarge(`the object is too large to be stored: ${error.message}`)
    case 'malformed':
      return badRequest(error.message)
    case 'other':
      return undefined
  }
}
