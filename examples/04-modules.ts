// Modules: layers check their input when the model is built; your own are plain classes.
import { manualSeed, type Tape, type Tensor, zeros } from 'dfdt'
import { layerNorm, linear, relu, residual, sequential } from 'dfdt/nn'

manualSeed(0)
class Block {
  body = residual(sequential(linear(16, 32), relu(), linear(32, 16)))
  norm = layerNorm(16)

  forward<B extends number, T extends Tape>(x: Tensor<[B, 16], 'f32', T>) {
    return this.norm.forward(this.body.forward(x))
  }
}

const model = sequential(linear(8, 16), new Block(), linear(16, 2))
console.log(String(model))
console.log(model.forward(zeros([4, 8])).shape)

// sequential(linear(8, 16), linear(8, 2)) does not compile: "linear(8 -> 2) got last dimension 16"
