import type { EpochEvent, JobListener, MnistOptions, MnistResult, StartEvent, StepEvent } from '../train/events.js'
import { teacherLag } from '../train/teacher-lag.js'
import { count, plural } from '../io/wording.js'
import { clock, duration, percent } from '../train/wording.js'
import type { Host, Output } from './host.js'
import { loadDigits } from './load-digits.js'
import { checkAgainstData, type TrainFlags } from './options.js'
import { createProgress, type Progress } from './progress.js'
import { makeRunDirectory, removeIfEmpty } from './run-directory.js'
import { RunFiles } from './run-files.js'
import { type Style, styleFor } from './style.js'

/** `dfdt train`: trains a student on MNIST while its EMA teacher follows. Returns the exit code. */
export async function train(flags: TrainFlags, host: Host): Promise<number> {
  const digits = loadDigits(flags.data)
  checkAgainstData(flags, digits.train.count)
  const job = await host.loadJob({ threads: flags.threads })
  const { epochs, batch, seed, limit, lr, decay } = flags
  const options = { epochs, batch, seed, limit, lr, decay }
  const directory = makeRunDirectory(flags.out)
  const run = new TrainRun(flags, options, directory, host)
  const stopListening = host.onInterrupt((exitCode) => run.interrupt(exitCode))
  try {
    await run.finish(await job.train(digits, options, run))
    return 0
  } catch (error) {
    const exitCode = run.stopped(error)
    if (exitCode === undefined) throw error
    return exitCode
  } finally {
    run.close()
    stopListening()
  }
}

/** Listens to the job: says on the screen what it tells, and keeps it in files. */
class TrainRun implements JobListener {
  readonly #options: MnistOptions
  readonly #directory: string
  readonly #flags: TrainFlags
  readonly #host: Host
  /** Where text for people goes: with `--json`, stdout belongs to the machine. */
  readonly #people: Output
  readonly #style: Style
  readonly #abort = new AbortController()
  readonly signal = this.#abort.signal
  #exitCode = 0
  #interruptedAt = 0
  #started: { readonly start: StartEvent; readonly files: RunFiles; readonly progress: Progress } | undefined
  #done = 0

  constructor(flags: TrainFlags, options: MnistOptions, directory: string, host: Host) {
    this.#flags = flags
    this.#options = options
    this.#directory = directory
    this.#host = host
    this.#people = flags.json ? host.stderr : host.stdout
    this.#style = styleFor(this.#people, host.env)
  }

