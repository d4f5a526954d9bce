/** `npm run bench`: times the workloads on the built library. `npm run bench -- --help` lists the options. */
import { launch } from './launch.mjs'

await launch('bench/harness/bench.ts')
