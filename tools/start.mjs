/**
 * `npm start -- <command> …`: the command line of this checkout, built first when dist is missing or older than src.
 * It runs in this process, so its exit code, its stdout and Ctrl-C are the program's own.
 */
import { fileURLToPath } from 'node:url'
import { build } from './build.mjs'

const failure = build({ ifStale: true })
if (failure !== '') {
  process.stderr.write(`${failure}The sources do not compile; fix the errors above and start again.\n`)
  process.exit(1)
}
const main = new URL('../dist/cli/main.js', import.meta.url)
process.argv[1] = fileURLToPath(main)
await import(main.href)
