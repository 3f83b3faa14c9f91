/** The proxy's life in an Effect scope. Its rules outlive it, so that Services work while it is replaced. */
import { Effect } from 'effect'
import { KubeProxy, type KubeProxyOptions } from './KubeProxy.ts'

/** Succeeds when the rules of everything known now are in the kernel. */
export const kubeProxy = (options: KubeProxyOptions) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const proxy = new KubeProxy(options)
      await proxy.start()
      return proxy
    }),
    (proxy) => Effect.promise(() => proxy.stop())
  )
