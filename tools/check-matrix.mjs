/**
 * Node 26 in every mode: the conformance suite, and one training, plain and compiled, with 1, 2, 4 and 8 threads. Threads
 * never change a bit, nor does 256-bit against 128-bit FMA. Fetches Node 26 if it is not there.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from './build.mjs'
import { node26 } from './node26.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const modes = process.arch === 'x64' ? ['256', 'fma', 'plain'] : ['fma', 'plain']
const threads = [1, 2, 4, 8]

const failure = build({ ifStale: true })
if (failure !== '') {
  process.stderr.write(failure)
  process.exit(1)
}
run(process.execPath, [join(root, 'tools', 'node26.mjs')])

const problems = []
const bits = new Map()
for (const mode of modes) {
  for (const count of threads) {
    const { status, stdout, stderr } = spawnSync(
      node26,
      [join(root, 'tools', 'matrix-training.mjs'), mode, String(count)],
      {
        encoding: 'utf8',
        timeout: 120_000,
      },
    )
    const digest = stdout.trim()
    console.log(
      `${mode.padEnd(6)} ${count} ${count === 1 ? 'thread ' : 'threads'}  ${status === 0 ? digest : 'FAILED'}`,
    )
    if (status !== 0) problems.push(`${mode}, ${count} threads: ${stderr.trim().split('\n').slice(-8).join('\n')}`)
    else if (!bits.has(mode)) bits.set(mode, digest)
    else if (bits.get(mode) !== digest) problems.push(`${mode}: ${count} threads give other bits than 1`)
  }
}
if (bits.has('256') && bits.get('256') !== bits.get('fma')) problems.push('256 and fma give different bits')

const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
const { status } = spawnSync(node26, [vitest, 'run', 'tests/backends/conformance.test.ts'], {
  cwd: root,
  stdio: 'inherit',
})
if (status !== 0) problems.push('the conformance suite failed on Node 26')

for (const problem of problems) console.error(problem)
if (problems.length > 0) process.exit(1)
console.log(`Node 26: ${modes.length} modes x ${threads.length} numbers of threads agree`)

function run(command, args) {
  const { status: code } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
  if (code !== 0) process.exit(1)
}
