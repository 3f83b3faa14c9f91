/** What is in the layers of the suite's images: Debian's packages, Go programs, and the files that tests look for. */
import { chmodSync, chownSync, copyFileSync, existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { downloadDebianPackage, downloadDebianTree } from '#ops/setup/apt.ts'
import { type Report, run } from '#ops/setup/project.ts'

const folder = (root: string, path: string, mode = 0o755): string => {
  const made = join(root, path)
  mkdirSync(made, { recursive: true })
  chmodSync(made, mode)
  return made
}

export const file = (root: string, path: string, content: string | Uint8Array, mode = 0o644): void => {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), content)
  chmodSync(join(root, path), mode)
}

/** Copies a file of the machine into a root; a program, unless the mode says otherwise. */
export const copy = (root: string, path: string, from: string, mode = 0o755): void => {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  copyFileSync(from, join(root, path))
  chmodSync(join(root, path), mode)
}

const USERS = `root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
bin:x:2:2:bin:/bin:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
`
const GROUPS = 'root:x:0:\ndaemon:x:1:\nbin:x:2:\ntty:x:5:\nwww-data:x:33:\nnogroup:x:65534:\n'

/**
 * A root around a static busybox, of Debian's unstable: the shells of its 1.35 and 1.37 pass on no variables with names like `data-1`,
 * which a ConfigMap may well make, and four specs look for them. That of 1.38 does, as the suite's own image; one spec that reads how a
 * shell words an error finds it worded otherwise (ops/docs/conformance-running.md).
 */
export const busyboxRoot = async (root: string, cache: string, report: Report): Promise<void> => {
  const unpacked = join(cache, 'busybox-static')
  if (!existsSync(unpacked)) await downloadDebianPackage({ name: 'busybox-static', into: unpacked, suite: 'sid', report })
  const binary = ['usr/bin/busybox', 'bin/busybox'].map((path) => join(unpacked, path)).find((path) => existsSync(path))
  if (binary === undefined) throw new Error(`no busybox in ${unpacked}`)
  copy(root, 'usr/bin/busybox', binary)
  const applets = (await run(binary, ['--list'])).split('\n').filter((name) => name !== '' && name !== 'busybox')
  for (const applet of applets) symlinkSync('busybox', join(root, 'usr/bin', applet))
  for (const path of ['dev', 'etc', 'home', 'proc', 'sys', 'usr/local/bin', 'var/log', 'var/run']) folder(root, path)
  for (const path of ['tmp', 'var/tmp']) folder(root, path, 0o1777)
  folder(root, 'root', 0o700)
  file(root, 'etc/passwd', USERS)
  file(root, 'etc/group', GROUPS)
  file(root, 'etc/shadow', 'root:*:19000::::::\n', 0o640)
  file(root, 'etc/nsswitch.conf', 'hosts: files dns\npasswd: files\ngroup: files\n')
}

/** What no program needs, and is most of many a package. */
const PAPERS = ['bug', 'doc', 'doc-base', 'info', 'lintian', 'locale', 'man']

/** Debian's packages with what they depend on. */
export const debianRoot = async (root: string, packages: readonly string[], report: Report): Promise<void> => {
  const tree = `${root}.tree`
  report(`fetching Debian's ${packages.join(', ')} (unpacked beside the project)`)
  await downloadDebianTree({ names: packages, into: tree, report })
  try {
    for (const papers of PAPERS) rmSync(join(tree, 'usr/share', papers), { recursive: true, force: true })
    // Accounts are the lowest layer's.
    for (const path of ['etc/passwd', 'etc/group', 'etc/shadow', 'etc/nsswitch.conf']) rmSync(join(tree, path), { force: true })
    await run('cp', ['-a', `${tree}/.`, root])
  } finally {
    rmSync(tree, { recursive: true, force: true })
  }
}

/** Makes `link` lead to `target` in a root, whatever was there. */
export const link = (root: string, path: string, target: string): void => {
  rmSync(join(root, path), { force: true })
  symlinkSync(target, join(root, path))
}

/** agnhost with what its own image has around it; `images` is the folder of the images' sources in the suite's module. */
export const agnhostRoot = (root: string, images: string, binary: string): void => {
  copy(root, 'agnhost', binary)
  symlinkSync('agnhost', join(root, 'agnhost-2'))
  folder(root, 'uploads')
  for (const name of ['localhost.crt', 'localhost.key']) copy(root, name, join(images, 'agnhost/porter', name), 0o644)
  file(root, 'etc/passwd', `${USERS}user-defined-in-image:x:1000:1000::/home/user-defined-in-image:/bin/sh\n`)
  file(root, 'etc/group', `${GROUPS}user-defined-in-image:x:1000:\ngroup-defined-in-image:x:50000:user-defined-in-image\n`)
  chownSync(folder(root, 'home/user-defined-in-image'), 1000, 1000)
}

/** nginx with the page that comes with it, and a folder for more servers. */
export const nginxRoot = (root: string): void => {
  for (const path of ['var/log/nginx', 'var/cache/nginx', 'var/lib/nginx', 'run', 'etc/nginx/conf.d']) folder(root, path)
  const page = '<!DOCTYPE html>\n<html><head><title>Welcome to nginx!</title></head><body><h1>Welcome to nginx!</h1></body></html>\n'
  file(root, 'usr/share/nginx/html/index.html', page)
  file(
    root,
    'etc/nginx/nginx.conf',
    `user www-data;
worker_processes 1;
pid /run/nginx.pid;
error_log /dev/stderr notice;
events {}
http {
  include mime.types;
  access_log /dev/stdout;
  include conf.d/*.conf;
}
`
  )
  file(root, 'etc/nginx/conf.d/default.conf', 'server {\n  listen 80;\n  root /usr/share/nginx/html;\n}\n')
}

const APACHE = 'usr/local/apache2'

/** Apache where the image of its own project has it. */
export const httpdRoot = (root: string): void => {
  folder(root, `${APACHE}/logs`)
  folder(root, `${APACHE}/bin`)
  file(root, `${APACHE}/htdocs/index.html`, '<html><body><h1>It works!</h1></body></html>\n')
  const names = ['mpm_event', 'authz_core', 'dir', 'mime']
  const modules = names.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`)
  file(
    root,
    `${APACHE}/conf/httpd.conf`,
    `ServerRoot "/${APACHE}"
${modules.join('\n')}
ServerName localhost
Listen 80
User www-data
Group www-data
PidFile logs/httpd.pid
DocumentRoot "/${APACHE}/htdocs"
DirectoryIndex index.html
TypesConfig conf/mime.types
ErrorLog /proc/self/fd/2
<Directory "/${APACHE}/htdocs">
  Require all granted
</Directory>
`
  )
  file(root, `${APACHE}/conf/mime.types`, 'text/html html htm\ntext/plain txt\n')
  symlinkSync('/usr/sbin/apache2', join(root, APACHE, 'bin/httpd'))
  const start = `#!/bin/sh\nrm -f /${APACHE}/logs/httpd.pid\nexec apache2 -DFOREGROUND -f /${APACHE}/conf/httpd.conf "$@"\n`
  file(root, 'usr/local/bin/httpd-foreground', start, 0o755)
}
