/** Element types of tensors. `bool` is 0 or 1. */
export type DType = 'f64' | 'f32' | 'i32' | 'u32' | 'bool'
/** The dtypes that have gradients. */
export type FloatDType = 'f64' | 'f32'
/** The dtypes that can index. */
export type IntDType = 'i32' | 'u32'
