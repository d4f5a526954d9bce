import './default-device.js'

export { type LabelledDigits, loadMnist, type Mnist } from '../data/node-mnist.js'
export type { FilesProgress, ReadFilesOptions } from '../io/streaming/files-progress.js'
export {
  type AveragedFiles,
  averageFiles,
  type AverageFilesOperands,
  type AverageFilesOptions,
  type AverageWay,
} from '../io/streaming/node-average-files.js'
export type { WriteFilesOptions, WrittenFiles } from '../io/streaming/node-combine-files.js'
export {
  type Apart,
  diffFiles,
  type FilesDifference,
  type TensorDifference,
  type UnmatchedTensor,
} from '../io/streaming/node-diff-files.js'
export { emaFiles, type EmaFilesOperands } from '../io/streaming/node-ema-files.js'
export { type InspectedFile, type InspectedTensor, inspectFile } from '../io/streaming/node-inspect-file.js'
