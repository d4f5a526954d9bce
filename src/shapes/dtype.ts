/** Element types of tensors. `bool` is 0 or 1; `f16` and `bf16` are kept in 2 bytes and computed with in f32. */
export type DType = 'f64' | 'f32' | 'f16' | 'bf16' | 'i32' | 'u32' | 'bool'
/** The dtypes that have gradients. */
export type FloatDType = 'f64' | 'f32' | 'f16' | 'bf16'
/** The floats that are only stored: loads widen them to f32, stores round to the nearest, ties to even. */
export type HalfDType = 'f16' | 'bf16'
/** The dtypes that can index. */
export type IntDType = 'i32' | 'u32'

export const isHalf = (dtype: DType): dtype is HalfDType => dtype === 'f16' || dtype === 'bf16'

export const isFloat = (dtype: DType): dtype is FloatDType => dtype === 'f32' || dtype === 'f64' || isHalf(dtype)

/** The dtype that elements of `dtype` are computed with. */
export const arithmeticOf = <D extends DType>(dtype: D): Exclude<D, HalfDType> | 'f32' =>
  isHalf(dtype) ? 'f32' : (dtype as Exclude<D, HalfDType>)
