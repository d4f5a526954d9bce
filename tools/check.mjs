/**
 * `npm run check`: everything CI asks of a change, cheapest first. All steps run, whatever fails, so that one run shows
 * all there is to fix. `--no-tests` leaves out the tests (for CI, which has just run them); names run only those steps.
 */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const STEPS = [
  ['format', 'biome format .'],
  ['lint', 'biome lint --error-on-warnings .'],
  ['layers', 'node tools/check-layers.mjs'],
  ['lint-types', 'oxlint --type-aware --deny-warnings'],
  ['dead-exports', 'knip'],
  ['build', 'node tools/build.mjs'],
  ['types', 'tsc -p tsconfig.json --noEmit'],
  ['core', 'node tools/check-core.mjs'],
  ['package', 'publint --strict'],
  ['readme', 'node tools/readme.mjs'],
  ['tests', 'vitest run'],
]

const options = process.argv.slice(2)
const names = options.filter((option) => !option.startsWith('--'))
const unknown = [
  ...names.filter((name) => !STEPS.some(([step]) => step === name)),
  ...options.filter((option) => option.startsWith('--') && option !== '--no-tests'),
]
if (unknown.length > 0) {
  console.error(
    `check: no step or option ${unknown.join(', ')}; there are ${STEPS.map(([name]) => name).join(', ')} and --no-tests`,
  )
  process.exit(2)
}
const steps = STEPS.filter(([name]) => {
  if (names.length > 0) return names.includes(name)
  return name !== 'tests' || !options.includes('--no-tests')
})

const results = []
for (const [name, command] of steps) {
  console.log(`\n── ${name}: ${command}`)
  const begin = performance.now()
  const { status } = spawnSync(command, {
    cwd: root,
    shell: true,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: environment(),
  })
  results.push({ name, ok: status === 0, seconds: (performance.now() - begin) / 1000 })
}

console.log('\n── summary')
for (const { name, ok, seconds } of results)
  console.log(`${ok ? 'ok  ' : 'FAIL'} ${name.padEnd(14)} ${seconds.toFixed(1).padStart(6)} s`)
const failed = results.filter(({ ok }) => !ok)
console.log(failed.length === 0 ? 'all checks pass' : `failed: ${failed.map(({ name }) => name).join(', ')}`)
process.exitCode = failed.length === 0 ? 0 : 1

function environment() {
  return { ...process.env, PATH: `${root}node_modules/.bin:${process.env.PATH}` }
}
