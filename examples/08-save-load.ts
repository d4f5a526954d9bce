// Models are safetensors files, with PyTorch's names and shapes: either side reads what the other wrote.
import { manualSeed, ones } from 'dfdt'
import { loadModel, parseSafetensors, saveModel } from 'dfdt/io'
import { linear, relu, sequential } from 'dfdt/nn'

const build = () => sequential(linear(4, 8), relu(), linear(8, 2))
manualSeed(1)
const trained = build()
const file = await saveModel(trained, { job: 'example' })
console.log(file.length, 'bytes:', [...parseSafetensors(file).tensors.keys()].join(', '))

const restored = build()
console.log(loadModel(restored, file))
const same = restored
  .forward(ones([1, 4]))
  .sub(trained.forward(ones([1, 4])))
  .abs()
  .sum()
console.log('difference', await same.item())

try {
  loadModel(sequential(linear(4, 8), relu(), linear(8, 3)), file)
} catch (error) {
  console.log(String(error))
}
