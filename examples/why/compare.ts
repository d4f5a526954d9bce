// What these examples share: seeds from the command line, one table of the results on each, pictures.
import { mkdirSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { defaultDevice } from 'dfdt'

const { values } = parseArgs({
  options: { seed: { type: 'string' }, small: { type: 'boolean', default: false }, steps: { type: 'string' } },
})

/** `--small`: sizes at which continuous integration can run the program. */
export const small = values.small
/** What `--steps` says, for a look at how it goes rather than at results. */
export const stepsOr = (usual: number): number => (values.steps === undefined ? usual : Number(values.steps))
const seeds = values.seed === undefined ? (small ? [1] : [1, 2, 3, 4, 5]) : [Number(values.seed)]

/** Measures every arm on every seed and prints a table of the results, which it also returns. */
export function compare<Arm extends string>(
  title: string,
  measure: (seed: number) => Record<Arm, number>,
  show: (value: number) => string,
): Record<Arm, number>[] {
  const results: Record<Arm, number>[] = []
  const start = performance.now()
  for (const seed of seeds) results.push(measure(seed))
  const table = Object.keys(results[0] ?? {}).map((arm) => {
    const scores = results.map((result) => result[arm as Arm])
    const sorted = [...scores].sort((a, b) => a - b)
    const median = sorted[sorted.length >> 1] ?? Number.NaN
    const range = `${show(sorted[0] ?? Number.NaN)} to ${show(sorted.at(-1) ?? Number.NaN)}`
    return [arm, ...scores.map(show), `**${show(median)}**`, range]
  })
  const rows = [['', ...seeds.map((seed) => `seed ${seed}`), 'median', 'range'], ...table]
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)))
  const line = (row: string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`
  console.log(`${title}\n`)
  console.log([...rows.slice(0, 1), widths.map((width) => '-'.repeat(width)), ...rows.slice(1)].map(line).join('\n'))
  const seconds = ((performance.now() - start) / 1000).toFixed(0)
  console.error(`\nNode ${process.version}, ${defaultDevice().backend.description}, ${seconds} s`)
  return results
}

/** Writes a picture, an SVG, to runs/; small runs have files of their own. */
export function draw(
  name: string,
  title: string,
  [width, height]: [number, number],
  style: string,
  body: string,
): void {
  mkdirSync('runs', { recursive: true })
  const text = 'text{font:14px sans-serif;text-anchor:middle;fill:#444}'
  const paper = `<rect width="${width}" height="${height}" fill="#fff"/>`
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}">`
  const file = `runs/${name}${small ? '-small' : ''}.svg`
  writeFileSync(file, `${svg}<title>${title}</title><style>${text}${style}</style>${paper}${body}</svg>\n`)
}

/** Uniform numbers in [0, 1) for choices of the host, from a seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = Math.imul(seed, 0x9e3779b9)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let z = Math.imul(state ^ (state >>> 15), state | 1)
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61)
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32
  }
}
