// Shape rules that are not methods.
import {
  type BroadcastTo,
  check,
  type ConcatAll,
  type Equal,
  type Gather,
  type NewAx,
  type Rect,
  type ShapesOf,
  type Stack,
  type TapeOf,
  type Tensor,
} from '../prelude.js'

check<Equal<ConcatAll<[[2, 3], [2, 4], [2, 1]], 1>, [2, 8]>>()
check<Equal<ConcatAll<[[2, 3]], 0>, [2, 3]>>()
check<Equal<ConcatAll<[], 0>, 'concat: no tensors given'>>()
check<Equal<ConcatAll<[[2, 3], [3, 4]], 1>, 'concat: [2, 3] and [3, 4] differ outside axis 1'>>()
check<Equal<ConcatAll<[2, 3][], 1>, number[]>>()
check<Equal<Stack<[2, 3], 4, 0>, [4, 2, 3]>>()
check<Equal<Stack<[2, 3], 4, 1>, [2, 4, 3]>>()
check<Equal<Stack<[2, 3], 4, -1>, [2, 3, 4]>>()
check<Equal<Stack<[], 4, 0>, [4]>>()
check<Equal<Stack<number[], 4, 0>, number[]>>()
check<Equal<NewAx<[2]>, 0 | 1 | -1 | -2>>()
check<Equal<NewAx<[1, 1, 1, 1, 1, 1]>, never>>()
check<Equal<Gather<[2, 3], 5, [4]>, 'axis 5 is out of range for shape [2, 3]'>>()
check<Equal<BroadcastTo<[2], [2, 3]>, 'cannot broadcast [2] to [2, 3]'>>()
check<Equal<Rect<[[1, 2], [3]]>, 'tensor: rows have different lengths'>>()
check<Equal<ShapesOf<[Tensor<[2]>, Tensor<[3, 4], 'i32', 'taped'>]>, [[2], [3, 4]]>>()
check<Equal<TapeOf<Tensor<[2]> | Tensor<[3], 'f32', 'taped'>>, 'taped'>>()
check<Equal<TapeOf<Tensor<[2]>>, never>>()
