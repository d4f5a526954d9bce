/**
 * `npm run example -- why/target-network --seed 1`: runs a program of examples/ on the built library, which is built first
 * when it is stale. The program is bundled, so that every Node runs it, with the library left as a package.
 */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build as bundle } from 'rolldown'
import { build } from './build.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const [name, ...options] = process.argv.slice(2)
if (name === undefined || name.startsWith('-')) {
  console.error('Which example? For instance: npm run example -- why/target-network --small')
  process.exit(2)
}
const failure = build({ ifStale: true })
if (failure !== '') {
  process.stderr.write(`${failure}The sources do not compile; fix the errors above and start again.\n`)
  process.exit(1)
}
const folder = join(root, '.cache', `example-${process.pid}`)
mkdirSync(folder, { recursive: true })
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
process.once('SIGINT', () => process.exit(130)).once('SIGTERM', () => process.exit(143))
await bundle({
  cwd: root,
  input: join('examples', `${name.replace(/\.ts$/, '')}.ts`),
  platform: 'node',
  external: [/^dfdt(\/|$)/],
  tsconfig: false,
  output: { dir: folder, entryFileNames: 'program.mjs' },
  logLevel: 'warn',
})
process.argv.splice(1, Number.POSITIVE_INFINITY, name, ...options)
await import(pathToFileURL(join(folder, 'program.mjs')).href)
