/**
 * `npm run check:stream`: averages models of 256 and of 512 MB from file to file, each in a process of its own, and looks
 * at the most memory that it ever had. `npm run check:stream -- 8` does it once with models of 8 GB and tells the speed.
 */
import { spawnSync } from 'node:child_process'
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from './build.mjs'

const most = 300
const mostGrowth = 5
const sizes = process.argv.length > 2 ? process.argv.slice(2).map((gigabytes) => Number(gigabytes) * 1024) : [256, 512]

const failure = build({ ifStale: true })
if (failure !== '') {
  process.stderr.write(failure)
  process.exit(1)
}
const main = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url))
/** Runs the command line, then says what it took in KiB. */
const watched = `
process.argv.splice(1, 0, ${JSON.stringify(main)})
process.once('exit', () => process.stderr.write(JSON.stringify(process.resourceUsage().maxRSS)))
await import(${JSON.stringify(main)})`

const directory = mkdtempSync(join(tmpdir(), 'dfdt-check-stream-'))
process.once('exit', () => rmSync(directory, { recursive: true, force: true }))
process.once('SIGINT', () => process.exit(130)).once('SIGTERM', () => process.exit(143))
const problems = []
const peaks = sizes.map(peakOf)
for (const [i, peak] of peaks.entries())
  if (peak > most) problems.push(`${sizes[i]} MB: ${peak.toFixed(1)} MB at most, expected under ${most}`)
const growth = Math.max(...peaks) - Math.min(...peaks)
if (growth > mostGrowth) problems.push(`memory grows by ${growth.toFixed(1)} MB, expected under ${mostGrowth}`)
for (const problem of problems) console.error(problem)
process.exitCode = problems.length === 0 ? 0 : 1

/** In MB. What the garbage collector does when is chance: the smaller of two runs is what is needed. */
function peakOf(megabytes) {
  const [a, b, out] = ['a', 'b', 'out'].map((name) => join(directory, `${name}.safetensors`))
  for (const path of [a, b]) writeModel(path, megabytes * 2 ** 20)
  const runs = Array.from({ length: sizes.length > 1 ? 2 : 1 }, () => {
    const argv = ['--input-type=module', '-e', watched, '--', 'average', a, b, '-o', out, '--force', '--json']
    const { status, stdout, stderr } = spawnSync(process.execPath, argv, { encoding: 'utf8' })
    if (status !== 0) throw new Error(stderr)
    const { bytes, seconds } = JSON.parse(stdout)
    if (statSync(out).size !== bytes) throw new Error(`${out} has ${statSync(out).size} bytes, ${bytes} were announced`)
    return { peak: (Number(stderr.trim().split('\n').at(-1)) * 1024) / 1e6, seconds, bytes }
  })
  const peak = Math.min(...runs.map((run) => run.peak))
  const [{ seconds, bytes }] = runs
  const speed = `${(bytes / 1e6 / seconds).toFixed(0)} MB/s`
  console.log(`2 models of ${megabytes} MB: ${peak.toFixed(1)} MB of memory at most, ${speed}`)
  for (const path of [a, b, out]) rmSync(path)
  return peak
}

/** Tensors of zeros, which take no room on the disk; large ones, small ones and bytes that are only copied. */
function writeModel(path, bytes) {
  const tensors = {}
  let end = 0
  const add = (name, dtype, shape, size) => {
    tensors[name] = { dtype, shape, data_offsets: [end, end + size] }
    end += size
  }
  const large = 8
  add('counter', 'I64', [1], 8)
  for (let i = 0; i < large; i++) add(`layers.${i}.weight`, 'F32', [bytes / large / 4096, 1024], bytes / large)
  for (let i = 0; i < 100; i++) add(`layers.${i}.bias`, 'F32', [3], 12)
  const json = JSON.stringify(tensors)
  const header = new TextEncoder().encode(json.padEnd(Math.ceil(json.length / 8) * 8))
  const file = openSync(path, 'w')
  writeSync(file, new Uint8Array(BigUint64Array.of(BigInt(header.length)).buffer))
  writeSync(file, header)
  ftruncateSync(file, 8 + header.length + end)
  closeSync(file)
}
