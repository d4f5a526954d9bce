export {
  type ArgumentsOf,
  bf16,
  bool,
  type Compiled,
  compile,
  type Finished,
  f16,
  f32,
  i32,
  type Spec,
  type TensorsOf,
  u32,
} from './compile.js'
