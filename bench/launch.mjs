/**
 * Runs a program of this folder: dist is built first when it is stale, then the program is bundled for Node, with the
 * library left as a package, so that what is timed is what users install.
 */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build as bundle } from 'rolldown'
import { build } from '../tools/build.mjs'
import { node26 } from '../tools/node26.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))

export async function launch(program) {
  const failure = build({ ifStale: true })
  if (failure !== '') {
    process.stderr.write(`${failure}The sources do not compile; fix the errors above and start again.\n`)
    process.exit(1)
  }
  const folder = join(root, '.cache', `bench-${process.pid}`)
  mkdirSync(folder, { recursive: true })
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  // Players end with their input; the folder goes only when this process leaves by itself.
  process.once('SIGINT', () => process.exit(130)).once('SIGTERM', () => process.exit(143))
  await bundle({
    cwd: root,
    input: { program, player: 'bench/harness/player.ts', serve: 'bench/harness/serve.ts' },
    platform: 'node',
    external: [/^dfdt(\/|$)/, 'mitata'],
    tsconfig: false,
    output: { dir: folder, entryFileNames: '[name].mjs', chunkFileNames: '[name].mjs' },
    logLevel: 'warn',
  })
  const { main } = await import(pathToFileURL(join(folder, 'program.mjs')).href)
  process.exitCode = await main(process.argv.slice(2), {
    root,
    player: join(folder, 'player.mjs'),
    serve: join(folder, 'serve.mjs'),
    node26,
  })
}
