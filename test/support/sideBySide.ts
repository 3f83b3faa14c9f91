/** Tests of one file beside each other: for those that are each a world of their own (a home, a nats-server, ports) and mostly wait. */
import type { Test } from 'uvu'

/**
 * `suite(name, work)`, but so many at a time: the first of them that uvu comes to begins them all, in their order, and each is
 * told of in its turn. What they share is what the file has at its top, so that must not change.
 */
export const sideBySide = (suite: Test, width: number): ((name: string, work: () => Promise<void>) => void) => {
  const waiting: (() => Promise<void>)[] = []
  let running = 0
  const fill = (): void => {
    for (
      let work = running < width ? waiting.shift() : undefined;
      work !== undefined;
      work = running < width ? waiting.shift() : undefined
    ) {
      running++
      void work().finally(() => {
        running--
        fill()
      })
    }
  }
  return (name, work) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    // Nobody may listen yet when it fails.
    promise.catch(() => {})
    waiting.push(async () => work().then(resolve, reject))
    suite(name, () => {
      fill()
      return promise
    })
  }
}
