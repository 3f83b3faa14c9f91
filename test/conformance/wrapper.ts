/** A Go module of our own that stands for a published one whose go.mod works in its own repository only. */

/**
 * The go.mod of a wrapper around a module. A module that replaces others by folders of its repository can't be built by its name
 * and version (`go install module@version` refuses it), but its pins are what makes a build the one that was released. So they are
 * kept under another module's name; a folder is replaced by what is published of it, at the version `published` names, or by
 * what the module requires anyway when that is undefined.
 */
export const wrapperOf = (goMod: string, published?: (module: string) => string | undefined): string =>
  goMod
    .replace(/^module .*$/m, 'module reckon.conformance')
    .split('\n')
    .flatMap((line) => {
      const [, indent = '', module = ''] = /^(\s*(?:replace\s+)?)(\S+)(?: v\S+)? => \.{1,2}\//.exec(line) ?? []
      if (module === '') return [line]
      const version = published?.(module)
      return version === undefined ? [] : [`${indent}${module} => ${module} ${version}`]
    })
    .join('\n')

/** Kubernetes' staging modules are published with a 0 before its own minor version: `v1.34.4` as `v0.34.4`. */
export const stagingVersion = (version: string): string => version.replace(/^v1\./, 'v0.')
