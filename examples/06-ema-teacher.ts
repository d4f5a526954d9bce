// One model learns from another: an EMA teacher follows a student, matched by path and shape when compiling.
import { manualSeed, mse, normal } from 'dfdt'
import { clone, linear, sequential } from 'dfdt/nn'
import { sgd } from 'dfdt/optim'
import { ema, update } from 'dfdt/update'

manualSeed(3)
const truth = linear(8, 1)
const student = sequential(linear(8, 1))
const teacher = clone(student)
const optimizer = sgd(student, { lr: 0.2 })

// Noisy labels: the student keeps jumping, the average of where it was does not.
const error = { student: 0, teacher: 0 }
for (let step = 1; step <= 600; step++) {
  const x = normal([4, 8])
  const y = truth.forward(x).add(normal([4, 1]))
  optimizer.step(mse(student.forward(x.trace()), y).backward())
  update({ target: teacher, source: student }, ema({ decay: 0.98 }))
  x.dispose()
  y.dispose()
  if (step <= 300) continue
  error.student += mse(student.layers[0].weight, truth.weight).itemSync()
  error.teacher += mse(teacher.layers[0].weight, truth.weight).itemSync()
}
console.log(
  'distance to the truth: student',
  (error.student / 300).toFixed(3),
  'teacher',
  (error.teacher / 300).toFixed(3),
)

// update({ target: teacher, source: linear(8, 1) }, …) does not compile: "source has no parameter \"0.weight\""
