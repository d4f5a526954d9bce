export { loadModel, saveModel, saveModelSync } from '../io/model-file.js'
export { parseNpy, writeNpy } from '../io/npy.js'
export { decode, encode, type FileDType, type RawTensor } from '../io/raw-tensor.js'
export { parseSafetensors, type Safetensors, writeSafetensors } from '../io/safetensors.js'
