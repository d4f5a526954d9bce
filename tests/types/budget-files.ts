/** The files whose cost to the compiler is measured. */

const imported = {
  index: 'zeros, tensor, dim',
  nn: 'linear, relu, tanh, dropout, flatten, layerNorm, batchNorm1d, embedding, sequential, residual, addInto, splitInto, repeated, freeze',
  update: 'ema, update',
}
const names = Object.values(imported).join(', ')
// As a user does, from the built library; no other file is compiled.
const lines = Object.entries(imported).map(
  ([entry, some]) => `import { ${some} } from '../../dist/entry/${entry}.js'\n`,
)
const head = `import type { Parameter, Tensor } from '../../dist/entry/index.js'\n${lines.join('')}`

/** Everything imported and compared, which resolves what most programs use: the price of using the library at all. */
const imports = `${head}export const all = [${names}]\nexport type P = Parameter<[1]>\nexport type T = Tensor<[1]>\n`

/** 50 layers of distinct sizes, three input ranks, an update, and paths selected by pattern. */
function fiftyLayers(): string {
  const sizes = [...Array(26).keys()].map((i) => 784 - i * 29)
  const layers = sizes.slice(1).flatMap((out, i) => [`linear(${sizes[i]}, ${out})`, 'relu()'])
  return `${head}const make = () => sequential(${layers.join(', ')})
const a = make(), b = make()
export const y1: Tensor<[32, ${sizes[25]}]> = a.forward(zeros([32, 784]))
export const y2: Tensor<[8, 4, ${sizes[25]}], 'f32', 'taped'> = a.forward(zeros([8, 4, 784]).trace())
export const y3: Tensor<[${sizes[25]}]> = a.forward(zeros([784]))
update({ target: a, source: b }, ema({ tau: 0.005 }))
freeze(a, '0.weight', '48.bias', '10.*')\n`
}

/** Op calls in 28 blocks, every shape distinct: the worst case, since equal calls are answered from a cache. */
function ops(): string {
  const blocks = [...Array(28).keys()].map((i) => {
    const [a, b, c] = [17 + i * 3, 23 + i * 7, 31 + i * 5]
    return `{ const x = zeros([${a}, ${b}]), w = zeros([${b}, ${c}]), im = zeros([${a}, 3, ${b + 16}, ${c + 16}])
  const h = x.trace().matmul(w).add(zeros([${c}]).broadcastTo([${a}, ${c}])).relu()
  const r = h.reshape([${a * c}]).reshape([${c}, ${a}]).permute(1, 0)
  const k: Tensor<[${a}, ${2 * c}], 'f32', 'taped'> = h.concat(r, 1)
  const q = im.flatten()
  k.sum(0).slice([[${i}, ${c}]]).mean().backward(); q.max([0, 1]) }\n`
  })
  return head + blocks.join('')
}

export const budgetFiles = { imports, fiftyLayers: fiftyLayers(), ops: ops() }
