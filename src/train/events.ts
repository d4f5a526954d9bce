/**
 * What a training job tells while it runs, and what it hands back. The command line, the report and any other
 * observer are written against these types; the job is written without knowing who listens.
 */

import type { LabelledDigits, Mnist } from '../data/node-mnist.js'

/** Mean loss and share of right answers (0 to 1) over one set of examples. */
export interface Scores {
  readonly loss: number
  readonly accuracy: number
}

/** What a person may choose about the MNIST job. */
export interface MnistOptions {
  /** Passes over the training images. */
  readonly epochs: number
  /** Images per optimizer step. */
  readonly batch: number
  /** Seeds the initial weights and the order of the images. */
  readonly seed: number
  /** Train on the first `limit` images only; absent: on all of them. */
  readonly limit?: number | undefined
  /** Adam's learning rate. */
  readonly lr: number
  /** The teacher's `decay`: `teacher ← decay · teacher + (1 − decay) · student` after every step. */
  readonly decay: number
}

/** The default run: three epochs, after which the teacher is ahead of its student. */
export const mnistDefaults = {
  epochs: 3,
  batch: 32,
  seed: 1,
  lr: 1e-3,
  decay: 0.999,
} as const satisfies MnistOptions

/** Told once, before the first step. */
export interface StartEvent {
  /** The model as its layer table, one layer a line, with shapes and parameter counts. */
  readonly model: string
  /** Trainable numbers in one model. */
  readonly parameters: number
  /** Optimizer steps of the whole run. */
  readonly steps: number
  readonly trainImages: number
  readonly testImages: number
  /** What computes, in words: `wasm, 128-bit, 2 threads`. */
  readonly device: string
}

/** Told at least a few times a second while training. */
export interface StepEvent {
  /** Optimizer steps done so far, in the whole run. */
  readonly step: number
  /** The epoch under way, from 1. */
  readonly epoch: number
  /** Mean training loss of the student over the steps since the previous event. */
  readonly loss: number
}

/** Told after every epoch, when both models have been evaluated on the test images. */
export interface EpochEvent {
  /** The epoch that ended, from 1. */
  readonly epoch: number
  /** Optimizer steps done so far. */
  readonly step: number
  /** Seconds since training began. */
  readonly seconds: number
  readonly student: Scores
  readonly teacher: Scores
  /** Both models as safetensors files, with `__metadata__` naming job, version and role. */
  readonly files: () => { readonly student: Uint8Array; readonly teacher: Uint8Array }
}

/** Who listens to a job. Every field may be absent. */
export interface JobListener {
  readonly onStart?: ((event: StartEvent) => void) | undefined
  readonly onStep?: ((event: StepEvent) => void) | undefined
  /** The job waits for the returned promise: what it saves is on disk before the next epoch begins. */
  readonly onEpoch?: ((event: EpochEvent) => void | Promise<void>) | undefined
  /**
   * Asks the job to end early: it finishes the step under way and rejects with `signal.reason`. The job returns to the
   * event loop at least ten times a second, so that a signal handler has a turn to abort.
   */
  readonly signal?: AbortSignal | undefined
}

/** A test image the teacher got wrong, or was least sure of. */
export interface HardExample {
  /** Position in the test set, from 0. */
  readonly index: number
  /** 28 x 28 grey values, row by row, 0 to 255; 0 is paper. */
  readonly pixels: Uint8Array
  readonly label: number
  readonly predicted: number
  /** The probability the model gave to the right class. */
  readonly labelProbability: number
  /** The probability the model gave to the class it chose. */
  readonly predictedProbability: number
  /** `-log(labelProbability)`. */
  readonly loss: number
}

/** What a finished run hands back. */
export interface MnistResult {
  /** Optimizer steps done. */
  readonly steps: number
  /** Wall-clock seconds from the first step to the last evaluation. */
  readonly seconds: number
  /** Optimizer steps a second, evaluation not counted. */
  readonly stepsPerSecond: number
  readonly parameters: number
  readonly student: Scores
  readonly teacher: Scores
  /** The teacher on the test images: `confusion[label][predicted]` counts. */
  readonly confusion: readonly (readonly number[])[]
  /** The test images with the largest loss under the teacher, largest first. */
  readonly hardest: readonly HardExample[]
}

/** What evaluating a saved model gives. */
export interface MnistEvaluation extends Scores {
  /** The model as its layer table. */
  readonly model: string
  readonly parameters: number
  /** Images it was evaluated on. */
  readonly images: number
  /** The file's `__metadata__`; empty when the file has none. */
  readonly metadata: Readonly<Record<string, string>>
}

/** The MNIST job: trains a student while its EMA teacher follows, or evaluates a saved model. */
export interface MnistJob {
  train(data: Mnist, options: MnistOptions, listener?: JobListener): Promise<MnistResult>
  /**
   * Rebuilds the model that `file` was saved from and evaluates it on `test`. `path` names the file in errors.
   *
   * Throws `FormatError` for a file that is damaged and `ShapeError` listing every difference when it does not fit.
   */
  evaluate(test: LabelledDigits, file: { readonly path: string; readonly bytes: Uint8Array }): Promise<MnistEvaluation>
}
