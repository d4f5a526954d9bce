import { ema, linear, relu, sequential, update } from '../prelude.js'

const model = sequential(linear(784, 512), relu(), linear(512, 10))
update({ target: model, source: model }, ema({ decay: 0.999 }), { only: ['2.wieght'] })
