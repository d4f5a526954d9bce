import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const source = (path: string): string => fileURLToPath(new URL(`./src/${path}`, import.meta.url))

export default defineConfig({
  resolve: {
    // Tests, examples and README programs import `dfdt` by name and get the sources, not an older build.
    alias: [
      { find: /^dfdt$/, replacement: source('entry/index.ts') },
      { find: /^dfdt\/([a-z-]+)$/, replacement: source('entry/$1.ts') },
      { find: /^#wasm$/, replacement: source('backends/wasm/node.ts') },
    ],
  },
  test: {
    include: ['tests/**/*.test.ts'],
    exclude: ['tests/types/cases/**', 'tests/golden/**'],
    reporters: ['default', './tools/count-reporter.mjs'],
    // Processes, not threads: engine flags and wasm memories are process-wide, and a test file must not see another's.
    pool: 'forks',
    maxWorkers: 2,
    execArgv: ['--expose-gc'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
})
