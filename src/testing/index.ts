export { AssertionError, assertClose, type CloseOptions, type NumberArray, ulpDistance } from './close.js'
export {
  type ConformanceCase,
  type ConformanceResult,
  type ConformanceSummary,
  conformanceCases,
  runConformance,
} from './conformance.js'
export { gradcheck, type GradcheckOptions } from './gradcheck.js'
