import { batches, column } from '../data/batches.js'
import type { LabelledDigits, Mnist } from '../data/node-mnist.js'
import { loadModel, saveModelSync } from '../io/model-file.js'
import { clone } from '../model/clone.js'
import { countParameters } from '../model/count.js'
import { linear } from '../nn/linear.js'
import { relu } from '../nn/activations.js'
import { sequential } from '../nn/sequential.js'
import { summary } from '../nn/table.js'
import { crossEntropy } from '../ops/loss/cross-entropy.js'
import { logSoftmax } from '../ops/norm/softmax.js'
import { adam } from '../optim/adam.js'
import { compile } from '../program/compile.js'
import { defaultDevice, manualSeed } from '../tensor/device.js'
import { scope } from '../tensor/scope.js'
import { backward } from '../autodiff/backward.js'
import type { Tensor } from '../tensor/tensor.js'
import { ema } from '../update/rules/ema.js'
import { update } from '../update/update.js'
import type {
  HardExample,
  JobListener,
  MnistEvaluation,
  MnistJob,
  MnistOptions,
  MnistResult,
  Scores,
} from './events.js'

const pixels = 784
const classes = 10
/** Images evaluated at once. */
const evaluationBatch = 500
/** Digits shown in the report. */
const hardestShown = 24
/** Steps between progress events. A count, not a time, so that equal runs report equally. */
const window = 25
/** Milliseconds between turns of the event loop, where signals are heard. */
const breath = 80
const untrained: Scores = { loss: Number.NaN, accuracy: 0 }

/** The network of the job: an MLP of four layers, initialised as PyTorch's. */
export const digitNet = () =>
  sequential(linear(pixels, 512), relu(), linear(512, 128), relu(), linear(128, 32), relu(), linear(32, classes))
type DigitNet = ReturnType<typeof digitNet>

/** Trains an MLP on MNIST while its EMA teacher follows, and evaluates saved models. */
export const mnistJob: MnistJob = { train, evaluate }

const columnsOf = ({ images, labels }: LabelledDigits, count = labels.length) => ({
  images: column(images.subarray(0, count * pixels), [pixels], { scale: 1 / 255 }),
  labels: column(labels.subarray(0, count), [], { dtype: 'i32' }),
})

async function train(data: Mnist, options: MnistOptions, listener: JobListener = {}): Promise<MnistResult> {
  const { epochs, batch, seed, lr, decay } = options
  const count = Math.min(options.limit ?? data.train.count, data.train.count)
  manualSeed(seed)
  const device = defaultDevice()
  const student = digitNet()
  const teacher = clone(student)
  const optimizer = adam(student, { lr })
  const rule = ema({ decay })
  const learn = compile((images: Tensor<[number, typeof pixels]>, labels: Tensor<[number], 'i32'>) => {
    const loss = crossEntropy(student.forward(images.trace()), labels)
    optimizer.step(backward(loss))
    update({ target: teacher, source: student }, rule)
    return loss
  })
  const columns = columnsOf(data.train, count)
  const steps = epochs * Math.floor(count / batch)
  listener.onStart?.({
    model: summary(student),
    parameters: countParameters(student),
    steps,
    trainImages: count,
    testImages: data.test.count,
    device: device.backend.description,
  })

  const started = performance.now()
  let trained = 0
  let step = 0
  let lossSum = 0
  let turn = started
  let studentScores = untrained
  let teacherScores = untrained
  let predictions: Float32Array = new Float32Array()
  for (let epoch = 1; epoch <= epochs; epoch++) {
    const epochStart = performance.now()
    for (const { images, labels } of batches(columns, batch, { shuffle: device.generator })) {
      const loss = learn(images, labels)
      lossSum += loss.itemSync()
      loss.dispose()
      step++
      if (step % window === 0 || step === steps) {
        listener.onStep?.({ step, epoch, loss: lossSum / (step % window || window) })
        lossSum = 0
      }
      if (performance.now() - turn < breath) continue
      await new Promise((resolve) => setTimeout(resolve, 0))
      listener.signal?.throwIfAborted()
      turn = performance.now()
    }
    trained += performance.now() - epochStart
    studentScores = scoresOf(predict(student, data.test), data.test)
    predictions = predict(teacher, data.test)
    teacherScores = scoresOf(predictions, data.test)
    const files = () => ({
      student: saveModelSync(student, { job: 'mnist', version: '1', role: 'student' }),
      teacher: saveModelSync(teacher, { job: 'mnist', version: '1', role: 'teacher' }),
    })
    const seconds = (performance.now() - started) / 1000
    await listener.onEpoch?.({ epoch, step, seconds, student: studentScores, teacher: teacherScores, files })
    listener.signal?.throwIfAborted()
  }
  learn.dispose()
  return {
    steps: step,
    seconds: (performance.now() - started) / 1000,
    stepsPerSecond: step / (trained / 1000),
    parameters: countParameters(student),
    student: studentScores,
    teacher: teacherScores,
    confusion: confusionOf(predictions, data.test),
    hardest: hardestOf(predictions, data.test),
  }
}

