// Shapes that are not known when writing the program: numbers, and numbers with a name.
import { dim, ones, type Tensor, zeros } from 'dfdt'

const batch = dim('batch', Math.floor(32)) //      Dim<'batch'>: a number whose type remembers its name
const images = ones([batch, 28, 28]) //            Tensor<[Dim<'batch'>, 28, 28]>
const rows = images.reshape([batch, 784]) //       the batch cancels, 28 · 28 is checked
const scores = rows.matmul(zeros([784, 10])) //    Tensor<[Dim<'batch'>, 10]>
console.log(scores.shape)

// Forgetting a size is free, stating it again is checked when it runs.
const open: Tensor<[number, 10]> = scores
const known: Tensor<[32, 10]> = open.realize([32, 10])
console.log(known.sum([0, 1]).itemSync())

try {
  open.realize([33, 10])
} catch (error) {
  console.log(String(error))
}
