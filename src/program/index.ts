export { type Compiled, type CompileOptions, compile, type Finished } from './compile.js'
export {
  type ArgumentsOf,
  bf16,
  bool,
  f16,
  f32,
  i32,
  type Spec,
  type SpecTree,
  type TensorsOf,
  u32,
} from './specs.js'
