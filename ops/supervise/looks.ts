/** Looks every so often, one look at a time. One that fails is told of, and the next comes all the same. */
export const lookEvery = (ms: number, look: () => Promise<void>, onError: (error: unknown) => void): { stop(): void } => {
  let looking = false
  const timer = setInterval(() => {
    if (looking) return
    looking = true
    look()
      .catch(onError)
      .finally(() => (looking = false))
  }, ms).unref()
  return { stop: () => clearInterval(timer) }
}
