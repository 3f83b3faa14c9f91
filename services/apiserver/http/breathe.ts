/** Long work on the one thread lets others in between: requests, acknowledgements, watchers. */

/** Objects looked at between two breaths: about a millisecond. */
export const BREATHE = 2_048

export const breathe = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))
