// Tensors: the shape is part of the type, and printing shows it.
import { linspace, tensor, zeros } from 'dfdt'

const x = tensor([
  [1, 2, 3],
  [4, 5, 6],
]) // Tensor<[2, 3]>
const w = linspace(0, 1, 3).reshape([3, 1]) // Tensor<[3, 1]>
const y = x.matmul(w).sub(2) //                Tensor<[2, 1]>

console.log(String(x))
console.log(String(y))
console.log(await y.array(), await x.sum().item())

// x.matmul(x) does not compile: "matmul: [2, 3] x [2, 3]: inner dimensions 3 and 2 differ"
console.log(zeros([2, 3]).add(x).shape) // same shapes only; stretch with broadcastTo
