import { join } from 'node:path'
import { writeFileAtomic } from '../io/node-files.js'
import type { EpochEvent, MnistOptions, MnistResult, StartEvent, StepEvent } from '../train/events.js'
import { LossCurve } from '../train/loss-curve.js'
import { readReportAssets } from '../train/node-report.js'
import { type EpochScores, renderReport } from '../train/report.js'

/** What a run has shown so far, and the files it keeps: both models and the metrics after every epoch, the report last. */
export class RunFiles {
  /** The files written so far, in the order they were first written. */
  readonly written: string[] = []
  readonly #directory: string
  readonly #options: MnistOptions
  readonly #start: StartEvent
  readonly #curve: LossCurve
  readonly #epochs: (EpochScores & { readonly seconds: number })[] = []

  constructor(directory: string, options: MnistOptions, start: StartEvent) {
    this.#directory = directory
    this.#options = options
    this.#start = start
    this.#curve = new LossCurve(start.steps)
  }

  /** Epochs whose models are saved. */
  get epochs(): number {
    return this.#epochs.length
  }

  step({ step, loss }: StepEvent): void {
    this.#curve.add(step, loss)
  }

  /** Saves both models and the metrics, each file whole or not at all. */
  epoch(event: EpochEvent): void {
    const { epoch, step, seconds, student, teacher } = event
    this.#epochs.push({ epoch, step, seconds, student, teacher })
    const models = event.files()
    this.#write('student.safetensors', models.student)
    this.#write('teacher.safetensors', models.teacher)
    this.#write('metrics.jsonl', this.#metrics())
  }

  /** Writes the report of a finished run. */
  async finish(result: MnistResult): Promise<void> {
    const { steps, seconds, stepsPerSecond, parameters, confusion, hardest } = result
    const { trainImages, testImages } = this.#start
    const page = renderReport(
      {
        ...{ job: 'mnist', options: this.#options, trainImages, testImages },
        ...{ parameters, steps, seconds, stepsPerSecond, confusion },
        trainLoss: { window: this.#curve.window, points: this.#curve.points() },
        epochs: this.#epochs,
        hardest: { height: 28, width: 28, examples: hardest },
      },
      await readReportAssets(),
    )
    this.#write('report.html', page)
  }

  /** One JSON object a line: the run's options, then training losses and test scores in the order of their steps. */
  #metrics(): string {
    const { trainImages, testImages } = this.#start
    const head = { job: 'mnist', ...this.#options, steps: this.#start.steps, trainImages, testImages }
    const losses = this.#curve.points().map(({ step, loss }) => ({ step, trainLoss: loss }))
    // A stable sort: the loss up to a step comes before the scores after it.
    const lines = [...losses, ...this.#epochs].sort((a, b) => a.step - b.step)
    return [head, ...lines].map((line) => `${JSON.stringify(line)}\n`).join('')
  }

  #write(name: string, content: Uint8Array | string): void {
    const path = join(this.#directory, name)
    writeFileAtomic(path, typeof content === 'string' ? new TextEncoder().encode(content) : content)
    if (!this.written.includes(path)) this.written.push(path)
  }
}
