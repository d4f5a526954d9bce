// Writes src/shapes/arithmetic-tables.ts, the digit tables of src/shapes/arithmetic.ts: node tools/types/write-arithmetic-tables.mjs
import { writeFileSync } from 'node:fs'

const digits = [...Array(10).keys()]
const pair = (value) => `${Math.floor(value / 10)}${value % 10}`

function table(name, doc, fill) {
  const rows = []
  fill((key, value) => rows.push(`'${key}': '${value}'`))
  const lines = []
  for (let i = 0; i < rows.length; i += 8) lines.push(`  ${rows.slice(i, i + 8).join('; ')}`)
  return `/** ${doc} */\nexport interface ${name} {\n  [key: string]: string\n${lines.join('\n')}\n}\n`
}

const tables = [
  table('AddTable', 'carry, a, b -> carry, digit of a + b + carry', (row) => {
    for (const c of [0, 1]) for (const a of digits) for (const b of digits) row(`${c}${a}${b}`, pair(a + b + c))
  }),
  table('SubTable', 'borrow, a, b -> borrow, digit of a - b - borrow', (row) => {
    for (const c of [0, 1])
      for (const a of digits)
        for (const b of digits) row(`${c}${a}${b}`, a - b - c < 0 ? `1${a - b - c + 10}` : `0${a - b - c}`)
  }),
  table('MulTable', 'd, x, carry -> carry, digit of d * x + carry', (row) => {
    for (const d of digits) for (const x of digits) for (let c = 0; c < 9; c++) row(`${d}${x}${c}`, pair(d * x + c))
  }),
  table('DivTable', 'd, rest, x -> quotient digit, rest of (10 * rest + x) / d', (row) => {
    for (let d = 1; d < 10; d++)
      for (let r = 0; r < d; r++)
        for (const x of digits) row(`${d}${r}${x}`, `${Math.floor((10 * r + x) / d)}${(10 * r + x) % d}`)
  }),
]

writeFileSync(
  new URL('../../src/shapes/arithmetic-tables.ts', import.meta.url),
  `// biome-ignore-all format: written by tools/types/write-arithmetic-tables.mjs\n${tables.join('\n')}`,
)
