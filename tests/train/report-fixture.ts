import type { HardExample } from '../../src/train/events.js'
import { LossCurve } from '../../src/train/loss-curve.js'
import type { ReportData } from '../../src/train/report.js'

/** A run as the default job makes it: three epochs of 1875 steps. Nothing in it is random. */
export function reportFixture(pixels: (index: number) => Uint8Array = ring): ReportData {
  const curve = new LossCurve(5625)
  for (let step = 1; step <= 5625; step++) {
    const wobble = 1 + 0.35 * Math.sin(step * 12.9898) * Math.cos(step * 0.37)
    curve.add(step, wobble * (2.2 * Math.exp(-step / 120) + 0.35 * Math.exp(-step / 1500) + 0.02))
  }
  return {
    job: 'mnist',
    options: { seed: 1, epochs: 3, batch: 32, lr: 0.001, decay: 0.999 },
    trainImages: 60000,
    testImages: 10000,
    parameters: 472042,
    steps: 5625,
    seconds: 71.34,
    stepsPerSecond: 152.7,
    trainLoss: { window: curve.window, points: curve.points() },
    epochs: [
      scores(1, 0.9612, 0.1271, 0.9634, 0.1189),
      scores(2, 0.9705, 0.0978, 0.9768, 0.0755),
      scores(3, 0.9761, 0.0812, 0.982, 0.0594),
    ],
    confusion: confusion(),
    hardest: { height: 28, width: 28, examples: Array.from({ length: 24 }, (_, rank) => example(rank, pixels)) },
  }
}

function scores(epoch: number, student: number, studentLoss: number, teacher: number, teacherLoss: number) {
  return {
    epoch,
    step: 1875 * epoch,
    student: { accuracy: student, loss: studentLoss },
    teacher: { accuracy: teacher, loss: teacherLoss },
  }
}

function confusion(): number[][] {
  const totals = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
  return totals.map((total, label) => {
    const row = totals.map((_, predicted) => (predicted === label ? 0 : ((label * 7 + predicted * 11) % 13) % 5))
    if (label === 4) row[9] = 14
    if (label === 7) row[2] = 9
    row[label] = total - row.reduce((sum, value) => sum + value, 0)
    return row
  })
}

function example(rank: number, pixels: (index: number) => Uint8Array): HardExample {
  const labelProbability = 10 ** -(7 - rank / 5)
  return {
    index: 97 * rank + 8,
    pixels: pixels(97 * rank + 8),
    label: rank % 10,
    predicted: (rank * 3 + 5) % 10,
    labelProbability,
    predictedProbability: 0.999 - 0.01 * rank,
    loss: -Math.log(labelProbability),
  }
}

/** A ring, a little different for every index. */
function ring(index: number): Uint8Array {
  return Uint8Array.from({ length: 784 }, (_, at) => {
    const away = Math.hypot((at % 28) - 13.5, Math.floor(at / 28) - 13.5 - (index % 3)) - 7
    return Math.round(255 * Math.exp(-away * away))
  })
}
