/**
 * Ends a test run with one plain line, `N passed, N failed`, after everything vitest prints itself. A file or suite that
 * cannot be loaded or set up, an error outside any test, and a test that never finished count as failed.
 */
export default class CountReporter {
  #line = '0 passed, 1 failed'

  onInit(vitest) {
    // Written as the process ends, so that nothing comes after it; a run that breaks off has the line as well.
    if (!vitest.config.watch) process.once('exit', () => process.stdout.write(`${this.#line}\n`))
    else this.watching = true
  }

  onTestRunEnd(modules, unhandledErrors) {
    this.#line = countLine(modules, unhandledErrors)
    if (this.watching) process.stdout.write(`${this.#line}\n`)
  }
}

function countLine(modules, unhandledErrors) {
  let passed = 0
  let failed = unhandledErrors.length
  let skipped = 0
  for (const module of modules) {
    failed += module.errors().length
    for (const suite of module.children.allSuites()) failed += suite.errors().length
    for (const test of module.children.allTests()) {
      const { state } = test.result()
      if (state === 'passed') passed++
      else if (state === 'skipped') skipped++
      else failed++
    }
  }
  if (modules.length === 0) failed ||= 1
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}
