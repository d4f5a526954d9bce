import { readBytes } from '../io/node-files.js'
import { count } from '../io/wording.js'
import { percent } from '../train/wording.js'
import type { Host } from './host.js'
import { loadDigits } from './load-digits.js'
import type { EvalFlags } from './options.js'

/** `dfdt eval`: rebuilds the model a file was saved from and evaluates it on the test images. Returns the exit code. */
export async function evaluate(path: string, flags: EvalFlags, host: Host): Promise<number> {
  const bytes = readBytes(path)
  const { test } = loadDigits(flags.data)
  const job = await host.loadJob({ threads: flags.threads })
  const result = await job.evaluate(test, { path, bytes })
  const { loss, accuracy, images, parameters, metadata } = result
  const people = flags.json ? host.stderr : host.stdout
  const role = metadata.role === undefined ? '' : `${metadata.role}: `
  people.write(`${result.model.trimEnd()}\n\n`)
  people.write(`${role}loss ${loss.toFixed(4)}, accuracy ${percent(accuracy)} on ${count(images)} test images\n`)
  if (flags.json) {
    const summary = { job: 'mnist', file: path, role: metadata.role ?? null, loss, accuracy, images, parameters }
    host.stdout.write(`${JSON.stringify(summary)}\n`)
  }
  return 0
}
