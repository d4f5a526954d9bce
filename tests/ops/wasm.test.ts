import '../../src/autodiff/fluent.js'
import '../../src/ops/fluent.js'
import { compareWithReference } from './wasm.js'

compareWithReference('plain', 1)
compareWithReference('fma', 2)
