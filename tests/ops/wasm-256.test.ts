import '../../src/autodiff/fluent.js'
import '../../src/ops/fluent.js'
import { compareWithReference } from './wasm.js'

// A file of its own, which is a process of its own: this mode switches a flag of the whole process.
compareWithReference('256', 2)
