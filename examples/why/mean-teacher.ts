// 100 labels, 60,000 digits. A teacher, the moving average of the student, says what it thinks of the digits without a
// label, and the student learns to say the same of another view of them. Averaged weights judge better than those of any
// one step, so each pulls the other up (Tarvainen, Valpola, "Mean teachers are better role models", 2017).
import { compile, crossEntropy, f32, i32, manualSeed, mse } from 'dfdt'
import { conv2d, flatten2d, linear, relu, sequential } from 'dfdt/nn'
import { adam } from 'dfdt/optim'
import { ema, follow } from 'dfdt/update'
import { compare, randomFrom, small, stepsOr } from './compare.js'
import { judge, pixels, train as all } from './mnist.js'

const steps = stepsOr(small ? 1_200 : 4_000)
const [labelled, unlabelled] = [32, 64] as const

/** Whose opinion of digits without a label the student takes over. */
type Opinion = 'nobody' | 'itself' | 'the teacher'

const convNet = () =>
  sequential(
    ...([conv2d(1, 8, 3, { padding: 1, stride: 2 }), relu()] as const),
    ...([conv2d(8, 16, 3, { padding: 1, stride: 2 }), relu()] as const),
    ...([flatten2d(), linear(784, 10)] as const),
  )

function train(seed: number, of: Opinion): { student: number; teacher: number } {
  manualSeed(seed)
  const random = randomFrom(seed)
  const student = convNet()
  const teacher = follow(student, ema({ decay: 0.99 }))
  const judging = of === 'the teacher' ? teacher.model : student
  const optimizer = adam(student, { lr: 2e-3 })
  const views = f32(unlabelled, 1, 28, 28)
  const step = compile(
    [f32(labelled, 1, 28, 28), i32(labelled), views, views, f32()],
    (images, labels, oneView, otherView, weight) => {
      const known = crossEntropy(student.forward(images.trace()), labels)
      const opinion = () => judging.forward(otherView).softmax(-1)
      const agreement = () => mse(student.forward(oneView.trace()).softmax(-1), opinion()).mul(weight)
      const loss = of === 'nobody' ? known : known.add(agreement())
      optimizer.step(loss.backward())
      teacher.update()
      return loss
    },
  )

  const few = tenOfEach(random)
  const images = new Float32Array(labelled * pixels)
  const [oneView, otherView] = [new Float32Array(unlabelled * pixels), new Float32Array(unlabelled * pixels)]
  for (let i = 0; i < steps; i++) {
    const known = Array.from({ length: labelled }, () => few[Math.floor(random() * few.length)] ?? 0)
    const unknown = Array.from({ length: unlabelled }, () => Math.floor(random() * all.labels.length))
    const labels = Int32Array.from(known, (digit) => all.labels[digit] ?? 0)
    draw(images, known, random)
    draw(oneView, unknown, random)
    draw(otherView, unknown, random)
    // The opinion of someone who knows nothing is worth nothing: its weight grows over the first third.
    step(images, labels, oneView, otherView, 30 * Math.min(1, (3 * i) / steps)).dispose()
  }
  step.dispose()
  const score = (model: typeof student) => judge((digits) => model.forward(digits.reshape([500, 1, 28, 28]))).accuracy
  return { student: score(student), teacher: teacher.evaluateWith(score) }
}

/** Ten digits of each class, drawn at random. */
function tenOfEach(random: () => number): number[] {
  const drawn = Array.from(all.labels, (label, digit) => ({ label, digit, key: random() })).sort(
    (a, b) => a.key - b.key,
  )
  const ofClass = (wanted: number) => drawn.filter(({ label }) => label === wanted).slice(0, 10)
  return Array.from({ length: 10 }, (_, label) => ofClass(label)).flatMap((ten) => ten.map(({ digit }) => digit))
}

/** Digits in a view of their own, moved by up to two pixels each way. */
function draw(into: Float32Array, digits: readonly number[], random: () => number): void {
  const { images } = all
  into.fill(0)
  digits.forEach((digit, i) => {
    const [down, right] = [Math.floor(random() * 5) - 2, Math.floor(random() * 5) - 2]
    for (let row = Math.max(0, down); row < Math.min(28, 28 + down); row++)
      for (let column = Math.max(0, right); column < Math.min(28, 28 + right); column++) {
        const from = digit * pixels + (row - down) * 28 + column - right
        into[i * pixels + row * 28 + column] = (images[from] ?? 0) / 255
      }
  })
}

export const results = compare(
  'MNIST with 100 labels, accuracy on the test digits',
  (seed) => {
    const [alone, itself, taught] = [train(seed, 'nobody'), train(seed, 'itself'), train(seed, 'the teacher')]
    return {
      'labels only': alone.student,
      'labels only, average of the weights': alone.teacher,
      'agreeing with itself, no teacher': itself.student,
      'mean teacher, the student': taught.student,
      'mean teacher, the teacher': taught.teacher,
    }
  },
  (share) => `${(100 * share).toFixed(2)} %`,
)
