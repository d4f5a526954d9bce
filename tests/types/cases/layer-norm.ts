import { layerNorm, zeros } from '../prelude.js'

layerNorm(64).forward(zeros([32, 63]))
