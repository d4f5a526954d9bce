import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { constant, input } from '../../src/kernels/expr.js'
import { root } from '../meta/built-library.js'
import { findBrowser, runInPage } from './page.js'

const expr = JSON.stringify(join(root, 'src/kernels/expr.ts'))

// CI installs a browser, so a missing one fails there; elsewhere the skipped tests show in the last line.
describe.skipIf(process.env.CI === undefined && (await findBrowser()) === undefined)('in a page', () => {
  it('an expression has the same structure as in Node', async () => {
    const here = input(0, 'f32').mul(constant(2, 'f32')).add(0.5).key
    const there = await runInPage(`
      import { constant, input } from ${expr}
      export default () => input(0, 'f32').mul(constant(2, 'f32')).add(0.5).key`)
    expect(there).toBe(here)
  }, 90_000)

  it('an error in the page comes out', async () => {
    const failing = runInPage(`
      export default async () => {
        console.log('before')
        throw new RangeError('broken on purpose')
      }`)
    await expect(failing).rejects.toThrow(/broken on purpose.*log: before/s)
  }, 90_000)
})
