/**
 * Completes package-lock.json with the optional packages of other platforms (native builds of biome, oxlint, …). npm leaves
 * out those that a registry did not serve when the lock was written; `npm ci` then refuses the lock, and on the platform
 * concerned the tool is missing. Run after changing dependencies; tests/meta/repository.test.ts says when.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const file = fileURLToPath(new URL('../package-lock.json', import.meta.url))
const lock = JSON.parse(readFileSync(file, 'utf8'))

/** npm's own order, so that it does not rewrite what is added here. */
const ORDER = ['version', 'cpu', 'dev', 'libc', 'optional', 'os']

const added = []
for (const [path, { dev, optionalDependencies = {} }] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(optionalDependencies)) {
    const target = `node_modules/${name}`
    if (target in lock.packages || `${path}/${target}` in lock.packages) continue
    const entry = { version, ...platformOf(name), ...(dev ? { dev } : {}), optional: true }
    lock.packages[target] = Object.fromEntries(
      Object.entries(entry).sort(([a], [b]) => ORDER.indexOf(a) - ORDER.indexOf(b)),
    )
    added.push(`${name}@${version}`)
  }
}
const sorted = Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, 'en'))
lock.packages = Object.fromEntries(sorted)
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`)
console.log(added.length === 0 ? 'nothing to add' : added.join('\n'))

/** By the naming that all of them follow: …-os-cpu[-abi]. */
function platformOf(name) {
  const parts = /(android|darwin|freebsd|linux|openharmony|win32|netbsd|openbsd|sunos|aix)-(\w+)(?:-(\w+))?$/.exec(name)
  if (parts === null) throw new Error(`${name}: its name tells no platform; add it to package-lock.json by hand`)
  const [, os, cpu, abi] = parts
  const libc = abi?.startsWith('musl') ? ['musl'] : abi?.startsWith('gnu') ? ['glibc'] : undefined
  return { cpu: [cpu], os: [os], ...(os === 'linux' && libc ? { libc } : {}) }
}
