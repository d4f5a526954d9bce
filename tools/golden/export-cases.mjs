/**
 * Prints the op table (tests/ops/cases.ts) as JSON for tools/golden/ops.py: for every case its PyTorch expression and
 * the values of its inputs. NaN and infinities are written as strings, which JSON has no numbers for.
 */
import { fileURLToPath } from 'node:url'
import { runnerImport } from 'vite'

const load = async (path) =>
  (await runnerImport(fileURLToPath(new URL(`../../tests/ops/${path}`, import.meta.url)))).module
const { families, nameOf } = await load('cases.ts')
const { seedOf, valuesOf } = await load('inputs.ts')

const number = (value) =>
  Number.isFinite(value) && !Object.is(value, -0) ? value : Object.is(value, -0) ? '-0.0' : String(value)

const cases = Object.entries(families).flatMap(([family, rows]) =>
  rows.flatMap((row) =>
    row.inputs.map((inputs, position) => {
      const name = `${nameOf(row)} ${position}`
      const constant = row.constant ?? []
      return {
        family,
        name,
        torch: row.torch,
        gradient:
          row.noGradient === undefined && inputs.some((input, i) => input.type === 'float' && !constant.includes(i)),
        inputs: inputs.map((input, i) => ({
          type: input.type,
          shape: input.shape,
          values: valuesOf(input, seedOf(`${name} ${i}`)).map(number),
          gradient: input.type === 'float' && !constant.includes(i),
        })),
      }
    }),
  ),
)
console.log(JSON.stringify(cases))
