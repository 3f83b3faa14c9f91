/** The programs a cluster is made of. */
export const COMPONENTS = ['apiserver', 'scheduler', 'controller-manager', 'kubelet', 'kube-proxy', 'dns'] as const
export type Component = (typeof COMPONENTS)[number]

/** The components somebody names; throws for what names none of them. `where`: how the person knows the list, such as `--components`. */
export const componentsOf = (named: unknown, where: string): readonly Component[] => {
  const all = COMPONENTS.join(', ')
  if (!Array.isArray(named)) throw new Error(`${where}: must be a list of components: ${all}`)
  for (const name of named as readonly unknown[])
    if (!COMPONENTS.includes(name as Component))
      throw new Error(`${where}: there is no component ${JSON.stringify(name)}; there are ${all}`)
  if (named.length === 0) throw new Error(`${where}: names nothing to run; there are ${all}`)
  return COMPONENTS.filter((name) => named.includes(name))
}
