export {
  type ArgumentsOf,
  bool,
  type Compiled,
  compile,
  type Finished,
  f32,
  i32,
  type Spec,
  type TensorsOf,
  u32,
} from './compile.js'