  readonly onStart = (start: StartEvent): void => {
    const { epochs, batch, seed, lr, decay } = this.#options
    this.#started = {
      start,
      files: new RunFiles(this.#directory, this.#options, start),
      progress: createProgress(this.#host, { steps: start.steps, epochs }),
    }
    this.#say(
      start.model.trimEnd(),
      '',
      `${plural(start.trainImages, 'image')}, ${plural(epochs, 'epoch')}, ${plural(start.steps, 'step')} of ${batch}`,
      `seed ${seed}, Adam at ${lr}, teacher decay ${decay}`,
      start.device,
      '',
      ...tableHead(epochs).map(this.#style.dim),
    )
  }

  readonly onStep = (event: StepEvent): void => {
    this.#done = event.step
    this.#started?.files.step(event)
    if (!this.signal.aborted) this.#started?.progress.step(event)
  }

  readonly onEpoch = (event: EpochEvent): void => {
    this.#started?.files.epoch(event)
    this.#say(tableRow(event, this.#options.epochs, this.#style))
  }

  /** Writes the report, and tells the person or the machine how it went. */
  async finish(result: MnistResult): Promise<void> {
    await this.#started?.files.finish(result)
    const files = this.#started?.files.written ?? []
    const { steps, seconds, stepsPerSecond } = result
    const lag = teacherLag(this.#options.decay, steps)
    this.#say(
      '',
      `${plural(steps, 'step')} in ${duration(seconds)}, ${count(Math.round(stepsPerSecond))} steps/s`,
      ...(lag === undefined ? [] : [lag]),
      ...savedLines(files),
    )
    if (this.#flags.json) this.#host.stdout.write(`${JSON.stringify(summary(this.#options, result, files))}\n`)
  }

  /** The first time asks the job to end after the step under way, the second time ends the process. */
  interrupt(exitCode: number): void {
    const now = performance.now()
    if (this.signal.aborted) {
      // Under npm one Ctrl-C comes twice: from the terminal, and passed on by npm.
      if (now - this.#interruptedAt < 500) return
      this.close()
      this.#host.exit(exitCode)
      return
    }
    this.#started?.progress.clear()
    this.#exitCode = exitCode
    this.#interruptedAt = now
    this.#host.stderr.write('Stopping after this step; Ctrl-C again ends at once.\n')
    this.#abort.abort()
  }

  /** Says what an interrupted run kept. Returns its exit code, or nothing if `error` is not from the interruption. */
  stopped(error: unknown): number | undefined {
    if (!this.signal.aborted || error !== this.signal.reason) return undefined
    this.#started?.progress.clear()
    const written = this.#started?.files.written ?? []
    const total = this.#started?.start.steps ?? 0
    const kept =
      written.length === 0
        ? ['Nothing was saved: the first epoch had not ended.']
        : savedLines(written, `Saved after epoch ${this.#started?.files.epochs}:`)
    this.#host.stderr.write(`Stopped after ${count(this.#done)} of ${plural(total, 'step')}.\n${kept.join('\n')}\n`)
    return this.#exitCode
  }

  /** Leaves the screen and the disk tidy, however the run ended. */
  close(): void {
    this.#started?.progress.clear()
    if (this.#flags.out === undefined) removeIfEmpty(this.#directory)
  }

  #say(...lines: readonly string[]): void {
    this.#started?.progress.clear()
    this.#people.write(`${lines.join('\n')}\n`)
  }
}

const widths = [9, 11, 9, 11, 9] as const

function tableHead(epochs: number): string[] {
  const student = ' '.repeat(epochWidth(epochs)) + 'student'.padStart(widths[0] + widths[1])
  return [
    student + 'teacher'.padStart(widths[2] + widths[3]),
    'epoch'.padStart(epochWidth(epochs)) + cells(['loss', 'accuracy', 'loss', 'accuracy', 'time']),
  ]
}

function tableRow({ epoch, student, teacher, seconds }: EpochEvent, epochs: number, { bold }: Style): string {
  const better = teacher.accuracy > student.accuracy ? bold : (text: string) => text
  const head = `${epoch}/${epochs}`.padStart(epochWidth(epochs))
  const scores = cells([student.loss.toFixed(4), percent(student.accuracy), teacher.loss.toFixed(4)])
  return `${head}${scores}${better(percent(teacher.accuracy).padStart(widths[3]))}${clock(seconds).padStart(widths[4])}`
}

function epochWidth(epochs: number): number {
  return Math.max('epoch'.length, `${epochs}/${epochs}`.length)
}

function cells(texts: readonly string[]): string {
  return texts.map((text, column) => text.padStart(widths[column] ?? 0)).join('')
}

function savedLines(files: readonly string[], heading = 'Saved:'): string[] {
  return [heading, ...files.map((file) => `  ${file}${file.endsWith('.html') ? '  (open it in a browser)' : ''}`)]
}

/** The one JSON object of `--json`. */
function summary({ seed, epochs }: MnistOptions, result: MnistResult, files: readonly string[]) {
  const { steps, student, teacher, seconds, stepsPerSecond, parameters } = result
  return {
    job: 'mnist',
    seed,
    epochs,
    steps,
    student: { loss: student.loss, accuracy: student.accuracy },
    teacher: { loss: teacher.loss, accuracy: teacher.accuracy },
    seconds,
    stepsPerSecond,
    parameters,
    files,
  }
}
