/** `node bench/compare/run.mjs`: ours beside PyTorch and other peers, in the same minutes. `--help` lists the options. */
import { launch } from '../launch.mjs'

await launch('bench/compare/compare.ts')
