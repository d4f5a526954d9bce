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

const imageNames =
  'zeros, linear, relu, conv2d, batchNorm2d, maxPool2d, avgPoolGlobal, flatten2d, sequential, residual, addInto, freeze, ema, update'
const imageHead = `import type { Parameter, Tensor } from '../../dist/entry/index.js'
import { zeros } from '../../dist/entry/index.js'
import { ${imageNames.replace(/zeros, |, ema, update/g, '')} } from '../../dist/entry/nn.js'
import { ema, update } from '../../dist/entry/update.js'\n`

/** As `imports`, of what models of images use. */
const images = `${imageHead}export const all = [${imageNames}]\nexport type P = Parameter<[1]>\nexport type T = Tensor<[1]>\n`

/** 25 convolutions of distinct sizes, computed to the end. */
function fiftyConvolutions(): string {
  const layers = [...Array(25).keys()].flatMap((i) => {
    const options = i % 8 === 7 ? ', { stride: 2, padding: 1 }' : i % 2 === 1 ? ', { padding: 1 }' : ''
    return [`conv2d(${3 + i * 5}, ${8 + i * 5}, 3${options})`, 'relu()']
  })
  return `${imageHead}const a = sequential(${layers.join(', ')})
const y = a.forward(zeros([32, 3, 224, 224]))
export const z: [32, 128, number, number] = y.shape\n`
}

/** ResNet-18 of nested layers and as plain classes, with updates, and paths selected by pattern. */
const resnet18 = `${imageHead}
const basic = <const C extends number>(c: C) => residual(sequential(conv2d(c, c, 3, { padding: 1 }), batchNorm2d(c), relu(), conv2d(c, c, 3, { padding: 1 }), batchNorm2d(c)))
const down = <const I extends number, const O extends number>(i: I, o: O) => addInto(
  sequential(conv2d(i, o, 3, { stride: 2, padding: 1 }), batchNorm2d(o), relu(), conv2d(o, o, 3, { padding: 1 }), batchNorm2d(o)),
  sequential(conv2d(i, o, 1, { stride: 2 }), batchNorm2d(o)))
const make = () => sequential(
  sequential(conv2d(3, 64, 7, { stride: 2, padding: 3 }), batchNorm2d(64), relu(), maxPool2d(3, { stride: 2, padding: 1 })),
  sequential(basic(64), relu(), basic(64), relu()),
  sequential(down(64, 128), relu(), basic(128), relu()),
  sequential(down(128, 256), relu(), basic(256), relu()),
  sequential(down(256, 512), relu(), basic(512), relu()),
  avgPoolGlobal(), linear(512, 1000))
const a = make(), b = make()
export const y: Tensor<[32, 1000], 'f32', 'taped'> = a.forward(zeros([32, 3, 224, 224]).trace())
export const y2: Tensor<[number, 1000]> = a.forward(zeros([Date.now(), 3, 256, 192]))
update({ target: a, source: b }, ema({ decay: 0.999 }))
freeze(a, '0.0.weight', '4.*', '6.bias')
class Block<const I extends number, const O extends number> {
  c1; b1; c2; b2
  constructor(i: I, o: O) { this.c1 = conv2d(i, o, 3, { padding: 1 }); this.b1 = batchNorm2d(o); this.c2 = conv2d(o, o, 3, { padding: 1 }); this.b2 = batchNorm2d(o) }
}
export class Net {
  stem = sequential(conv2d(3, 64, 7, { stride: 2, padding: 3 }), batchNorm2d(64), relu(), maxPool2d(3, { stride: 2, padding: 1 }))
  body = sequential(basic(64), relu(), basic(64), relu(), down(64, 128), relu(), basic(128), relu(), down(128, 256), relu(), basic(256), relu(), down(256, 512), relu(), basic(512), relu())
  head = linear(512, 1000); extra = new Block(3, 4)
  forward<B extends number, T extends 'taped'>(x: Tensor<[B, 3, 224, 224], 'f32', T>) { return this.head.forward(this.body.forward(this.stem.forward(x)).mean([2, 3])) }
}
export const yn: Tensor<[16, 1000]> = new Net().forward(zeros([16, 3, 224, 224]))
update({ target: new Net(), source: new Net() }, ema({ tau: 0.1 }))
freeze(new Net(), 'body.4.a.0.weight', 'stem.*', 'head.bias')
`

export const budgetFiles = {
  ...{ imports, fiftyLayers: fiftyLayers(), ops: ops() },
  ...{ images, fiftyConvolutions: fiftyConvolutions(), resnet18 },
}