async function evaluate(
  test: LabelledDigits,
  file: { readonly path: string; readonly bytes: Uint8Array },
): Promise<MnistEvaluation> {
  const model = digitNet()
  const metadata = loadModel(model, file.bytes, { path: file.path })
  const parameters = countParameters(model)
  return { ...score(model, test), model: summary(model), parameters, images: test.count, metadata }
}

/** Log-probabilities of every class, image after image. */
function predict(model: DigitNet, test: LabelledDigits): Float32Array {
  const all = new Float32Array(test.count * classes)
  let filled = 0
  for (const { images } of batches(columnsOf(test), evaluationBatch, { dropLast: false })) {
    const part = scope(() => logSoftmax(model.forward(images), -1))
    all.set(part.dataSync(), filled)
    filled += part.size
    part.dispose()
  }
  return all
}

const score = (model: DigitNet, test: LabelledDigits): Scores => scoresOf(predict(model, test), test)

function scoresOf(predictions: Float32Array, test: LabelledDigits): Scores {
  let loss = 0
  let right = 0
  for (let i = 0; i < test.count; i++) {
    const label = test.labels[i] ?? 0
    loss -= predictions[i * classes + label] ?? 0
    if (best(predictions, i) === label) right++
  }
  return { loss: loss / test.count, accuracy: right / test.count }
}

/** The most probable class of image `i`; the first one of equals. */
function best(predictions: Float32Array, i: number): number {
  const row = predictions.subarray(i * classes, (i + 1) * classes)
  return row.indexOf(Math.max(...row))
}

function confusionOf(predictions: Float32Array, test: LabelledDigits): number[][] {
  const confusion = Array.from({ length: classes }, () => new Array<number>(classes).fill(0))
  for (let i = 0; i < test.count; i++) {
    const row = confusion[test.labels[i] ?? 0] ?? []
    const column = best(predictions, i)
    row[column] = (row[column] ?? 0) + 1
  }
  return confusion
}

function hardestOf(predictions: Float32Array, test: LabelledDigits): HardExample[] {
  const order = Array.from({ length: test.count }, (_, i) => i)
  const logOf = (i: number, digit: number) => predictions[i * classes + digit] ?? 0
  const labelLog = (i: number) => logOf(i, test.labels[i] ?? 0)
  order.sort((a, b) => labelLog(a) - labelLog(b))
  return order.slice(0, hardestShown).map((index) => {
    const predicted = best(predictions, index)
    return {
      index,
      pixels: test.images.slice(index * pixels, (index + 1) * pixels),
      label: test.labels[index] ?? 0,
      predicted,
      labelProbability: Math.exp(labelLog(index)),
      predictedProbability: Math.exp(logOf(index, predicted)),
      loss: -labelLog(index),
    }
  })
}
