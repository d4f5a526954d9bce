/**
 * One cell of the matrix: a small training, plain and compiled, on the built library in one mode and number of threads.
 * Fails when plain and compiled differ in a bit, and prints a digest of the losses and the weights of student and teacher.
 */
import { createHash } from 'node:crypto'
import { crossEntropy, manualSeed, normal, setDefaultDevice, tensor, wasmDevice, compile } from '../dist/entry/index.js'
import { clone, dropout, layerNorm, linear, relu, sequential } from '../dist/entry/nn.js'
import { adam } from '../dist/entry/optim.js'
import { ema, update } from '../dist/entry/update.js'

const [mode, threads] = [process.argv[2], Number(process.argv[3])]
const device = wasmDevice({ mode, threads })
setDefaultDevice(device)
const ready = device.backend.startThreads?.() ?? 1
if (ready !== threads) throw new Error(`${threads} threads were asked for, ${ready} started`)

function train(compiled) {
  manualSeed(7)
  const student = sequential(
    linear(64, 300),
    relu(),
    layerNorm(300),
    dropout(0.2),
    linear(300, 200),
    relu(),
    linear(200, 10),
  )
  const teacher = clone(student)
  const optimizer = adam(student, { lr: 3e-3 })
  const labels = tensor(
    Int32Array.from({ length: 96 }, (_, i) => (i * 7) % 10),
    [96],
  )
  const inputs = Array.from({ length: 4 }, () => normal([96, 64]))
  const body = (x) => {
    const loss = crossEntropy(student.forward(x.trace()), labels)
    optimizer.step(loss.backward())
    update({ target: teacher, source: student }, ema({ decay: 0.9 }))
    return loss
  }
  const step = compiled ? compile(body) : body
  const losses = Array.from({ length: 24 }, (_, i) => step(inputs[i % 4]).itemSync())
  const weights = [student, teacher].map((model) => [
    ...model.layers[0].weight.dataSync(),
    ...model.layers[6].bias.dataSync(),
  ])
  return JSON.stringify({ losses, weights })
}

const [plain, compiled] = [train(false), train(true)]
if (plain !== compiled) throw new Error('compiled training differs from plain training')
const { losses } = JSON.parse(plain)
if (!(losses.at(-1) < losses[0] / 2)) throw new Error(`the loss went from ${losses[0]} to ${losses.at(-1)}`)
console.log(createHash('sha256').update(plain).digest('hex').slice(0, 12))
