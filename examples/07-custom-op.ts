// Your own op: what happens to one element and its derivative. It runs as one SIMD kernel, forward and backward.
import { defineOp, tensor } from 'dfdt'

const swish = defineOp({
  name: 'swish',
  forward: (x) => x.div(x.neg().exp().add(1)),
  vjp: [
    (dy, [x], y) => {
      const sigmoid = x.neg().exp().add(1).recip()
      return dy.mul(y.add(sigmoid.mul(y.neg().add(1))))
    },
  ],
})

const x = tensor([-2, 0, 2])
const y = swish(x.trace())
console.log(await y.array())
console.log(await y.sum().backward().get(x).array())
