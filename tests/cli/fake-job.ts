import { setTimeout as sleep } from 'node:timers/promises'
import type { MnistJob, MnistResult } from '../../src/train/events.js'
import { FormatError } from '../../src/tensor/errors.js'
import { reportFixture } from '../train/report-fixture.js'

const model = `layer          output       parameters
0  linear      [32, 512]       401 920
1  relu        [32, 512]
2  linear      [32, 128]        65 664
total                          472 042`

/** A job that learns nothing and tells everything: made-up scores that depend on the options only. */
export function fakeJob({ millisecondsAStep = 0 } = {}): MnistJob {
  return {
    async train(data, options, listener = {}): Promise<MnistResult> {
      const { epochs, batch, limit, seed } = options
      const images = limit ?? data.train.count
      const perEpoch = Math.floor(images / batch)
      const steps = epochs * perEpoch
      const parameters = 472042
      listener.onStart?.({
        ...{ model, parameters, steps, trainImages: images, testImages: data.test.count },
        device: 'fake, 1 thread',
      })
      const begin = performance.now()
      const scores = (epoch: number) => ({
        student: { loss: 0.3 / epoch + seed / 1e4, accuracy: 1 - 0.08 / epoch },
        teacher: { loss: 0.25 / epoch + seed / 1e4, accuracy: 1 - 0.06 / epoch },
      })
      for (let step = 1; step <= steps; step++) {
        const epoch = Math.ceil(step / perEpoch)
        await sleep(millisecondsAStep)
        listener.onStep?.({ step, epoch, loss: 2.3 / (1 + step / 50) })
        listener.signal?.throwIfAborted()
        if (step % perEpoch !== 0) continue
        const seconds = (performance.now() - begin) / 1000
        const files = () => ({ student: Uint8Array.of(1, epoch), teacher: Uint8Array.of(2, epoch) })
        await listener.onEpoch?.({ epoch, step, seconds, ...scores(epoch), files })
      }
      const seconds = (performance.now() - begin) / 1000
      const { confusion, hardest } = reportFixture()
      return {
        ...{ steps, seconds, stepsPerSecond: steps / seconds, parameters, ...scores(epochs) },
        ...{ confusion, hardest: hardest.examples },
      }
    },

    async evaluate(test, { path, bytes }) {
      if (bytes.length < 8) throw new FormatError(`${path}: the file is cut short; copy it again`, { path })
      return {
        ...{ model, parameters: 472042, images: test.count, loss: 0.0594, accuracy: 0.982 },
        metadata: { job: 'mnist', role: 'teacher', version: '0.1.0' },
      }
    },
  }
}
