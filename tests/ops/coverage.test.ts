import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import * as ops from '../../src/ops/index.js'
import { exemptions, families, nameOf } from './cases.js'

const folder = fileURLToPath(new URL('../../src/ops', import.meta.url))
const sources = readdirSync(folder, { recursive: true })
  .map(String)
  .filter((file) => file.endsWith('.ts'))
  .map((file) => readFileSync(join(folder, file), 'utf8'))

/** The docstring before an export, or undefined. */
function docstring(name: string): string | undefined {
  for (const source of sources) {
    // The comment that ends right before the declaration; it holds no other end of a comment.
    const found = new RegExp(
      `/\\*\\*((?:(?!\\*/)[\\s\\S])*)\\*/\\n(?://[^\\n]*\\n)?export (?:const|function) ${name}\\b`,
    ).exec(source)
    if (found) return found[1]
  }
  return undefined
}

const rows = Object.values(families).flat()
const exported = Object.keys(ops)

describe('every exported op', () => {
  for (const name of exported) {
    it(name, () => {
      const row = rows.some(({ op }) => op === name)
      const exempt = Object.hasOwn(exemptions, name)
      expect(row, `${name} needs a row in tests/ops/cases.ts, or an exemption with a reason, and not both`).not.toBe(
        exempt,
      )
      if (name === 'dim') return // of src/shapes
      const text = docstring(name)
      expect(text, `${name} has no docstring`).toBeDefined()
      const parts = row ? ['Shapes:', 'Gradient:', 'Torch:', '@example'] : ['@example']
      for (const part of parts) expect(text, `the docstring of ${name}`).toContain(part)
      // What can throw says so, except where anything is accepted.
      if (row) expect(text, `the docstring of ${name}`).toContain('Throws:')
    })
  }
})

it('rows and exemptions name exports, and each row has a name of its own', () => {
  const named = [...rows.map(({ op }) => op), ...Object.keys(exemptions)]
  expect(named.filter((name) => !exported.includes(name))).toEqual([])
  const names = rows.map(nameOf)
  expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([])
})
