import { ema, linear, relu, sequential, update } from '../prelude.js'

const target = sequential(linear(784, 512), relu(), linear(512, 10))
const source = sequential(linear(784, 256), relu(), linear(256, 10))
update({ target, source }, ema({ decay: 0.999 }))
