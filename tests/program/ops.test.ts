import { afterAll, describe, expect, it } from 'vitest'
import { compile } from '../../src/program/compile.js'
import { mul, sum } from '../../src/ops/index.js'
import type { AnyX } from '../ops/cases.js'
import { type Case, make, makeInputs, table } from '../ops/table.js'
import { expectSameBits } from './bits.js'
import { targets } from './targets.js'

const dtypes = ['f32', 'bf16', 'f16'] as const

/** The op of a case and, where it has one, its gradient under the cotangent, as one function. */
function bodyOf({ row, gradients }: Case): (inputs: AnyX[], dy: AnyX) => unknown {
  const wanted = gradients.map((gradient) => gradient !== undefined)
  return (inputs, dy) => {
    const y = row.call(...inputs.map((x, i) => (dy && wanted[i] ? x.trace() : x)))
    if (!dy) return { y }
    const plain = y.detach().mul(1)
    const all = (sum(mul(y, dy)) as AnyX).backward()
    return { y: plain, gradients: inputs.flatMap((x, i) => (wanted[i] ? [all.get(x)] : [])) }
  }
}

for (const { name: on, make: makeDevice } of targets) {
  describe(`compiled = eager on ${on}`, () => {
    const device = makeDevice()
    afterAll(() => device.close())
    // Of every row in bf16, where a fused chain has to round between two ops, and of some in f16, which differs in its casts.
    for (const [i, { name, cases }] of table.entries()) {
      it.each(i % 10 === 0 ? dtypes : dtypes.slice(0, 2))(`${name} in %s`, (dtype) => {
        for (const one of cases) {
          if (dtype !== 'f32' && !one.inputs.some(({ type }) => type === 'float')) continue
          const inputs = makeInputs(device, one, dtype)
          const dy = one.dy && make(device, one.dy, dtype)
          const body = bodyOf(one)
          const eager = body(inputs, dy)
          const compiled = compile(body)
          const first = compiled(inputs, dy)
          expectSameBits(first, eager, one.name)
          expectSameBits(compiled(inputs, dy), eager, `${one.name}, again`)
          compiled.dispose()
        }
      })
    }
    it('covers every row', () => expect(table.length).toBeGreaterThan(150))
  })
}
